"""What the property tests draw: keys, names, weights, bulk inputs of every kind."""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

TYPECODES = "bBhHiIlLqQ"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
weights = st.floats(0.05, 4.0) | st.sampled_from([1.0, 2.0, 1e-9])
hash_keys = (
    texts | st.binary(max_size=40) | st.integers() | st.integers(-(2**63), 2**64 - 1) | st.uuids()
)


def weighted(min_size: int = 1, max_size: int = 6) -> st.SearchStrategy[dict[str, float]]:
    """Names with weights, in no special order."""
    return st.dictionaries(names, weights, min_size=min_size, max_size=max_size)


@dataclass(frozen=True)
class Bulk:
    """The same keys twice: as a list of plain keys and in another form."""

    plain: list[Any]
    form: str
    make: Callable[[list[Any]], Any]

    def keys(self) -> Any:
        return self.make(self.plain)

    def __repr__(self) -> str:
        return f"{self.form} of {self.plain!r}"


def _sliced(make: Callable[[list[Any]], Any], extra: Any) -> Callable[[list[Any]], Any]:
    return lambda keys: make([extra, *keys, extra])[1:-1]


def _in_pieces(make: Callable[[list[Any]], Any], kind: pa.DataType) -> Callable[[list[Any]], Any]:
    def pieces(keys: list[Any]) -> Any:
        half = len(keys) // 2
        parts = [make(keys[:half]), make([]), make(keys[half:])]
        return pa.chunked_array(parts, type=kind)

    return pieces


def _arrow_forms(kind: pa.DataType, extra: Any) -> dict[str, Callable[[list[Any]], Any]]:
    def make(keys: list[Any]) -> Any:
        return pa.array(keys, kind)

    return {
        f"arrow {kind}": make,
        f"arrow {kind}, sliced": _sliced(make, extra),
        f"arrow {kind}, chunked": _in_pieces(make, kind),
    }


def _buffer_forms(code: str) -> dict[str, Callable[[list[Any]], Any]]:
    dtype = np.dtype(code)

    def numpy_array(keys: list[Any]) -> Any:
        return np.array(keys, dtype)

    return {
        f"array {code}": lambda keys: array(code, keys),
        f"memoryview {code}": lambda keys: memoryview(array(code, keys)),
        f"numpy {code}": numpy_array,
        f"numpy {code}, sliced": _sliced(numpy_array, 1),
        f"numpy {code}, read-only": lambda keys: np.frombuffer(bytes(array(code, keys)), dtype),
        f"list of numpy {code}": lambda keys: list(numpy_array(keys)),
    }


SEQUENCE_FORMS: Mapping[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "dict keys": lambda keys: dict.fromkeys(keys).keys(),
}
INT_FORMS = {
    (code, form): make
    for code in TYPECODES
    for form, make in {
        **_buffer_forms(code),
        **_arrow_forms(pa.from_numpy_dtype(np.dtype(code)), 1),
    }.items()
}
TEXT_FORMS = {
    form: make
    for kind in (pa.string(), pa.large_string(), pa.string_view())
    for form, make in _arrow_forms(kind, "before and after, not inline").items()
}
BYTES_FORMS = {
    form: make
    for kind in (pa.binary(), pa.large_binary())
    for form, make in _arrow_forms(kind, b"before and after").items()
}


def _bulk_of(
    elements: st.SearchStrategy[Any], forms: Mapping[str, Callable[[list[Any]], Any]]
) -> st.SearchStrategy[Bulk]:
    def choose(form: str) -> st.SearchStrategy[Bulk]:
        unique = form == "dict keys"
        plain = st.lists(elements, max_size=20, unique=unique)
        return plain.map(lambda keys: Bulk(keys, form, forms[form]))

    return st.sampled_from(sorted(forms)).flatmap(choose)


def _integers_of(code: str) -> st.SearchStrategy[int]:
    limits = np.iinfo(np.dtype(code))
    return st.integers(int(limits.min), int(limits.max))


def _int_buffers(pair: tuple[str, str]) -> st.SearchStrategy[Bulk]:
    plain = st.lists(_integers_of(pair[0]), max_size=20)
    return plain.map(lambda keys: Bulk(keys, pair[1], INT_FORMS[pair]))


bulk_ints = st.sampled_from(sorted(INT_FORMS)).flatmap(_int_buffers) | _bulk_of(
    st.integers(), SEQUENCE_FORMS
)
bulk_texts = _bulk_of(texts, {**SEQUENCE_FORMS, **TEXT_FORMS})
bulk_bytes = _bulk_of(st.binary(max_size=40), {**SEQUENCE_FORMS, **BYTES_FORMS})
bulk_keys = bulk_ints | bulk_texts | bulk_bytes | _bulk_of(hash_keys, SEQUENCE_FORMS)
