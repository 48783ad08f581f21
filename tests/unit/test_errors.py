"""Errors travel: a worker in another process raises them here."""

import pickle

import pytest

from shardhash import errors
from shardhash.errors import ConfigError, Problem, ShardhashError

SIMPLE = [
    found
    for name in errors.__all__
    if isinstance(found := getattr(errors, name), type)
    and issubclass(found, ShardhashError)
    and found is not ConfigError
]


@pytest.mark.parametrize("kind", SIMPLE, ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_in_another_process(kind):
    error = pickle.loads(pickle.dumps(kind("what was found", next_step="what to do")))

    assert type(error) is kind
    assert (str(error), error.next_step) == ("what was found", "what to do")


def test_all_problems_of_a_configuration_travel():
    error = ConfigError([Problem("a.yaml", 1, 2, "x", "bad")], next_step="correct it")

    sent = pickle.loads(pickle.dumps(error))

    assert (str(sent), sent.problems, sent.next_step) == (str(error), error.problems, "correct it")
