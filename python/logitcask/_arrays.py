"""What frames are decoded into, and the integers of a raw block as numpy reads them."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from ._frame import damaged
from ._kernel import Block, Views
from ._memory import take
from ._targets import Targets


def join_planes(planes: np.ndarray, out: np.ndarray) -> None:
    """Joins the bytes of integers, uint8 [bytes, M] with the low bytes first, into out [M]."""
    out[:] = planes[-1]
    for plane in planes[-2::-1]:
        out <<= 8
        out |= plane


class Planes(NamedTuple):
    """Counts int64 [n] of a block, and the bytes of its integers, low ones first."""

    counts: np.ndarray
    rest: np.ndarray
    ids: np.ndarray
    levels: np.ndarray


def planes_of(block: Block) -> Planes:
    header, raw = block.header, block.raw()
    n, m, width, planes = header.positions, header.entries, header.count_width, header.id_planes
    counts = raw[: n * width].view(f"<u{width}").astype(np.int64)
    total = int(counts.sum())
    if total != m:
        raise damaged("its counts do not add up to its entries", m, total)
    rest_end = n * width + (2 * n if header.kind == "scaled" else 0)
    ids_end = rest_end + planes * m
    return Planes(
        counts,
        raw[n * width : rest_end].reshape(2, -1),
        raw[rest_end:ids_end].reshape(planes, m),
        raw[ids_end:].reshape(2, m),
    )


class Arrays(NamedTuple):
    """What frames are decoded into, for some positions; see Targets for the shapes."""

    counts: np.ndarray
    rest: np.ndarray
    masses: np.ndarray
    ids: np.ndarray
    levels: np.ndarray
    probs: np.ndarray

    @classmethod
    def empty(cls, kind: str, positions: int, entries: int) -> Arrays:
        """Arrays in one piece of memory, which later batches use again."""
        scaled = positions if kind == "scaled" else 0
        fields = (
            (positions, np.int64),
            (scaled, np.uint16),
            (scaled, np.float32),
            (entries, np.uint32),
            (entries, np.uint16),
            (entries, np.float32),
        )
        sizes = [items * np.dtype(dtype).itemsize for items, dtype in fields]
        starts = [0, *accumulate(-(-size // 64) * 64 for size in sizes)]
        memory = take(starts[-1])
        return cls(
            *(
                memory[start : start + size].view(dtype)
                for start, size, (_, dtype) in zip(starts, sizes, fields)
            )
        )

    def part(self, positions: slice, entries: slice) -> Arrays:
        return Arrays(*(a[positions] for a in self[:3]), *(a[entries] for a in self[3:]))

    def read(
        self, planes: Planes, positions: Any = slice(None), entries: Any = slice(None)
    ) -> None:
        """Takes over a block's integers, ids still as deltas."""
        self.counts[:] = planes.counts[positions]
        if len(self.rest) > 0:
            join_planes(planes.rest[:, positions], self.rest)
        join_planes(planes.ids[:, entries], self.ids)
        join_planes(planes.levels[:, entries], self.levels)

    def copy(self, views: Views) -> None:
        """Takes over what the kernel decoded; it needs no stored rest."""
        np.subtract(views.offsets[1:], views.offsets[:-1], out=self.counts)
        if len(self.masses) > 0:
            self.masses[:] = views.masses
        self.ids[:] = views.ids
        self.levels[:] = views.levels
        self.probs[:] = views.probs

    def targets(self, kind: str) -> Targets:
        offsets = np.zeros(len(self.counts) + 1, np.int64)
        np.cumsum(self.counts, out=offsets[1:])
        return Targets(kind, offsets, self.ids, self.probs, self.masses, self.levels)
