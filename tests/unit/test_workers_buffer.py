"""The buffer between the thread that fetches rows and the one that reads them."""

import threading

import pytest

from servers import wait_until
from shardhash.db.workers._buffer import Buffer
from shardhash.db.workers._statement import EndedError
from shardhash.errors import UsageError


def block(number):
    return [(number, "x")]


def put_all(buffer, count, *, may_wait):
    for number in range(count):
        buffer.put(block(number), may_wait=lambda: may_wait)
    buffer.finish()


def test_blocks_come_out_in_order():
    buffer = Buffer()
    put_all(buffer, 3, may_wait=True)

    assert list(buffer.blocks()) == [block(0), block(1), block(2)]


def test_a_full_buffer_makes_the_writer_wait_for_the_reader():
    buffer = Buffer()
    writer = threading.Thread(target=put_all, args=(buffer, 50), kwargs={"may_wait": True})
    writer.start()
    wait_until(lambda: buffer._in_memory == 4, what="a full buffer")

    seen = []
    for each in buffer.blocks():
        assert buffer._in_memory <= 4
        seen.append(each)
    writer.join()
    assert seen == [block(number) for number in range(50)]


def test_a_writer_that_may_not_wait_stores_the_rest_and_keeps_the_order():
    buffer = Buffer()
    put_all(buffer, 50, may_wait=False)

    assert buffer._in_memory == 4
    assert list(buffer.blocks()) == [block(number) for number in range(50)]
    buffer.abandon()


def test_an_abandoned_buffer_ends_its_writer():
    buffer = Buffer()
    put_all(buffer, 4, may_wait=True)
    buffer.abandon()

    with pytest.raises(EndedError):
        buffer.put(block(5), may_wait=lambda: True)


def test_reading_an_abandoned_buffer_is_an_error():
    buffer = Buffer()
    put_all(buffer, 2, may_wait=True)
    buffer.abandon()

    with pytest.raises(UsageError, match="closed before"):
        list(buffer.blocks())


def test_an_error_comes_after_the_rows_before_it():
    buffer = Buffer()
    buffer.put(block(1), may_wait=lambda: True)
    buffer.finish(KeyError("gone"))
    blocks = buffer.blocks()

    assert next(blocks) == block(1)
    with pytest.raises(KeyError, match="gone"):
        next(blocks)
