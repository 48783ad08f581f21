"""What counts as the same answer."""

from decimal import Decimal

import pytest

from shardhash.errors import DatabaseError, QueryRefusedError
from shardhash.testing import Answer, Verdict, compare

COLUMNS = (("a", "INT"), ("b", "VARCHAR"))


def answer(*rows, columns=COLUMNS):
    return Answer(columns, rows)


def verdict(expected, found, *, is_ordered=True, **options):
    return compare(expected, found, is_ordered=is_ordered, **options)[0]


def test_equal_answers_are_the_same():
    assert verdict(answer((1, "x"), (2, None)), answer((1, "x"), (2, None))) is Verdict.SAME


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (1, Decimal(1)),
        (1, True),
        (1.0, 1),
        (Decimal("1.0"), Decimal("1.00")),
        (0.0, -0.0),
        (None, 0),
        ("a", b"a"),
        ("a", "a "),
        (0.1 + 0.2, 0.3),
    ],
)
def test_values_and_their_types_must_be_equal(ours, theirs):
    assert verdict(answer((theirs,)), answer((ours,))) is Verdict.WRONG


def test_names_and_types_of_columns_must_be_equal():
    assert verdict(answer(), answer(columns=(("A", "INT"), COLUMNS[1]))) is Verdict.WRONG
    assert verdict(answer(), answer(columns=(("a", "BIGINT"), COLUMNS[1]))) is Verdict.WRONG


def test_a_row_more_or_less_is_wrong():
    assert verdict(answer((1,)), answer()) is Verdict.WRONG
    assert verdict(answer((1,)), answer((1,), (1,))) is Verdict.WRONG


def test_order_counts_only_where_the_question_fixes_it():
    one, other = answer((1, "x"), (None, "y")), answer((None, "y"), (1, "x"))

    assert verdict(one, other, is_ordered=True) is Verdict.WRONG
    assert verdict(one, other, is_ordered=False) is Verdict.SAME


def test_floats_and_nulls_that_change_places_are_told_apart():
    rows = [(0.0, None), (None, 0.0)]

    assert verdict(answer(*rows), answer(*rows[::-1]), is_ordered=False) is Verdict.SAME


def test_equal_rows_are_counted_where_order_does_not_matter():
    assert verdict(answer((1,), (1,), (2,)), answer((1,), (2,), (2,)), is_ordered=False) is (
        Verdict.WRONG
    )


def test_a_text_may_stand_for_all_that_fold_into_it_but_for_no_other():
    folds = {0: {"a": "A", "A": "A", "b": "b"}}

    assert verdict(answer(("a",)), answer(("A",)), folds=folds) is Verdict.SAME
    assert verdict(answer(("a",)), answer(("b",)), folds=folds) is Verdict.WRONG
    assert verdict(answer(("a",)), answer(("á",)), folds=folds) is Verdict.WRONG


def test_floats_may_be_a_hair_apart_if_told_so():
    assert verdict(answer((0.3,)), answer((0.1 + 0.2,)), float_tolerance=1e-9) is Verdict.SAME
    assert verdict(answer((0.3,)), answer((0.31,)), float_tolerance=1e-9) is Verdict.WRONG


def test_a_refusal_is_neither_right_nor_wrong():
    refused = Answer(error=QueryRefusedError("no"), is_refusal=True)

    assert verdict(answer((1,)), refused) is Verdict.REFUSED


def test_both_must_fail_or_none():
    failed = Answer(error=DatabaseError("no such column"))

    assert verdict(failed, failed) is Verdict.BOTH_FAILED
    assert verdict(failed, answer()) is Verdict.WRONG
    assert verdict(answer(), failed) is Verdict.WRONG
