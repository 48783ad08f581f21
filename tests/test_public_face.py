"""The public face is what ``__all__`` says, everywhere, and private modules stay at home."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import shardhash

ROOT = Path(__file__).parents[1] / "python" / "shardhash"

SHARED = {"_core", "_moves", "_names", "_types", "_version"}
"""Private modules that the whole package uses."""

NOT_OFFERED = {"TYPE_CHECKING", "import_module"}
"""What a package's namespace holds beside the names that it offers."""


def dotted_name(path: Path) -> str:
    parts = ("shardhash", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(ROOT.rglob("*.py"))
PUBLIC = [path for path in FILES if "._" not in dotted_name(path)]


def names_defined(path: Path) -> set[str]:
    """Return the names without underscore that a file itself defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def offered(module: ModuleType) -> list[str]:
    """Return ``__all__``, which only a package that merely holds modules may lack."""
    names: list[str] = getattr(module, "__all__", [])
    return names


def is_type_variable(module: ModuleType, name: str) -> bool:
    return type(getattr(module, name)).__name__ in ("TypeVar", "ParamSpec")


def test_package_namespace_is_all() -> None:
    public = {
        name
        for name in dir(shardhash)
        if not name.startswith("_") and not isinstance(getattr(shardhash, name), ModuleType)
    }

    assert public - NOT_OFFERED == set(shardhash.__all__) - {"__version__"}


def printed_by(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_package_imports_no_module_of_its_own_until_a_name_is_used() -> None:
    loaded = printed_by("import sys, shardhash; print(*sys.modules)").split()

    own = {name for name in loaded if name.startswith("shardhash")}
    assert own == {"shardhash", "shardhash._version"}


def test_modules_of_the_core_are_attributes_of_the_package() -> None:
    code = "import shardhash; print(shardhash.hashing.crc32(42), shardhash.ring.HashRing)"

    assert printed_by(code) == "841265288 <class 'shardhash.ring.HashRing'>\n"


def test_package_refuses_an_unknown_name_as_other_modules_do() -> None:
    with pytest.raises(AttributeError, match="module 'shardhash' has no attribute 'Ring'"):
        shardhash.Ring  # noqa: B018


@pytest.mark.parametrize("path", PUBLIC, ids=dotted_name)
def test_all_names_exactly_what_a_public_module_defines(path: Path) -> None:
    module = importlib.import_module(dotted_name(path))

    defined = {name for name in names_defined(path) if not is_type_variable(module, name)}
    named = offered(module)
    assert defined - NOT_OFFERED <= set(named)
    assert [name for name in named if not hasattr(module, name)] == []


@pytest.mark.parametrize("path", PUBLIC, ids=dotted_name)
def test_all_names_nothing_twice(path: Path) -> None:
    names = offered(importlib.import_module(dotted_name(path)))

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", FILES, ids=dotted_name)
def test_private_modules_are_imported_only_beside_them(path: Path) -> None:
    here = dotted_name(path)
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("shardhash"):
            continue
        owner, _, private = (node.module or "").partition("._")
        if private and f"_{private.split('.')[0]}" not in SHARED:
            assert package == owner or package.startswith(f"{owner}."), f"{here}: {node.module}"


def test_every_python_file_is_typed() -> None:
    assert (ROOT / "py.typed").exists()
