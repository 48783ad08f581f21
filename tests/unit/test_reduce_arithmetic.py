"""Numbers computed from the shards' answers, in the form of the server's column."""

from decimal import Decimal

import pytest

from shardhash.db.reduce._arithmetic import converter
from shardhash.db.tasks import ResultColumn


@pytest.mark.parametrize("value", ["-0.001", "-0", "-0.000"])
def test_a_decimal_zero_has_no_sign(value):
    shown = converter(ResultColumn("x", "DECIMAL", 2))(Decimal(value))

    assert str(shown) == "0.00"


def test_a_double_zero_has_no_sign():
    assert str(converter(ResultColumn("x", "DOUBLE", 31))(-0.0)) == "0.0"


def test_a_decimal_is_rounded_half_away_from_zero():
    shown = converter(ResultColumn("x", "DECIMAL", 1))

    assert [str(shown(Decimal(v))) for v in ("0.25", "-0.25", "0.24")] == ["0.3", "-0.3", "0.2"]
