"""Fetching ahead: in order, under its limits, and never in the way of an end."""

import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from logitcask._prefetch import BUSY_S, LONG_S, UNDER_WAY_MAX, Ahead


class Fetcher:
    """Things of a size that say when they are begun and finished."""

    def __init__(self, size=1, fails_at=None, refuses=None, slow=False, retries=(), unreachable=()):
        self.size, self.fails_at, self.refuses, self.slow = size, fails_at, refuses, slow
        self.retries, self.unreachable = retries, unreachable
        self.begun, self.finished, self.abandoned = [], [], []
        #: How many others were begun while one was finished, at most.
        self.under_way = 0
        #: Those that were, each time that one was tried again.
        self.behind = []

    def begin(self, item):
        self.begun.append(item)
        if item == self.refuses:
            raise KeyError(item)
        thing = SimpleNamespace(item=item, under_way=item not in self.unreachable)
        thing.abandon = lambda: self.abandon(thing)
        return thing

    def abandon(self, thing):
        thing.under_way = False
        self.abandoned.append(thing.item)

    def finish(self, thing, before_retry):
        self.under_way = max(self.under_way, len(self.begun) - len(self.finished) - 1)
        if self.slow:
            time.sleep(0.002 if thing.item % 3 else 0.02)
        if thing.item in self.retries:
            self.behind.append(self.begun[len(self.finished) + 1 :])
            before_retry()
        self.finished.append(thing.item)
        if thing.item == self.fails_at:
            raise ValueError(thing.item)
        return thing.item


def ahead(fetcher, count=20, depth=3, bytes_max=1 << 20):
    return Ahead(
        fetcher.begin,
        range(count),
        finish=fetcher.finish,
        size_of=lambda _: fetcher.size,
        depth=depth,
        bytes_max=bytes_max,
    )


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def settle(fetcher):
    before = -1
    while before != len(fetcher.begun):
        before = len(fetcher.begun)
        time.sleep(1.5 * LONG_S)
    return before


@pytest.mark.parametrize("depth", [1, 2, 3, 9])
def test_others_are_under_way_while_one_is_finished(depth):
    fetcher = Fetcher(slow=True)
    assert list(ahead(fetcher, depth=depth)) == list(range(20))
    assert fetcher.under_way == min(depth, UNDER_WAY_MAX) - 1
    assert fetcher.begun == fetcher.finished == list(range(20)) and fetcher.abandoned == []


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
    for taken in range(1, 6):
        next(given)
        assert settle(fetcher) == taken + 3
    things.close()
    huge = Fetcher(size=1000)
    assert list(ahead(huge, depth=9, bytes_max=1)) == list(range(20))
    assert huge.under_way == 0


def test_what_was_begun_behind_a_failure_is_asked_for_in_its_turn():
    fetcher = Fetcher(slow=True, retries=(5, 11))
    assert list(ahead(fetcher, depth=4)) == list(range(20))
    # as many as the loop had left room for by then
    assert fetcher.abandoned == [item for behind in fetcher.behind for item in behind] != []


def test_nothing_is_begun_behind_what_could_not_be():
    fetcher = Fetcher(slow=True, unreachable=(3,))
    seen = []
    finish = fetcher.finish
    fetcher.finish = lambda *thing: (seen.append(len(fetcher.begun)), finish(*thing))[1]
    assert list(ahead(fetcher, depth=4)) == list(range(20))
    assert seen[:4] == [1, 4, 4, 4]


@pytest.mark.parametrize(
    ("fault", "error"), [({"fails_at": 2}, ValueError), ({"refuses": 2}, KeyError)]
)
def test_a_failure_comes_in_its_turn(fault, error):
    given = iter(ahead(Fetcher(slow=True, **fault)))
    assert [next(given), next(given)] == [0, 1]
    with pytest.raises(error, match="2"):
        next(given)


def test_what_is_under_way_when_it_is_closed_is_abandoned():
    fetcher = Fetcher(slow=True)
    things = ahead(fetcher, depth=5)
    next(iter(things))
    things.close()
    wait_until(lambda: len(fetcher.finished) + len(fetcher.abandoned) >= len(fetcher.begun))
    assert fetcher.abandoned and fetcher.finished + fetcher.abandoned == fetcher.begun


