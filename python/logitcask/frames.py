"""Frames of codec `planes` (docs/format.md): checked, then decoded without a loop over positions.

The kernel of the server decodes them where wasmtime is installed, otherwise numpy, which also says
what is wrong with a frame that the kernel refuses. Both give the same bits: float64 in the
documented order, one rounding to float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _kernel
from ._frame import check_frame, damaged
from ._kernel import Block, Views
from ._targets import Targets
from .errors import LogitcaskError

REST_MASS = np.exp(np.arange(65_536) / -2048).astype(np.float32)

# Frames are finished together up to so many entries: few numpy calls, arrays that stay in cache.
RUN_ENTRIES = 65_536


def join_planes(planes: np.ndarray, out: np.ndarray) -> None:
    """Joins the bytes of integers, uint8 [bytes, M] with the low bytes first, into out [M]."""
    out[:] = planes[-1]
    for plane in planes[-2::-1]:
        out <<= 8
        out |= plane


class _Planes(NamedTuple):
    """Counts int64 [n] of a block, and the bytes of its integers, low ones first."""

    counts: np.ndarray
    rest: np.ndarray
    ids: np.ndarray
    levels: np.ndarray


def decoder() -> str:
    """What decodes frames: ``wasmtime`` where that is installed, otherwise ``numpy``."""
    return "numpy" if _kernel.kernel(REST_MASS) is None else "wasmtime"


def _planes(block: Block) -> _Planes:
    header, raw = block.header, block.raw()
    n, m, width, planes = header.positions, header.entries, header.count_width, header.id_planes
    counts = raw[: n * width].view(f"<u{width}").astype(np.int64)
    total = int(counts.sum())
    if total != m:
        raise damaged("its counts do not add up to its entries", m, total)
    rest_end = n * width + (2 * n if header.kind == "scaled" else 0)
    ids_end = rest_end + planes * m
    return _Planes(
        counts,
        raw[n * width : rest_end].reshape(2, -1),
        raw[rest_end:ids_end].reshape(planes, m),
        raw[ids_end:].reshape(2, m),
    )


class _Arrays(NamedTuple):
    """What frames are decoded into, for some positions; see Targets for the shapes."""

    counts: np.ndarray
    rest: np.ndarray
    masses: np.ndarray
    ids: np.ndarray
    levels: np.ndarray
    probs: np.ndarray

    @classmethod
    def empty(cls, kind: str, positions: int, entries: int) -> _Arrays:
        scaled = positions if kind == "scaled" else 0
        return cls(
            np.empty(positions, np.int64),
            np.empty(scaled, np.uint16),
            np.empty(scaled, np.float32),
            np.empty(entries, np.uint32),
            np.empty(entries, np.uint16),
            np.empty(entries, np.float32),
        )

    def part(self, positions: slice, entries: slice) -> _Arrays:
        return _Arrays(*(a[positions] for a in self[:3]), *(a[entries] for a in self[3:]))

    def read(
        self, planes: _Planes, positions: Any = slice(None), entries: Any = slice(None)
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


class Runs(NamedTuple):
    """Where the entries of the positions that hold any begin."""

    held: np.ndarray
    counts: np.ndarray
    starts: np.ndarray


def runs_of(counts: np.ndarray) -> Runs:
    held = np.flatnonzero(counts)
    counts = counts[held]
    return Runs(held, counts, np.cumsum(counts) - counts)


def sum_deltas(ids: np.ndarray, runs: Runs, vocabulary: int) -> None:
    """Turns deltas into ids, in place."""
    if len(runs.held) == 0:
        return
    # deltas are below 2^32: their sums cannot wrap in 64 bits
    last = np.add.reduceat(ids, runs.starts, dtype=np.uint64)
    first = ids[runs.starts]
    greatest = int(last.max())
    repeats = len(ids) - np.count_nonzero(ids) - (len(first) - np.count_nonzero(first))
    if greatest >= vocabulary or repeats > 0:
        raise damaged("its ids do not ascend below V", f"ids < {vocabulary}", greatest)
    # each position begins again at its own first id; what wraps comes back
    first[1:] -= last[:-1].astype(np.uint32)
    ids[runs.starts] = first
    np.cumsum(ids, dtype=np.uint32, out=ids)


def scaled_probs(levels: np.ndarray, rest: np.ndarray, runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [M] and rest masses [N], float32, of stored integers (scaled targets)."""
    if not levels.all():
        raise damaged("a level is 0", "≥ 1", 0)
    mass = np.ones(len(rest), np.float32)
    mass[runs.held] = REST_MASS[rest[runs.held]]
    squares = levels.astype(np.float64)
    squares *= squares
    if len(runs.held) > 0:
        sums = np.add.reduceat(squares, runs.starts)  # integers below 2^53: exact in any order
        scale = (1 - mass[runs.held].astype(np.float64)) / sums
        squares *= np.repeat(scale, runs.counts)
    return squares.astype(np.float32), mass


