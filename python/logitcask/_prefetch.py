"""Things fetched ahead by threads: given out in order, under a limit of bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: More would only wait for each other: decoding holds the interpreter much of the time.
THREADS_MAX = 4


class _Slot(Generic[T]):
    """One thing on its way: its value, or what went wrong."""

    value: T | None = None
    error: BaseException | None = None
    done = False
    size = 0


class Ahead(Generic[T]):
    """Iterates over ``fetch(item)`` for the items, in order.

    Threads are daemons: a process may end while a server does not answer.

    Args:
        fetch: called by several threads.
        items: what to fetch, in order.
        depth: how many are on their way or wait to be given out, at most.
        bytes_max: no more is fetched while so many bytes wait or, by the largest so far, are
            expected; one is always fetched.
        size_of: bytes of what was fetched.
    """

    def __init__(
        self,
        fetch: Callable[[int], T],
        items: Iterable[int],
        *,
        depth: int,
        bytes_max: int,
        size_of: Callable[[T], int],
    ) -> None:
        self._fetch, self._size_of = fetch, size_of
        self._items = iter(items)
        self._depth, self._bytes_max = depth, bytes_max
        self._slots: deque[_Slot[T]] = deque()
        self._lock = threading.Lock()
        # apart, as every thread that wakes up takes the interpreter from the others
        self._ready = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._largest = 0
        self._closed = self._ended = False
        for number in range(min(depth, THREADS_MAX)):
            name = f"logitcask-prefetch-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._slots.clear()
            self._ready.notify_all()
            self._room.notify_all()

    def __iter__(self) -> Iterator[T]:
        while (slot := self._next()) is not None:
            if slot.error is not None:
                self.close()
                raise slot.error
            yield slot.value

    def _next(self) -> _Slot[T] | None:
        """The oldest slot, once it is done; None behind the last one."""
        with self._lock:
            while not (self._closed or (self._slots[0].done if self._slots else self._ended)):
                self._ready.wait()
            if not self._slots:
                return None
            slot = self._slots.popleft()
            self._room.notify()
            return slot

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            slot, item = taken
            try:
                slot.value = self._fetch(item)
                slot.size = self._size_of(slot.value)
            except BaseException as error:
                slot.error = error
            with self._lock:
                self._largest = max(self._largest, slot.size)
                slot.done = True
                if self._slots and self._slots[0] is slot:
                    self._ready.notify_all()

    def _take(self) -> tuple[_Slot[T], int] | None:
        """The next item and its slot, as soon as it may be fetched; None when there is no more."""
        with self._lock:
            while not (self._closed or self._has_room()):
                self._room.wait()
            if self._closed:
                return None
            item = next(self._items, None)
            if item is None:
                self._ended = True
                self._ready.notify_all()
                self._room.notify()  # the next one ends too
                return None
            slot: _Slot[T] = _Slot()
            self._slots.append(slot)
            if self._has_room():
                self._room.notify()  # one is woken at a time, as long as there is work for it
            return slot, item

    def _has_room(self) -> bool:
        held = sum(slot.size if slot.done else self._largest for slot in self._slots)
        room = held + self._largest <= self._bytes_max
        return not self._slots or (len(self._slots) < self._depth and room)
