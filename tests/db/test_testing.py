"""The harness on real databases: its oracle, its grammar, and rows that are put elsewhere."""

import pytest

from hostile import SHARDS, fill_whole, hostile_twins, write_config
from shardhash.errors import UsageError
from shardhash.testing import Twins, Verdict


@pytest.fixture
def twins(backend):
    with hostile_twins(backend) as twins:
        yield twins


def test_drawn_queries_run_and_have_one_right_answer(backend, monkeypatch):
    """The same rows in another order on disk give the same answers: none is a matter of luck."""
    fill_whole(backend, "other", shuffled_by=3)
    with hostile_twins(backend) as twins:
        monkeypatch.setattr(
            twins, "_ask_shards", lambda sql, parameters: twins._ask_one("other", sql, parameters)
        )
        tally = twins.check(twins.grammar(seed=11).queries(600))

    assert not tally.wrong, "\n\n".join(map(str, tally.wrong[:5]))
    assert tally.counts[Verdict.SAME] == 600  # none that the server itself does not take


def test_filled_shards_hold_each_row_on_its_owner(twins):
    twins.assert_placement()


def test_a_row_on_a_foreign_shard_is_found(twins, backend):
    backend.sql("s1", "INSERT INTO visits (day, visit_id) VALUES ('2026-01-01', 999)")

    with pytest.raises(AssertionError, match=r"visits .*999.*: on s1, belongs to s2"):
        twins.assert_placement()


def test_a_missing_row_is_found(twins, backend):
    backend.sql("s2", "DELETE FROM visits")

    with pytest.raises(AssertionError, match=r"visits .*: on none of the shards"):
        twins.assert_placement()


def test_a_doubled_row_without_key_is_found(twins, backend):
    for shard in ("s1", "s2"):
        backend.sql(shard, "DELETE FROM notes WHERE customer IS NULL")
        backend.sql(shard, "INSERT INTO notes (note_id, customer) VALUES (999, NULL)")

    with pytest.raises(AssertionError, match="times more than in whole"):
        twins.assert_placement()


def test_a_different_global_row_is_found(twins, backend):
    backend.sql("s3", "UPDATE countries SET size = 84 WHERE country = 'de'")

    with pytest.raises(AssertionError, match=r"global countries .*84.*: on s3 or in whole"):
        twins.assert_placement()


def test_tables_that_the_harness_did_not_make_stay(backend):
    fill_whole(backend)
    for shard in SHARDS:
        backend.add(shard)
    backend.sql("s4", "CREATE TABLE orders (precious INTEGER)")
    with (
        Twins.open(write_config(backend), whole="whole") as twins,
        pytest.raises(UsageError, match="shard s4 has a table orders"),
    ):
        twins.fill()

    assert backend.sql("s4", "SELECT precious FROM orders") == []


def test_filling_again_gives_the_same(twins, backend):
    backend.sql("s3", "UPDATE countries SET size = 84 WHERE country = 'de'")

    twins.fill()

    twins.assert_placement()


def test_equal_texts_are_those_of_the_server(twins, backend):
    equal = twins._equal_texts("orders.city")

    assert equal["b"] != equal["zz"] == "zz"
    assert equal["a"] == equal["A"] == "A"
    assert (equal.get("á") == equal["a"]) == (backend.kind == "mysql" and "á" in equal)


def test_the_same_seed_draws_the_same_queries(twins):
    one, again, other = (list(twins.grammar(seed=seed).queries(50)) for seed in (1, 1, 2))

    assert one == again != other
