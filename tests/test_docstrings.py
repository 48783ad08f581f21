"""What the core's docstrings promise to hold: examples that run, arguments, errors, shapes."""

import doctest
import importlib
import inspect
from collections.abc import Iterator

import pytest

NAMES = ["hashing", "interop", "keys", "ranges", "ring", "slots"]
MODULES = ["shardhash", *(f"shardhash.{name}" for name in NAMES)]


def public_callables() -> Iterator[tuple[str, object]]:
    """Yield the functions of the core's modules, and the methods of its classes, with a name."""
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and value.__module__.startswith("shardhash"):
                yield from methods_of(value)
            elif callable(value) and not hasattr(value, "__origin__"):
                yield f"{module.__name__}.{name}", value


def methods_of(owner: type) -> Iterator[tuple[str, object]]:
    for name, value in inspect.getmembers(owner, callable):
        if not name.startswith("_") and is_own(owner, name):
            yield f"{owner.__name__}.{name}", value


def is_own(owner: type, name: str) -> bool:
    """Tell whether a member comes from this project, not from tuple, Exception or Sequence."""
    definer = next(base for base in owner.__mro__ if name in vars(base))
    return definer.__module__.startswith("shardhash")


CALLABLES = dict(sorted(public_callables()))


def parameters_of(value: object) -> list[str]:
    """Return the names of what a call takes; compiled functions tell them too."""
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))

    assert failed == 0
    assert tried > 0


@pytest.mark.parametrize("name", CALLABLES)
def test_a_docstring_begins_with_a_sentence_in_the_imperative(name: str) -> None:
    text = inspect.getdoc(CALLABLES[name])

    assert text
    first = text.partition("\n\n")[0]
    assert first.startswith("Return ")
    assert first.endswith(".")


@pytest.mark.parametrize("name", CALLABLES)
def test_a_call_that_takes_arguments_tells_its_errors(name: str) -> None:
    text = inspect.getdoc(CALLABLES[name]) or ""

    if parameters_of(CALLABLES[name]):
        assert "Raises:" in text or "errors as" in text


@pytest.mark.parametrize("name", [name for name in CALLABLES if name.endswith("_many")])
def test_bulk_results_tell_their_shape(name: str) -> None:
    text = inspect.getdoc(CALLABLES[name]) or ""

    assert any(shape in text for shape in ("[len(keys)]", "[len(hashes)]", "a list of bytes[8]"))
