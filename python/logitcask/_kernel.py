"""The compiled decoder of frames, run by wasmtime where that is installed.

decode.wasm is built from kernel/decode.ts, which says what lies where in its memory. Threads
borrow instances; wasmtime is imported with the first one. What was decoded may stay where it is:
the instance then serves again once nobody looks at it any more.
"""

from __future__ import annotations

import atexit
import ctypes
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from ._frame import HEADER, Header, decompress

PAGE = 65_536
# Most memory that an instance keeps.
BYTES_MAX = 64 * 1024 * 1024
# Instances that are kept while nobody decodes.
KERNELS_MAX = 4
# Instances whose results may stay in them: what more batches hold is copied to memory of its size.
LENT_MAX = 8
WORDS = 16
VALUES, INTEGERS, CHOSEN = 1, 2, 4


class Views(NamedTuple):
    """What was decoded, in memory that the next call writes over; no levels without INTEGERS."""

    offsets: np.ndarray
    masses: np.ndarray
    ids: np.ndarray
    levels: np.ndarray
    probs: np.ndarray


class Block(NamedTuple):
    """A checked frame."""

    header: Header
    frame: memoryview

    def raw(self) -> np.ndarray:
        return decompress(self.frame, self.header)

    def is_lz4(self) -> bool:
        """The kernel decompresses it."""
        return self.header.compression.codec.name == "lz4_raw"

    def input_bytes(self) -> int:
        return len(self.frame) if self.is_lz4() else HEADER.size + self.header.raw_bytes

    def parts(self) -> tuple[Any, ...]:
        return (self.frame,) if self.is_lz4() else (self.frame[: HEADER.size], self.raw())


@cache
def _compiled() -> tuple[Any, Any]:
    from wasmtime import Config, Engine, Module

    config = Config()
    # no threads and no signal handlers inside a training process, which may fork
    config.parallel_compilation = False
    config.signals_based_traps = False
    engine = Engine(config)
    return engine, Module(engine, (files(__package__) / "decode.wasm").read_bytes())


class Kernel:
    """One instance, with the memory that it decodes in."""

    def __init__(self, rest_mass: np.ndarray) -> None:
        from wasmtime import Instance, Store

        engine, module = _compiled()
        self._store = Store(engine)
        exports = Instance(self._store, module, []).exports(self._store)
        self._memory, self._run = exports["memory"], exports["run"]
        addresses = (exports[f"get{name}"](self._store) for name in ("Control", "Masses", "Input"))
        self._control_at, masses_at, self._input_at = addresses
        self._map()
        self._bytes[masses_at : masses_at + rest_mass.nbytes] = rest_mass.view(np.uint8)

    def _map(self) -> None:
        # views of an array refer to that array and not to what it lies in, as that is none itself
        self._bytes = np.frombuffer(self._memory.get_buffer_ptr(self._store), np.uint8)
        self._control = self._view(self._control_at, WORDS, np.uint32)

    def lend(self) -> None:
        """Leaves what was decoded to those who look at it; the last one gives the kernel back."""
        _lent[id(self)] = self
        weakref.finalize(self._bytes, _give_back, id(self)).atexit = False
        del self._bytes, self._control

    def _view(self, at: int, items: int, dtype: Any) -> np.ndarray:
        return self._bytes[at : at + items * np.dtype(dtype).itemsize].view(dtype)

    def _hold(self, size: int) -> bool:
        """Grows memory to `size` bytes; false where that is more than is kept."""
        if len(self._bytes) < size <= BYTES_MAX:
            self._memory.grow(self._store, -(-(size - len(self._bytes)) // PAGE))
            self._map()
        return size <= len(self._bytes)

    def decode(
        self,
        blocks: Sequence[Block],
        vocabulary: int,
        chosen: np.ndarray | None = None,
        what: int = VALUES | INTEGERS,
    ) -> Views | None:
        """Blocks joined, or positions of one alone.

        None for what is damaged, or takes more memory than is kept: numpy's part.
        """
        self._map()
        at = self._input_at
        for block in blocks:
            after = at + -(-block.input_bytes() // 16) * 16
            if not self._hold(after):
                return None
            for part in block.parts():
                self._bytes[at : at + len(part)] = part
                at += len(part)
            at = after
        positions = 0 if chosen is None else len(chosen)
        if vocabulary < 1 or not self._hold(at + 4 * positions):
            return None
        if chosen is not None:
            what |= CHOSEN
            self._view(at, positions, np.uint32)[:] = chosen
        max_id = min(vocabulary, 1 << 32) - 1
        self._control[:4] = len(blocks), what, max_id, positions
        while pages := self._run(self._store):
            if pages < 0 or not self._hold(pages * PAGE):
                return None
        positions, entries, offsets, masses, _, ids, levels, probs = self._control[8:].tolist()
        return Views(
            self._view(offsets, positions + 1, np.uint32),
            self._view(masses, positions, np.float32),
            self._view(ids, entries, np.uint32),
            self._view(levels, entries if what & INTEGERS else 0, np.uint16),
            self._view(probs, entries, np.float32),
        )


#: Instances that nobody decodes with; threads come and go, and each would make its own.
_idle: deque[Kernel] = deque(maxlen=KERNELS_MAX)
#: Those whose memory is looked at, by their identity.
_lent: dict[int, Kernel] = {}


def _give_back(key: int) -> None:
    """May run anywhere: nothing is locked, and each step is whole in itself."""
    _idle.append(_lent.pop(key))


def _borrowed(rest_mass: np.ndarray) -> Kernel:
    try:
        return _idle.pop()
    except IndexError:
        return Kernel(rest_mass)


@contextmanager
def kernel(rest_mass: np.ndarray) -> Iterator[Kernel | None]:
    """An instance for this thread alone, while it uses what that decoded; None without wasmtime."""
    if not installed():
        yield None
        return
    own = _borrowed(rest_mass)
    try:
        yield own
    finally:
        _idle.append(own)


def decode_in_place(
    blocks: Sequence[Block], vocabulary: int, what: int, rest_mass: np.ndarray
) -> Views | None:
    """Blocks joined, left where they were decoded as long as anybody looks at them.

    None also where instances enough are lent.
    """
    if not installed() or len(_lent) >= LENT_MAX:
        return None
    own, views = _borrowed(rest_mass), None
    try:
        views = own.decode(blocks, vocabulary, what=what)
        return views
    finally:
        if views is None:
            _idle.append(own)
        else:
            own.lend()


@cache
def installed() -> bool:
    return find_spec("wasmtime") is not None


@atexit.register
def _end() -> None:
    """At its end the interpreter clears wasmtime's modules before ours: objects would complain.

    Batches and threads may still hold kernels, so that all of them end with the process.
    """
    for holder in (_idle, _lent, _compiled):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(holder))
