"""Frames of codec `planes` (docs/format.md): checked, then decoded without a loop over positions.

The kernel of the server decodes them where wasmtime is installed, otherwise numpy, which also says
what is wrong with a frame that the kernel refuses. Both give the same bits: float64 in the
documented order, one rounding to float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import _kernel
from ._arrays import Arrays, planes_of
from ._frame import check_frame, damaged
from ._kernel import Block
from ._targets import Targets
from .errors import LogitcaskError

NO_REST = np.empty(0, np.float32)
NO_LEVELS = np.empty(0, np.uint16)
REST_MASS = np.exp(np.arange(65_536) / -2048).astype(np.float32)

# Frames are decoded together up to so many entries. By numpy: few calls, arrays that stay in cache;
# by the kernel, which works in cache anyway: few calls, and memory within what it keeps.
RUN_ENTRIES = {"numpy": 65_536, "wasmtime": 2_097_152}


def decoder() -> str:
    """What decodes frames: ``wasmtime`` where that is installed, otherwise ``numpy``."""
    return "wasmtime" if _kernel.installed() else "numpy"


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


def independent_probs(levels: np.ndarray, step: float) -> np.ndarray:
    """Probabilities [M], float32: (level · step)², or 1 less that of 65,535 − level from 2^15."""
    if not levels.all():
        raise damaged("a level is 0", "≥ 1", 0)
    high = levels > 0x7FFF
    squares = np.where(high, 0xFFFF - levels, levels).astype(np.float64)
    most = math.floor(1 / step)
    most -= most * step > 1
    if squares.max(initial=0) > most:
        raise damaged("a level stands for no probability", "0 … 1", int(squares.max()))
    squares *= step
    squares *= squares
    return np.where(high, 1 - squares, squares).astype(np.float32)


def values_of(kind: str, levels: np.ndarray, step: float, tau: float) -> np.ndarray:
    """Weights of unbiased targets, probabilities of independent ones."""
    if kind == "unbiased":
        return unbiased_weights(levels, step, tau)
    return independent_probs(levels, step)


def _finish(part: Arrays, kind: str, vocabulary: int) -> None:
    runs = runs_of(part.counts)
    sum_deltas(part.ids, runs, vocabulary)
    if kind == "scaled":
        part.probs[:], part.masses[:] = scaled_probs(part.levels, part.rest, runs)


def _decode_run(blocks: list[Block], arrays: Arrays, vocabulary: int) -> None:
    """Decodes blocks of one kind into arrays of just their sizes."""
    with _kernel.kernel(REST_MASS) as kernel:
        views = None if kernel is None else kernel.decode(blocks, vocabulary)
        if views is not None:
            arrays.copy(views)
            return
    t = i = 0
    for block in blocks:
        header = block.header
        part = arrays.part(slice(t, t + header.positions), slice(i, i + header.entries))
        t, i = t + header.positions, i + header.entries
        part.read(planes_of(block))
        if header.kind != "scaled":
            part.probs[:] = values_of(header.kind, part.levels, header.step, header.tau)
    _finish(arrays, blocks[0].header.kind, vocabulary)


def _decode_in_place(blocks: list[Block], vocabulary: int, levels: bool) -> Targets | None:
    """Targets in the kernel's memory; None where it does not take them, or not now."""
    what = _kernel.VALUES | (_kernel.INTEGERS if levels else 0)
    views = _kernel.decode_in_place(blocks, vocabulary, what, REST_MASS)
    if views is None:
        return None
    kind, offsets = blocks[0].header.kind, views.offsets.astype(np.int64)
    rest = views.masses if kind == "scaled" else NO_REST
    return Targets(kind, offsets, views.ids, views.probs, rest, views.levels)


def decode_frames(
    frames: Sequence[memoryview | bytes],
    vocabulary: int,
    lengths: np.ndarray | None = None,
    *,
    levels: bool = True,
) -> Targets:
    """Decodes frames of one target set, positions and entries joined in order.

    Args:
        frames: one buffer a sample.
        vocabulary: V; ids at or above it are refused.
        lengths: int [len(frames)], the number of positions that each sample has, where known.
        levels: whether to give the stored integers too.

    Raises:
        LogitcaskError: ``frame-damaged``, never a wrong row.
    """
    views = [memoryview(frame) for frame in frames]
    blocks = [Block(check_frame(view), view) for view in views]
    kinds = {header.kind for header, _ in blocks}
    if len(kinds) > 1:
        raise damaged("frames of one target set differ in kind", "one kind", sorted(kinds))
    kind = kinds.pop() if kinds else "scaled"
    found = np.array([header.positions for header, _ in blocks], np.int64)
    if lengths is not None and not np.array_equal(found, lengths):
        raise damaged("samples have other numbers of positions", lengths, found)
    entries = sum(header.entries for header, _ in blocks)
    run_entries = RUN_ENTRIES[decoder()]
    if blocks and entries <= run_entries:
        in_place = _decode_in_place(blocks, vocabulary, levels)
        if in_place is not None:
            return in_place
    arrays = Arrays.empty(kind, int(found.sum()), entries)
    t = i = run_t = run_i = 0
    run: list[Block] = []
    for index, block in enumerate(blocks):
        run.append(block)
        t, i = t + block.header.positions, i + block.header.entries
        if i - run_i >= run_entries or index == len(blocks) - 1:
            part = arrays.part(slice(run_t, t), slice(run_i, i))
            _decode_run(run, part, vocabulary)
            run_t, run_i, run = t, i, []
    targets = arrays.targets(kind)
    return targets if levels else targets._replace(levels=NO_LEVELS)


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
    with _kernel.kernel(REST_MASS) as kernel:
        views = None if kernel is None else kernel.decode([block], vocabulary, chosen)
        if views is not None:
            arrays = Arrays.empty(header.kind, len(chosen), len(views.ids))
            arrays.copy(views)
            return arrays.targets(header.kind)
    planes = planes_of(block)
    counts = planes.counts[chosen]
    starts = np.cumsum(planes.counts) - planes.counts
    shift = starts[chosen] - (np.cumsum(counts) - counts)
    entries = np.arange(int(counts.sum())) + np.repeat(shift, counts)
    arrays = Arrays.empty(header.kind, len(chosen), len(entries))
    arrays.read(planes, chosen, entries)
    if header.kind != "scaled":
        arrays.probs[:] = values_of(header.kind, arrays.levels, header.step, header.tau)
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
