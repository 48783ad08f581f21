"""When a batch is run again, how often, and after which pauses."""

import logging

import pytest
from pymysql import err

from shardhash.db.connections import RetryPolicy
from shardhash.db.connections._retry import Retrier
from shardhash.db.drivers import Place, translate
from shardhash.errors import DatabaseError, ServerUnreachableError, TransientError

PLACE = Place(instance="east", address="10.0.0.5:3306", shard="s1", database="shop_s1")


class SteppedClock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Longest:
    """Chance that always takes the upper end."""

    def uniform(self, _a: float, b: float) -> float:
        return b

    def randrange(self, stop: int) -> int:
        return stop - 1


class Shortest(Longest):
    def uniform(self, a: float, _b: float) -> float:
        return a


class Batch:
    """Fails with each of these numbers in turn, then succeeds."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if not self.codes:
            return "done"
        cause = err.OperationalError(self.codes.pop(0), "said so")
        raise translate(cause, PLACE) from cause


def retrier(clock: SteppedClock | None = None, **policy: float) -> Retrier:
    return Retrier(
        policy=RetryPolicy(**policy),  # type: ignore[arg-type]
        clock=clock or SteppedClock(),
        chooser=Longest(),
    )


def test_a_batch_that_succeeds_is_run_once() -> None:
    batch = Batch()

    assert retrier().run(batch, shard="s1", idempotent=False) == "done"
    assert batch.tries == 1


@pytest.mark.parametrize("code", [1205, 1213, 2003])
@pytest.mark.parametrize("idempotent", [True, False])
def test_what_surely_was_rolled_back_is_run_again(code: int, idempotent: bool) -> None:
    batch = Batch(code, code)

    assert retrier().run(batch, shard="s1", idempotent=idempotent) == "done"
    assert batch.tries == 3


@pytest.mark.parametrize("code", [2006, 2013])
def test_a_lost_connection_is_run_again_only_if_idempotent(code: int) -> None:
    repeatable, single = Batch(code), Batch(code)

    retrier().run(repeatable, shard="s1", idempotent=True)
    with pytest.raises(TransientError, match="may or may not have been committed"):
        retrier().run(single, shard="s1", idempotent=False)
    assert (repeatable.tries, single.tries) == (2, 1)


@pytest.mark.parametrize("code", [1045, 1062, 1064, 1146, 2026])
def test_what_will_not_pass_is_raised_at_once(code: int) -> None:
    batch = Batch(code)

    with pytest.raises(DatabaseError, match="said so"):
        retrier().run(batch, shard="s1", idempotent=True)
    assert batch.tries == 1


def test_errors_that_are_not_of_a_database_pass_through() -> None:
    def batch() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        retrier().run(batch, shard="s1", idempotent=True)


def test_tries_are_bounded_and_told() -> None:
    batch = Batch(*[1213] * 10)

    with pytest.raises(TransientError, match=r"deadlock.*tried 4 times in 0\.7 s"):
        retrier(attempts=4).run(batch, shard="s1", idempotent=True)
    assert batch.tries == 4


def test_giving_up_keeps_class_and_advice() -> None:
    with pytest.raises(ServerUnreachableError) as caught:
        retrier(attempts=1).run(Batch(2003), shard="s1", idempotent=True)

    assert "server runs" in caught.value.next_step


def test_pauses_double_up_to_the_longest() -> None:
    clock = SteppedClock()
    policy = {"attempts": 6, "first_pause_s": 1.0, "longest_pause_s": 5.0}
    retrier(clock, **policy).run(Batch(*[1213] * 5), shard="s1", idempotent=True)

    assert clock.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_half_of_a_pause_is_left_to_chance() -> None:
    policy = RetryPolicy(first_pause_s=1.0)

    assert (policy.pause_s(1, Shortest()), policy.pause_s(1, Longest())) == (0.5, 1.0)


def test_each_retry_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    retrier().run(Batch(1205, 1213), shard="s1", idempotent=True)

    logged = [record.args for record in caplog.records]
    assert [(event, fields["reason"], fields["attempt"]) for event, fields in logged] == [
        ("batch_retried", "lock wait", 1),
        ("batch_retried", "deadlock", 2),
    ]
