"""Fetching ahead: in order, under its limits, and never in the way of an end."""

import subprocess
import sys
import threading
import time

import pytest

from logitcask._prefetch import Ahead


class Fetcher:
    """Things of a size that say when they are fetched."""

    def __init__(self, size=1, fails_at=None, slow=False):
        self.size, self.fails_at, self.slow = size, fails_at, slow
        self.begun, self.at_once, self.most = [], 0, 0
        self.lock = threading.Lock()

    def __call__(self, item):
        with self.lock:
            self.begun.append(item)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        if self.slow:
            time.sleep(0.002 if item % 3 else 0.02)
        with self.lock:
            self.at_once -= 1
        if item == self.fails_at:
            raise ValueError(item)
        return item


def ahead(fetcher, count=20, depth=3, bytes_max=1 << 20):
    return Ahead(
        fetcher,
        range(count),
        depth=depth,
        bytes_max=bytes_max,
        size_of=lambda _: fetcher.size,
    )


def settle(fetcher):
    before = -1
    while before != len(fetcher.begun):
        before = len(fetcher.begun)
        time.sleep(0.03)
    return before


@pytest.mark.parametrize("depth", [1, 2, 3, 9])
def test_things_come_in_order_whatever_finishes_first(depth):
    fetcher = Fetcher(slow=True)
    assert list(ahead(fetcher, depth=depth)) == list(range(20))
    assert fetcher.most <= min(depth, 4)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_wait_than_the_depth(depth):
    fetcher = Fetcher()
    things = ahead(fetcher, depth=depth)
    given = iter(things)
    for expected in range(5):
        assert next(given) == expected
        assert settle(fetcher) == expected + 1 + depth
    things.close()


def test_no_more_bytes_wait_than_allowed_but_one_thing_always():
    fetcher = Fetcher(size=100)
    things = ahead(fetcher, depth=9, bytes_max=350)
    given = iter(things)
    next(given)
    for taken in range(1, 6):  # sizes are known once the first has come
        settle(fetcher)
        next(given)
        assert settle(fetcher) <= max(9, taken + 1 + 3)
    assert len(fetcher.begun) == 9
    things.close()
    huge = Fetcher(size=1000)
    assert list(ahead(huge, depth=9, bytes_max=1)) == list(range(20))


def test_a_failure_comes_in_its_turn():
    given = iter(ahead(Fetcher(fails_at=2)))
    assert [next(given), next(given)] == [0, 1]
    with pytest.raises(ValueError, match="2"):
        next(given)


def test_nothing_is_given_of_nothing():
    assert list(ahead(Fetcher(), count=0)) == []


def test_closed_it_fetches_no_more_and_its_threads_end():
    fetcher = Fetcher()
    things = ahead(fetcher, depth=2)
    next(iter(things))
    things.close()
    seen = settle(fetcher)
    assert seen <= 4 and list(things) == []
    deadline = time.monotonic() + 5
    while any("logitcask" in one.name for one in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_ends_while_a_fetch_hangs():
    code = """
import time
from logitcask._prefetch import Ahead
things = Ahead(lambda i: time.sleep(60 * i), range(3), depth=2, bytes_max=1, size_of=lambda _: 0)
next(iter(things))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
