"""Things fetched ahead by a thread: given out in order, under a limit of bytes."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

#: Requests on their way at a time: more would only wait for each other, and take connections.
UNDER_WAY_MAX = 4
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
    waiting for one takes place while another is worked on. One thread does all that: several would
    take the interpreter, and the caches, from each other. It is a daemon: a process may end while
    a server does not answer.

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
        self._lock = threading.Lock()
        # apart, as every thread that wakes up takes the interpreter from the others
        self._ready = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._largest, self._one_came, self._wanted = 0, False, False
        self._closed = self._ended = False
        self._thread = threading.Thread(target=self._work, name="logitcask-prefetch", daemon=True)
        _live.add(self)
        self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._slots.clear()
            self._ready.notify_all()
            self._room.notify()

    def __iter__(self) -> Iterator[T]:
        while (slot := self._next()) is not None:
            if slot.error is not None:
                self.close()
                raise slot.error
            yield slot.value

    def _next(self) -> _Slot[T] | None:
        """The oldest slot, once it is done; None behind the last one."""
        with self._lock:
            self._wanted = True
            while not (self._closed or (self._slots[0].done if self._slots else self._ended)):
                self._ready.wait()
            self._wanted = False
            if not self._slots:
                return None
            slot = self._slots.popleft()
            self._room.notify()
            return slot

    def _work(self) -> None:
        begun: deque[tuple[_Slot[T], B]] = deque()

        def abandon() -> None:
            for _, thing in begun:
                thing.abandon()

        while not self._closed:
            full = len(begun) == UNDER_WAY_MAX or (begun and not begun[-1][1].under_way)
            taken = None if full else self._take(wait=not begun)
            if taken is not None:
                slot, item = taken
                try:
                    begun.append((slot, self._begin(item)))
                except BaseException as error:
                    self._end(slot, error=error)
            elif begun:
                slot, thing = begun.popleft()
                try:
                    self._end(slot, value=self._finish(thing, abandon))
                except BaseException as error:
                    self._end(slot, error=error)
            else:
                return
        abandon()

    def _end(
        self, slot: _Slot[T], value: T | None = None, error: BaseException | None = None
    ) -> None:
        slot.value, slot.error = value, error
        slot.size = 0 if value is None else self._size_of(value)
        with self._lock:
            self._largest, self._one_came = max(self._largest, slot.size), True
            slot.done = True
            if self._slots and self._slots[0] is slot:
                self._ready.notify_all()

    def _take(self, *, wait: bool) -> tuple[_Slot[T], int] | None:
        """The next item and its slot; None if there is no more, or no room and it does not wait."""
        with self._lock:
            while not (self._closed or self._has_room()):
                if not wait:
                    return None
                self._room.wait()
            item = None if self._closed else next(self._items, None)
            if item is None:
                self._ended = True
                self._ready.notify_all()
                return None
            slot: _Slot[T] = _Slot()
            self._slots.append(slot)
            return slot, item

    def _has_room(self) -> bool:
        slots = list(self._slots)
        if slots and slots[0].done and self._wanted:
            del slots[0]  # who waits for it will have taken it before anything else comes
        if not slots:
            return True
        held = sum(slot.size if slot.done else self._largest for slot in slots)
        room = held + self._largest <= self._bytes_max
        return self._one_came and len(slots) < self._depth and room


_live: weakref.WeakSet[Ahead[Any, Any]] = weakref.WeakSet()


# a forked child has none of the threads, and locks as they were
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_live.clear)


@atexit.register
def _close_all() -> None:
    """A thread that is inside a library while the interpreter ends may take the process with it."""
    for one in list(_live):
        one.close()
    for one in list(_live):
        one._thread.join(END_WAIT_S)
