"""Frames of codec `planes` (docs/format.md): checked, then decoded without a loop over positions.

Numbers agree bit for bit with the server's own decoder: float64 in the documented order, one
rounding to float32.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .errors import LogitcaskError

HEADER = struct.Struct("<4sBBBBB3sIIffIII")
KINDS = ("scaled", "unbiased")
REST_MASS = np.exp(np.arange(65_536) / -2048).astype(np.float32)

# Frames are finished together up to so many entries: few numpy calls, arrays that stay in cache.
RUN_ENTRIES = 65_536


class Compression(NamedTuple):
    codec: pa.Codec
    # Most bytes that a byte of a block can give: a lying length is refused before it is allocated.
    ratio_max: int


# ZSTD: a run-length block turns 4 bytes into 128 KiB. LZ4: a length byte stands for 255.
COMPRESSIONS = {
    1: Compression(pa.Codec("zstd"), 32_768),
    2: Compression(pa.Codec("lz4_raw"), 255),
}


class Header(NamedTuple):
    kind: str
    compression: Compression
    count_width: int
    id_planes: int
    positions: int
    entries: int
    step: float
    tau: float
    raw_bytes: int


class Targets(NamedTuple):
    """Targets of N positions with M entries; ids ascend within a position.

    Attributes:
        kind: ``scaled`` (probabilities) or ``unbiased`` (weights that sum to 1 in expectation).
        offsets: int64 [N + 1]; position t has the entries [offsets[t], offsets[t + 1]).
        ids: uint32 [M]
        probs: float32 [M], probabilities or weights.
        rest: float32 [N], mass of everything not stored; [0] for unbiased targets.
        levels: uint16 [M], the stored integers; [0] where the source keeps log-probs instead.
    """

    kind: str
    offsets: np.ndarray
    ids: np.ndarray
    probs: np.ndarray
    rest: np.ndarray
    levels: np.ndarray


def damaged(what: str, expected: object, got: object) -> LogitcaskError:
    detail = f"frame: {what}, read it again from a good copy"
    return LogitcaskError("frame-damaged", 500, detail, expected=expected, got=got)


def check_frame(frame: memoryview) -> Header:
    """Checks all that can be checked without decompressing: magic, lengths, CRC-32, raw length."""
    if len(frame) < HEADER.size:
        raise damaged("it is shorter than its header", HEADER.size, len(frame))
    magic, version, kind, compression, width, planes, zero, n, m, step, tau, block, raw, crc = (
        HEADER.unpack_from(frame)
    )
    if magic != b"LCFR":
        raise damaged("it does not begin with LCFR", b"LCFR", magic)
    if version != 1:
        raise damaged("its version is not known", 1, version)
    if len(frame) != HEADER.size + block:
        raise damaged("its length is not the declared one", HEADER.size + block, len(frame))
    actual = zlib.crc32(frame[HEADER.size :], zlib.crc32(frame[:36]))
    if crc != actual:
        raise damaged("its checksum does not match", crc, actual)
    if kind > 1 or compression not in COMPRESSIONS or zero != b"\0\0\0":
        raise damaged(
            "its kind, compression or reserved bytes are not known", None, bytes(frame[5:12])
        )
    if width not in (1, 2, 4) or planes not in (2, 3, 4):
        raise damaged("its widths are wrong", "counts 1, 2, 4, ids 2, 3, 4", (width, planes))
    expected = n * width + (2 * n if kind == 0 else 0) + m * (planes + 2)
    if raw != expected:
        raise damaged("its raw length contradicts its counts", expected, raw)
    if raw > block * COMPRESSIONS[compression].ratio_max:
        raise damaged("its block cannot give the raw length", raw, block)
    if not (0 < step < 1 and 0 <= tau <= 1):
        raise damaged("its step or tau is out of range", "0 < step < 1, 0 ≤ tau ≤ 1", (step, tau))
    return Header(KINDS[kind], COMPRESSIONS[compression], width, planes, n, m, step, tau, raw)


def decompress(frame: memoryview, header: Header) -> np.ndarray:
    """The raw block, exactly `raw_bytes` uint8."""
    codec, block, size = header.compression.codec, frame[HEADER.size :], header.raw_bytes
    try:
        raw = codec.decompress(block, decompressed_size=size)
    except OSError as error:
        raise damaged(f"its block does not decompress ({error})", size, "an error") from error
    if codec.name == "lz4_raw" and size > 0 and fits(codec, block, size - 1):
        # pyarrow leaves the end of a short LZ4 block uninitialised and says nothing
        raise damaged("its block is shorter than its raw length", size, "less")
    return np.frombuffer(raw, np.uint8)


def fits(codec: pa.Codec, block: memoryview, size: int) -> bool:
    try:
        codec.decompress(block, decompressed_size=size)
    except OSError:
        return False
    return True


def join_planes(planes: np.ndarray, out: np.ndarray) -> None:
    """Joins the bytes of integers, uint8 [bytes, M] with the low bytes first, into out [M]."""
    out[:] = planes[-1]
    for plane in planes[-2::-1]:
        out <<= 8
        out |= plane


class _Arrays(NamedTuple):
    """What frames are decoded into, for some positions; see Targets for the shapes."""

    counts: np.ndarray
    rest: np.ndarray
    ids: np.ndarray
    levels: np.ndarray
    probs: np.ndarray

    def part(self, positions: slice, entries: slice) -> _Arrays:
        position, entry = (self.counts, self.rest), (self.ids, self.levels, self.probs)
        return _Arrays(*(a[positions] for a in position), *(a[entries] for a in entry))


def read_integers(frame: memoryview, header: Header, out: _Arrays) -> None:
    """Decompresses a frame into its counts, rest, levels and the deltas of its ids."""
    n, m, width, planes = header.positions, header.entries, header.count_width, header.id_planes
    raw = decompress(frame, header)
    out.counts[:] = raw[: n * width].view(f"<u{width}")
    at = n * width
    if header.kind == "scaled":
        join_planes(raw[at : at + 2 * n].reshape(2, n), out.rest)
        at += 2 * n
    join_planes(raw[at : at + planes * m].reshape(planes, m), out.ids)
    join_planes(raw[at + planes * m :].reshape(2, m), out.levels)
    total = int(out.counts.sum())
    if total != m:
        raise damaged("its counts do not add up to its entries", m, total)


class Runs(NamedTuple):
    """Where the entries of the positions that hold any begin and end."""

    held: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def runs_of(counts: np.ndarray) -> Runs:
    held = np.flatnonzero(counts)
    counts = counts[held]
    ends = np.cumsum(counts)
    return Runs(held, counts, ends - counts, ends)


def sum_deltas(ids: np.ndarray, runs: Runs, vocabulary: int) -> None:
    """Turns deltas into ids, in place."""
    if len(runs.held) == 0:
        return
    first = ids[runs.starts]
    np.cumsum(ids, dtype=np.uint32, out=ids)
    ids -= np.repeat(ids[runs.starts] - first, runs.counts)
    # where uint32 wraps, an id does not ascend, because every delta is below 2^32
    ascends = ids[1:] > ids[:-1]
    ascends[runs.starts[1:] - 1] = True
    last = int(ids[runs.ends - 1].max())
    if last >= vocabulary or not ascends.all():
        raise damaged("its ids do not ascend below V", f"ids < {vocabulary}", last)


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
        squares *= np.repeat(1 - mass[runs.held].astype(np.float64), runs.counts)
        squares /= np.repeat(sums, runs.counts)
    return squares.astype(np.float32), mass


def unbiased_weights(levels: np.ndarray, step: float, tau: float) -> np.ndarray:
    """Weights [M], float32: (level · step)², and tau at level 0."""
    squares = levels.astype(np.float64)
    squares *= step
    squares *= squares
    return np.where(levels == 0, tau, squares).astype(np.float32)


def decode_frames(
    frames: Sequence[memoryview | bytes],
    vocabulary: int,
    positions: np.ndarray | None = None,
) -> Targets:
    """Decodes frames of one target set, positions and entries joined in order.

    Args:
        frames: one buffer a sample.
        vocabulary: V; ids at or above it are refused.
        positions: int [len(frames)], the number of positions that each sample has, where known.

    Raises:
        LogitcaskError: ``frame-damaged``, never a wrong row.
    """
    views = [memoryview(frame) for frame in frames]
    headers = [check_frame(view) for view in views]
    kinds = {header.kind for header in headers}
    if len(kinds) > 1:
        raise damaged("frames of one target set differ in kind", "one kind", sorted(kinds))
    kind = kinds.pop() if kinds else "scaled"
    lengths = np.array([header.positions for header in headers], np.int64)
    if positions is not None and not np.array_equal(lengths, positions):
        raise damaged("samples have other numbers of positions", positions, lengths)
    n, m = int(lengths.sum()), sum(header.entries for header in headers)
    types = (np.int64, np.uint16, np.uint32, np.uint16, np.float32)
    arrays = _Arrays(*(np.empty(size, t) for size, t in zip((n, n, m, m, m), types)))
    masses = np.empty(n if kind == "scaled" else 0, np.float32)
    t = i = run_t = run_i = 0
    for index, (view, header) in enumerate(zip(views, headers)):
        part = arrays.part(slice(t, t + header.positions), slice(i, i + header.entries))
        t, i = t + header.positions, i + header.entries
        read_integers(view, header, part)
        if kind == "unbiased":
            part.probs[:] = unbiased_weights(part.levels, header.step, header.tau)
        if i - run_i >= RUN_ENTRIES or index == len(views) - 1:
            run = arrays.part(slice(run_t, t), slice(run_i, i))
            runs = runs_of(run.counts)
            sum_deltas(run.ids, runs, vocabulary)
            if kind == "scaled":
                run.probs[:], masses[run_t:t] = scaled_probs(run.levels, run.rest, runs)
            run_t, run_i = t, i
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(arrays.counts, out=offsets[1:])
    return Targets(kind, offsets, arrays.ids, arrays.probs, masses, arrays.levels)


def decode_frame(frame: memoryview | bytes, vocabulary: int) -> Targets:
    """Decodes one frame; see decode_frames."""
    return decode_frames([frame], vocabulary)