def unbiased_weights(levels: np.ndarray, step: float, tau: float) -> np.ndarray:
    """Weights [M], float32: (level · step)², and tau at level 0."""
    squares = levels.astype(np.float64)
    squares *= step
    squares *= squares
    weights = squares.astype(np.float32)
    np.copyto(weights, np.float32(tau), where=levels == 0)
    return weights


def _finish(part: _Arrays, kind: str, vocabulary: int) -> None:
    runs = runs_of(part.counts)
    sum_deltas(part.ids, runs, vocabulary)
    if kind == "scaled":
        part.probs[:], part.masses[:] = scaled_probs(part.levels, part.rest, runs)


def _decode_run(blocks: list[Block], arrays: _Arrays, vocabulary: int) -> None:
    """Decodes blocks of one kind into arrays of just their sizes."""
    kernel = _kernel.kernel(REST_MASS)
    views = None if kernel is None else kernel.decode(blocks, vocabulary)
    if views is not None:
        arrays.copy(views)
        return
    t = i = 0
    for block in blocks:
        header = block.header
        part = arrays.part(slice(t, t + header.positions), slice(i, i + header.entries))
        t, i = t + header.positions, i + header.entries
        part.read(_planes(block))
        if header.kind == "unbiased":
            part.probs[:] = unbiased_weights(part.levels, header.step, header.tau)
    _finish(arrays, blocks[0].header.kind, vocabulary)


def decode_frames(
    frames: Sequence[memoryview | bytes],
    vocabulary: int,
    lengths: np.ndarray | None = None,
) -> Targets:
    """Decodes frames of one target set, positions and entries joined in order.

    Args:
        frames: one buffer a sample.
        vocabulary: V; ids at or above it are refused.
        lengths: int [len(frames)], the number of positions that each sample has, where known.

    Raises:
        LogitcaskError: ``frame-damaged``, never a wrong row.
    """
    views = [memoryview(frame) for frame in frames]
    headers = [check_frame(view) for view in views]
    kinds = {header.kind for header in headers}
    if len(kinds) > 1:
        raise damaged("frames of one target set differ in kind", "one kind", sorted(kinds))
    kind = kinds.pop() if kinds else "scaled"
    found = np.array([header.positions for header in headers], np.int64)
    if lengths is not None and not np.array_equal(found, lengths):
        raise damaged("samples have other numbers of positions", lengths, found)
    arrays = _Arrays.empty(kind, int(found.sum()), sum(header.entries for header in headers))
    t = i = run_t = run_i = 0
    run: list[Block] = []
    for index, (view, header) in enumerate(zip(views, headers)):
        run.append(Block(header, view))
        t, i = t + header.positions, i + header.entries
        if i - run_i >= RUN_ENTRIES or index == len(views) - 1:
            part = arrays.part(slice(run_t, t), slice(run_i, i))
            _decode_run(run, part, vocabulary)
            run_t, run_i, run = t, i, []
    return arrays.targets(kind)


def decode_frame(
    frame: memoryview | bytes,
    vocabulary: int,
    positions: slice | Sequence[int] | np.ndarray | None = None,
) -> Targets:
    """Decodes one frame, or only some of its positions, in the order asked for.

    Args:
        frame, vocabulary: see decode_frames.
        positions: a slice, or integers from 0; all by default.

    Raises:
        LogitcaskError: ``frame-damaged``, never a wrong row; ``request-invalid`` where the frame
            has no such position.
    """
    if positions is None:
        return decode_frames([frame], vocabulary)
    view = memoryview(frame)
    header = check_frame(view)
    chosen = _chosen(positions, header.positions)
    block = Block(header, view)
    kernel = _kernel.kernel(REST_MASS)
    views = None if kernel is None else kernel.decode([block], vocabulary, chosen)
    if views is not None:
        arrays = _Arrays.empty(header.kind, len(chosen), len(views.ids))
        arrays.copy(views)
        return arrays.targets(header.kind)
    planes = _planes(block)
    counts = planes.counts[chosen]
    starts = np.cumsum(planes.counts) - planes.counts
    shift = starts[chosen] - (np.cumsum(counts) - counts)
    entries = np.arange(int(counts.sum())) + np.repeat(shift, counts)
    arrays = _Arrays.empty(header.kind, len(chosen), len(entries))
    arrays.read(planes, chosen, entries)
    if header.kind == "unbiased":
        arrays.probs[:] = unbiased_weights(arrays.levels, header.step, header.tau)
    _finish(arrays, header.kind, vocabulary)
    return arrays.targets(header.kind)


def _chosen(positions: slice | Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    if isinstance(positions, slice):
        return np.arange(count)[positions]
    chosen = np.asarray(positions, np.int64)
    if chosen.size > 0 and not 0 <= int(chosen.min()) <= int(chosen.max()) < count:
        detail = "frame: it has no such position, ask for those that the sample has"
        expected, got = f"0 … {count - 1}", (int(chosen.min()), int(chosen.max()))
        raise LogitcaskError("request-invalid", 400, detail, expected=expected, got=got)
    return chosen
