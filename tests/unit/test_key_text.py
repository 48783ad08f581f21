"""Primary keys as JSON text: what comes back is what went in, and no two keys share a text."""

import json
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardhash.db.sql import key_from_text, key_to_text

VALUES = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    st.floats(allow_nan=False),
)
KEYS = st.lists(VALUES, min_size=1, max_size=4).map(tuple)


def exact(key):
    """Return what tells values apart that Python calls equal: 1 and 1.0, 0.0 and -0.0."""
    return [(type(value), str(value)) for value in key]


@given(KEYS)
def test_a_key_comes_back_as_it_was(key):
    assert exact(key_from_text(key_to_text(key))) == exact(key)


@given(KEYS, KEYS)
def test_different_keys_have_different_texts(key, other):
    assert (key_to_text(key) == key_to_text(other)) == (exact(key) == exact(other))


@given(KEYS)
def test_the_text_is_json_in_ascii(key):
    text = key_to_text(key)

    assert text.isascii()
    assert isinstance(json.loads(text), list)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((1, "a"), '[1,"a"]'),
        ((b"\0\xff",), '[{"bytes":"00ff"}]'),
        ((Decimal("1.50"), date(2026, 1, 31)), '[{"decimal":"1.50"},{"date":"2026-01-31"}]'),
        ((datetime(2026, 1, 31, 12, 0, 0, 5),), '[{"datetime":"2026-01-31T12:00:00.000005"}]'),
        ((timedelta(days=-1, microseconds=1),), '[{"time":-86399999999}]'),
        ((0.1,), '[{"float":"0x1.999999999999ap-4"}]'),
    ],
)
def test_texts_stay_the_same_across_versions(key, text):
    assert key_to_text(key) == text


@pytest.mark.parametrize("value", [None, True, object(), [1]])
def test_what_no_key_column_holds_is_refused(value):
    with pytest.raises(TypeError, match="a primary key cannot hold"):
        key_to_text((value,))
