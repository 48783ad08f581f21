"""Numbers computed from the shards' answers, in the form of the server's column."""

from decimal import Decimal

import pytest

from shardhash.db.query._scopes import Lineage
from shardhash.db.query._typing import signed
from shardhash.db.reduce._arithmetic import compute, converter
from shardhash.db.schema import Column
from shardhash.db.tasks import ResultColumn
from shardhash.errors import DatabaseError, QueryRefusedError


@pytest.mark.parametrize("value", ["-0.001", "-0", "-0.000"])
def test_a_decimal_zero_has_no_sign(value):
    shown = converter(ResultColumn("x", "DECIMAL", 2))(Decimal(value))

    assert str(shown) == "0.00"


def test_a_double_zero_has_no_sign():
    assert str(converter(ResultColumn("x", "DOUBLE", 31))(-0.0)) == "0.0"


def test_a_decimal_is_rounded_half_away_from_zero():
    shown = converter(ResultColumn("x", "DECIMAL", 1))

    assert [str(shown(Decimal(v))) for v in ("0.25", "-0.25", "0.24")] == ["0.3", "-0.3", "0.2"]


@pytest.mark.parametrize(
    ("operator", "operands"), [("-", (2, 5)), ("+", (2, -5)), ("*", (2, -5)), ("div", (9, -2))]
)
def test_arithmetic_with_an_unsigned_number_is_never_negative(operator, operands):
    expression = (operator, ("unsigned", ("ref", 0)), ("ref", 1))

    with pytest.raises(DatabaseError, match="out of range"):
        compute(expression)(operands)
    assert compute(("-", ("unsigned", ("ref", 0)), ("ref", 1)))((5, 2)) == 3


def test_a_result_of_unsigned_numbers_is_unsigned():
    expression = ("-", ("+", ("unsigned", ("ref", 0)), ("const", 1)), ("const", 9))

    with pytest.raises(DatabaseError, match="out of range"):
        compute(expression)((2,))


def test_a_negative_result_is_refused_where_an_operand_may_be_unsigned():
    expression = ("-", ("unsure", ("ref", 0)), ("ref", 1))

    with pytest.raises(QueryRefusedError, match="unsigned"):
        compute(expression)((2, 5))
    assert compute(expression)((5, 2)) == 3
    assert compute(expression)((-5, 2)) == -7  # a negative number is of a signed type


def test_decimals_and_nulls_have_a_sign():
    assert compute(("-", ("unsigned", ("ref", 0)), ("const", 9)))((Decimal("1.5"),)) == Decimal(
        "-7.5"
    )
    assert compute(("-", ("unsigned", ("ref", 0)), ("const", 9)))((None,)) is None


@pytest.mark.parametrize(
    ("definition", "data_type", "expected"),
    [
        ("smallint(5) unsigned", "smallint", "unsigned"),
        ("int(5) unsigned zerofill", "int", "unsigned"),
        ("bigint(20)", "bigint", "ref"),
        ("decimal(10,2) unsigned", "decimal", "ref"),
    ],
)
def test_the_sign_of_a_column_is_that_of_its_definition(definition, data_type, expected):
    column = Column(name="n", data_type=data_type, definition=definition, nullable=True)
    lineage = Lineage(facts=None, column=column)

    assert signed(("ref", 0), lineage)[0] == expected
    assert signed(("ref", 0), None)[0] == "unsure"
