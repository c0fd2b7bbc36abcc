"""Things fetched ahead of a loop: given out in order, under a limit of bytes."""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from .errors import LogitcaskError

T = TypeVar("T")

#: Requests on their way at a time: more would only wait for each other, and take connections.
UNDER_WAY_MAX = 4
#: A loop that is away so long between two things works; a thread then saves more than it costs.
BUSY_S = 0.001
#: The thread sees after so long that a loop that was not busy stays away: replies must be read.
LONG_S = 0.05
#: At its end a process waits so long for what is decoded right then, in seconds.
END_WAIT_S = 0.5


class Begun(Protocol):
    @property
    def under_way(self) -> bool: ...

    def abandon(self) -> None: ...


B = TypeVar("B", bound=Begun)


class _Slot(Generic[T]):
    """One thing on its way: its value, or what went wrong."""

    value: T | None = None
    error: BaseException | None = None
    done = False
    size = 0


class Ahead(Generic[B, T]):
    """Iterates over ``finish(begin(item))`` for the items, in order.

    Things are begun as far ahead as the limits allow and finished one after the other, so that
    waiting for one takes place while another is worked on. While the loop does nothing but take
    them, it does all that itself: a thread beside it would only take the interpreter, and the
    caches, from it. Once the loop stays away to work, a thread goes on meanwhile. It is a daemon:
    a process may end while a server does not answer.

    Args:
        begin: asks for an item, without waiting for it.
        items: what to fetch, in order.
        finish: gives what was begun; called with a function that it calls before it asks again.
            What was begun later is abandoned then, to be asked for in its turn: its replies would
            take what the server has for replies, and nobody would read them.
        size_of: bytes of what was fetched.
        depth: how many are on their way or wait to be given out, at most.
        bytes_max: no more is begun while so many bytes wait or, by the largest so far, are
            expected; one is always fetched, and the first one alone.
    """

    def __init__(
        self,
        begin: Callable[[int], B],
        items: Iterable[int],
        *,
        finish: Callable[[B, Callable[[], None]], T],
        size_of: Callable[[T], int],
        depth: int,
        bytes_max: int,
    ) -> None:
        self._begin, self._finish, self._size_of = begin, finish, size_of
        self._items = iter(items)
        self._depth, self._bytes_max = depth, bytes_max
        self._slots: deque[_Slot[T]] = deque()
        #: Touched by whoever works, one at a time.
        self._begun: deque[tuple[_Slot[T], B]] = deque()
        self._working = False
        self._lock = threading.Lock()
        # apart, as every thread that wakes up takes the interpreter from the others
        self._ready = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._largest, self._one_came = 0, False
        self._closed = self._ended = False
        #: Whether the loop is here, when it left, and whether it was away for long before.
        self._here, self._left_s, self._busy = False, -math.inf, True
        self._thread: threading.Thread | None = None
        _live.add(self)

    def close(self) -> None:
        if self._closed:
            return  # a collector may close it while that is being done
        self._closed = True
        if threading.current_thread() is not self._thread:  # which may hold the lock, and sees it
            with self._lock:
                self._stop()

    def _stop(self) -> None:
        self._slots.clear()
        self._ready.notify_all()
        self._room.notify()
        if not self._working:
            self._drop()

    def leave_parent(self) -> None:
        """In a forked child: what is under way is the parent's, and so may be the lock."""
        refused: _Slot[T] = _Slot()
        detail = "dataset: a forked process cannot go on with a loop of its parent, begin another"
        refused.error, refused.done = LogitcaskError("conflict", 409, detail), True
        self._slots, self._begun = deque([refused]), deque()
        self._lock = threading.Lock()
        self._ready = self._room = threading.Condition(self._lock)
        self._closed, self._working, self._thread = True, False, None

    def __iter__(self) -> Iterator[T]:
        while (slot := self._next()) is not None:
            if slot.error is not None:
                self.close()
                raise slot.error
            if self._thread is None and not self._closed:
                self._start()
            yield slot.value

    def _next(self) -> _Slot[T] | None:
        """The oldest slot, once it is done; None behind the last one."""
        with self._lock:
            self._here, self._busy = True, time.monotonic() - self._left_s >= BUSY_S
            while not (self._closed or (self._slots[0].done if self._slots else self._ended)):
                if self._working:
                    self._ready.wait()
                else:
                    self._work()
            self._here, self._left_s = False, time.monotonic()
            slot = self._slots.popleft() if self._slots else None
            if self._busy or slot is None:
                self._room.notify()
            return slot

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._help, name="logitcask-prefetch", daemon=True)
        self._thread.start()

    def _help(self) -> None:
        """Works while the loop is away."""
        with self._lock:
            try:
                while not self._closed and (self._begun or not self._ended):
                    if not self._working and self._may_help() and (self._begun or self._has_room()):
                        self._work()
                        if not self._may_help() or (self._slots and self._slots[0].done):
                            self._ready.notify_all()
                    else:
                        self._room.wait(LONG_S)
            finally:
                self._ready.notify_all()
                if self._closed:
                    self._stop()

    def _may_help(self) -> bool:
        """A loop that works expects it, also once it waits; any other, where it stays away."""
        return self._busy or (not self._here and time.monotonic() - self._left_s >= LONG_S)

    def _work(self) -> None:
        """Begins a thing, or finishes the oldest; the lock is let go meanwhile."""
        failed = self._begun and not self._begun[-1][1].under_way
        taken = None if failed or len(self._begun) == UNDER_WAY_MAX else self._take()
        if taken is None and not self._begun:
            return
        slot, thing = taken or self._begun.popleft()
        self._working = True
        try:
            self._lock.release()
            if taken is not None:
                begun = self._begin(thing)
            else:
                slot.value = self._finish(thing, self._abandon)
                slot.size = self._size_of(slot.value)
        except BaseException as error:
            if not isinstance(error, Exception) and threading.current_thread() is not self._thread:
                raise  # Ctrl-C ends the loop now, whichever thing was being worked on
            slot.error = error
        finally:
            try:
                self._lock.acquire()
            finally:
                self._working = False
        if taken is not None and slot.error is None:
            self._begun.append((slot, begun))
        else:
            self._largest, self._one_came = max(self._largest, slot.size), True
            slot.done = True
        if self._closed:
            self._drop()

    def _abandon(self) -> None:
        for _, thing in self._begun:
            thing.abandon()

    def _drop(self) -> None:
        self._abandon()
        self._begun.clear()

    def _take(self) -> tuple[_Slot[T], int] | None:
        """The next item and its slot; None if there is no more, or no room."""
        if not self._has_room():
            return None
        item = next(self._items, None)
        if item is None:
            self._ended = True
            return None
        slot: _Slot[T] = _Slot()
        self._slots.append(slot)
        return slot, item

    def _has_room(self) -> bool:
        if self._ended:
            return False
        slots = list(self._slots)
        if slots and slots[0].done and self._here:
            del slots[0]  # who waits for it will have taken it before anything else comes
        if not slots:
            return True
        held = sum(slot.size if slot.done else self._largest for slot in slots)
        room = held + self._largest <= self._bytes_max
        return self._one_came and len(slots) < self._depth and room


_live: weakref.WeakSet[Ahead[Any, Any]] = weakref.WeakSet()


def _leave_parent() -> None:
    for one in list(_live):
        one.leave_parent()
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)


@atexit.register
def _close_all() -> None:
    """A thread that is inside a library while the interpreter ends may take the process with it."""
    for one in list(_live):
        one.close()
    for one in list(_live):
        if one._thread is not None and one._thread.is_alive():
            one._thread.join(END_WAIT_S)
