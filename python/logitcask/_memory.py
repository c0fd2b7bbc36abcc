"""Large memory used again once nobody looks at it any more.

Fresh memory costs its page faults, which for a batch are as much work as receiving it: allocators
give large pieces back to the system, those of threads above all.
"""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np

#: Smaller pieces are kept by every allocator.
SMALL_BYTES = 128 * 1024
#: Pieces are made in multiples of it, so that batches that differ a little share them.
UNIT_BYTES = 1024 * 1024
#: Most that is kept for later, in all: what does not fit is given back to the system.
IDLE_MAX = 8
IDLE_BYTES_MAX = 1 << 27

_idle: deque[np.ndarray] = deque()


def take(size: int) -> np.ndarray:
    """uint8, writable, with any content; its memory is used again after the last view of it."""
    if size < SMALL_BYTES:
        return np.empty(size, np.uint8)
    memory = _held(size)
    if memory is None:
        memory = np.empty(-(-size // UNIT_BYTES) * UNIT_BYTES, np.uint8)
    # views of an array refer to that array and not to what it lies in, as that is none itself
    array = np.frombuffer(memoryview(memory), np.uint8, size)
    weakref.finalize(array, _give_back, memory).atexit = False
    return array


def _held(size: int) -> np.ndarray | None:
    """The last piece, which caches hold best, that fits and is not more than twice too large."""
    for _ in range(len(_idle)):
        try:
            memory = _idle.pop()
        except IndexError:  # another thread was faster
            return None
        if size <= len(memory) <= 2 * size + UNIT_BYTES:
            return memory
        _idle.appendleft(memory)  # the first to make room
    return None


def _give_back(memory: np.ndarray) -> None:
    """May run anywhere, inside `take` too: nothing is locked, and each step is whole in itself."""
    _idle.append(memory)
    while len(_idle) > IDLE_MAX or sum(map(len, tuple(_idle))) > IDLE_BYTES_MAX:
        try:
            _idle.popleft()
        except IndexError:
            return