def test_nothing_is_given_of_nothing():
    assert list(ahead(Fetcher(), count=0)) == []


class ByThread(Fetcher):
    """Says which thread finished each thing."""

    def __init__(self, **how):
        super().__init__(**how)
        self.by = []

    def finish(self, thing, before_retry):
        self.by.append(threading.current_thread() is threading.main_thread())
        return super().finish(thing, before_retry)


def test_a_loop_that_does_nothing_else_fetches_itself():
    fetcher = ByThread()
    assert list(ahead(fetcher, count=200, depth=4)) == list(range(200))
    assert sum(fetcher.by) > 100  # the scheduler may keep it away for a while


def test_a_loop_that_works_has_a_thread_fetch():
    fetcher = ByThread()
    for _ in ahead(fetcher, depth=4):
        time.sleep(20 * BUSY_S)
    assert fetcher.by[0] and sum(fetcher.by) < 10


def test_a_thread_goes_on_where_a_loop_that_did_nothing_else_stays_away():
    fetcher = ByThread()
    given = iter(ahead(fetcher, count=60, depth=4))
    for _ in range(40):
        next(given)
    wait_until(lambda: len(fetcher.finished) >= 44)
    assert fetcher.finished == list(range(44)) and not any(fetcher.by[-3:])
    assert list(given) == list(range(40, 60))


def test_an_interrupt_ends_the_loop_at_once():
    fetcher = ByThread()
    finish = fetcher.finish

    def interrupted(thing, before_retry):
        if thing.item >= 30 and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return finish(thing, before_retry)

    fetcher.finish = interrupted
    things = ahead(fetcher, count=60, depth=4)
    given = iter(things)
    with pytest.raises(KeyboardInterrupt):
        for expected in range(60):
            assert next(given) == expected
    things.close()
    assert fetcher.abandoned == fetcher.begun[len(fetcher.finished) + 1 :] != []


def test_its_own_thread_may_close_it():
    """As a collector does that runs there, with the lock held."""
    fetcher = Fetcher()
    things = ahead(fetcher, depth=2)
    has_room = things._has_room

    def closing():
        if threading.current_thread() is things._thread:
            things.close()
        return has_room()

    things._has_room = closing
    next(iter(things))
    things._thread.join(5)
    assert not things._thread.is_alive() and list(things) == []


def test_closed_it_fetches_no_more_and_its_thread_ends():
    fetcher = Fetcher()
    things = ahead(fetcher, depth=2)
    next(iter(things))
    things.close()
    seen = settle(fetcher)
    assert seen <= 4 and list(things) == []
    wait_until(lambda: not any("logitcask" in one.name for one in threading.enumerate()))


def test_a_process_ends_while_a_fetch_hangs():
    code = """
import time
from types import SimpleNamespace
from logitcask._prefetch import Ahead
things = Ahead(
    lambda i: SimpleNamespace(item=i, under_way=True), range(3),
    finish=lambda thing, _: time.sleep(60 * thing.item), size_of=lambda _: 0,
    depth=2, bytes_max=1,
)
next(iter(things))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_a_forked_child_ends_whatever_the_parent_fetches():
    code = """
import os
from types import SimpleNamespace
from logitcask._prefetch import Ahead
things = Ahead(
    lambda i: SimpleNamespace(under_way=True, abandon=lambda: None), range(3),
    finish=lambda thing, _: 1, size_of=lambda _: 0, depth=1, bytes_max=1,
)
next(iter(things))
things._lock.acquire()
child = os.fork()
if child > 0:
    things._lock.release()
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_a_forked_child_leaves_to_its_parent_what_is_under_way():
    code = """
import os
from types import SimpleNamespace
from logitcask._prefetch import Ahead
from logitcask.errors import LogitcaskError
abandoned = []
def begin(item):
    return SimpleNamespace(item=item, under_way=True, abandon=lambda: abandoned.append(item))
things = Ahead(
    begin, range(3), finish=lambda thing, _: thing.item, size_of=lambda _: 0, depth=2, bytes_max=9,
)
given = iter(things)
next(given)
child = os.fork()
if child > 0:
    assert os.waitpid(child, 0)[1] == 0
    assert list(given) == [1, 2]
else:
    try:
        next(given)
    except LogitcaskError as error:
        things.close()
        os._exit(error.code != "conflict" or abandoned != [])
    os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
