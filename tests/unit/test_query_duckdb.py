"""What DuckDB is given for windows, and what is made of its numbers."""

from decimal import Decimal

import pytest

from shardhash.db.query._duckdb import Inputs, window_values
from shardhash.db.tasks import ResultColumn
from shardhash.errors import QueryRefusedError

MEMORY = 2**30


def running_sums(values, column):
    """Return the sums of all values up to each."""
    inputs = Inputs()
    ranks, numbers = inputs.ranks("id"), inputs.numbers("x")
    rows = list(enumerate(values))
    types = (ResultColumn("id", "INT"), column)
    sql = f"sum({numbers.name}) OVER (ORDER BY {ranks.name})"
    found = window_values(inputs, rows, types, [sql], memory=MEMORY)
    return [numbers.restored(total) for (total,) in found]


def test_decimals_add_up_exactly_and_keep_their_scale():
    values = [Decimal("99999999999999999999.99"), None, Decimal("0.02"), Decimal("-1.00")]
    found = running_sums(values, ResultColumn("x", "DECIMAL", 2))

    assert [str(total) for total in found] == [
        "99999999999999999999.99",
        "99999999999999999999.99",
        "100000000000000000000.01",
        "99999999999999999999.01",
    ]


def test_decimals_of_more_than_28_digits_add_up_exactly():
    values = [Decimal("123456789012345678901234567890.12"), Decimal("0.01")]
    found = running_sums(values, ResultColumn("x", "DECIMAL", 2))

    assert [str(total) for total in found] == [
        "123456789012345678901234567890.12",
        "123456789012345678901234567890.13",
    ]


def test_whole_numbers_add_up_beyond_64_bits():
    assert running_sums([2**64 - 1] * 3, ResultColumn("x", "BIGINT")) == [
        n * (2**64 - 1) for n in (1, 2, 3)
    ]


def test_values_without_a_number_have_no_sum():
    assert running_sums([None, 2], ResultColumn("x", "INT")) == [None, 2]


def test_a_sum_of_more_than_38_digits_is_refused():
    largest = Decimal("9" * 38)

    with pytest.raises(QueryRefusedError, match="38 digits"):
        running_sums([largest, largest], ResultColumn("x", "DECIMAL", 0))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_decimal_whose_digits_need_more_than_128_bits_is_refused(sign):
    value = sign * Decimal("12345678901.1")

    with pytest.raises(QueryRefusedError, match="digits"):
        running_sums([value], ResultColumn("x", "DECIMAL", 30))


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([1.5], ResultColumn("x", "FLOAT", 31)),
        (["1"], ResultColumn("x", "VARCHAR")),
        ([1, 1.5], ResultColumn("x")),
        (["1"], ResultColumn("x")),
        ([2**62, 2**62], ResultColumn("x")),
    ],
)
def test_what_adds_up_in_a_way_that_is_not_known_is_refused(values, column):
    with pytest.raises(QueryRefusedError, match="sum"):
        running_sums(values, column)


def test_no_rows_have_no_values():
    assert running_sums([], ResultColumn("x", "INT")) == []


def test_ranks_and_row_numbers_lead_back_to_values():
    inputs = Inputs()
    ranks, numbers = inputs.ranks("a"), inputs.row_numbers("b")
    rows = [(b"b", "B"), (None, "-"), (b"a", "A")]
    types = (ResultColumn("a", "BLOB"), ResultColumn("b", "VARCHAR"))
    sql = [
        f"arg_max({numbers.name}, {ranks.name}) OVER ()",
        f"lag({numbers.name}) OVER (ORDER BY {ranks.name})",
    ]
    found = window_values(inputs, rows, types, sql, memory=MEMORY)

    assert [numbers.value(row) for row, _ in found] == ["B"] * 3
    assert [numbers.value(row) for _, row in found] == ["A", "B", None]
