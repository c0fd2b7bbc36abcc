"""An encoder of frames in plain Python, written from docs/format.md alone; for tests only."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pyarrow as pa

KIND = {"scaled": 0, "unbiased": 1, "independent": 2}
CODEC = {"zstd": (1, "zstd"), "lz4": (2, "lz4_raw")}


def planes(values, count: int) -> bytes:
    return b"".join(bytes((int(v) >> (8 * p)) & 255 for v in values) for p in range(count))


def raw_block(positions, kind, rest, count_width, id_planes) -> bytes:
    """`positions`: a list of lists of (id, level), ids ascending."""
    counts = b"".join(len(entries).to_bytes(count_width, "little") for entries in positions)
    deltas, levels = [], []
    for entries in positions:
        before = 0
        for id_, level in entries:
            deltas.append(id_ - before)
            levels.append(level)
            before = id_
    low_high = planes(rest, 2) if kind == "scaled" else b""
    return counts + low_high + planes(deltas, id_planes) + planes(levels, 2)


def seal(frame: bytearray) -> bytes:
    """Puts the right CRC-32 on a frame that a test has changed."""
    struct.pack_into("<I", frame, 36, zlib.crc32(bytes(frame[40:]), zlib.crc32(bytes(frame[:36]))))
    return bytes(frame)


def encode_frame(
    positions,
    *,
    kind="scaled",
    rest=None,
    compression="zstd",
    count_width=1,
    id_planes=2,
    step=0.003,
    tau=0.0,
    raw=None,
    raw_bytes=None,
) -> bytes:
    rest = [0] * len(positions) if rest is None else rest
    raw = raw_block(positions, kind, rest, count_width, id_planes) if raw is None else raw
    code, name = CODEC[compression]
    block = pa.Codec(name).compress(raw, asbytes=True)
    entries = sum(len(p) for p in positions)
    head = struct.pack(
        "<4sBBBBB3xIIffII",
        b"LCFR",
        1,
        KIND[kind],
        code,
        count_width,
        id_planes,
        len(positions),
        entries,
        step,
        tau,
        len(block),
        len(raw) if raw_bytes is None else raw_bytes,
    )
    return seal(bytearray(head + bytes(4) + block))


def random_positions(rng, *, n, vocabulary, entries_max, level_min=1):
    """n positions of 0 … entries_max entries; a third of them empty."""
    positions = []
    for _ in range(n):
        count = int(rng.integers(0, entries_max + 1)) * int(rng.integers(0, 3) > 0)
        ids = np.unique(rng.integers(0, vocabulary, count, dtype=np.uint64))
        levels = rng.integers(level_min, 65_536, len(ids))
        positions.append([(int(id_), int(level)) for id_, level in zip(ids, levels)])
    return positions
