"""The order of modules: each imports only modules that stand before it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "python" / "shardhash"

PURE = [
    *("_version", "errors", "_types", "_core"),
    *("_names", "_moves", "_drawing", "keys", "hashing", "ranges", "slots", "ring", "interop"),
    *("db.topology", "db.schema", "db.sql", "db.tasks", "db.reduce", "db.mapping", "db.config"),
    "db.plan",
    *("db.columns", "db.planning"),
]
USERS = ["testing", "adapters", "demo", "report", "cli"]
"""These may import from the face of the package, as an application does."""

EFFECTS = [
    *("db.ports", "db.drivers", "db.connections", "db.stores", "db.processes", "db.journal"),
    "db.throttle",
    *(
        "db.fleet",
        "db.accounts",
        "db.checks",
        "db.setup",
        "db.inspect",
        "db.explain",
        "db.guard",
        "db.executor",
        "db.model",
        "db.ids",
        "db.repo",
    ),
    *("db.workers", "db.query", "db.operations", "db.cluster", "db.broadcast"),
    *USERS,
]
ORDER = [*PURE, *EFFECTS]

FACES = {"", "db"}
"""Packages whose ``__init__`` only gathers names of the modules in them."""

EXCEPTIONS = {
    ("db.config", "db.stores"): "Config.load opens the store that a path or URL names",
}

IMPURE = {
    *(
        "asyncio",
        "http",
        "pymongo",
        "pymysql",
        "random",
        "secrets",
        "select",
        "socket",
        "sqlalchemy",
    ),
    *("sqlite3", "subprocess", "tempfile", "threading", "time", "urllib.request"),
}


def module_of(dotted: str) -> str | None:
    """Return the module of the order that a dotted name under ``shardhash`` belongs to."""
    owners = [name for name in ORDER if dotted == name or dotted.startswith(f"{name}.")]
    return max(owners, key=len, default=None)


def source_files() -> list[Path]:
    return sorted(
        path
        for path in ROOT.rglob("*.py*")
        if path.suffix in (".py", ".pyi") and dotted_name(path) not in FACES
    )


def dotted_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield every imported module, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module
            yield from (
                f"{node.module}.{alias.name}" if is_package(node.module) else node.module
                for alias in node.names
            )


def is_package(module: str) -> bool:
    """Tell whether names imported from a module may be modules themselves."""
    return module in ("shardhash", "shardhash.db")


@pytest.mark.parametrize("path", source_files(), ids=dotted_name)
def test_module_imports_only_modules_before_it(path: Path) -> None:
    here = module_of(dotted_name(path))
    assert here, f"{path} is in no place of the order"

    for name in imports(path):
        if not name.startswith("shardhash."):
            continue
        there = module_of(name.removeprefix("shardhash."))
        if there is None:
            assert here in USERS, f"{here} takes {name} from the package's face"
            continue
        is_before = ORDER.index(there) <= ORDER.index(here)
        assert is_before or (here, there) in EXCEPTIONS, f"{here} imports {there}"


@pytest.mark.parametrize(
    "path",
    [path for path in source_files() if module_of(dotted_name(path)) in PURE],
    ids=dotted_name,
)
def test_pure_module_has_no_driver_clock_random_source_or_file(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]

    assert not IMPURE & {name for each in imports(path) for name in (each, each.split(".")[0])}
    assert not [
        call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "open"
    ]


def test_every_exception_is_still_needed() -> None:
    used = {
        (module_of(dotted_name(path)), module_of(name.removeprefix("shardhash.")))
        for path in source_files()
        for name in imports(path)
        if name.startswith("shardhash.")
    }

    assert EXCEPTIONS.keys() <= used
