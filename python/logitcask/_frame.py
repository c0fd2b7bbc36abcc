"""One frame: all that is checked before its integers are read, and its raw block."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .errors import LogitcaskError

HEADER = struct.Struct("<4sBBBBB3sIIffIII")
KINDS = ("scaled", "unbiased")


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
