"""One frame: all that is checked before its integers are read, and its raw block."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .errors import LogitcaskError

HEADER = struct.Struct("<4sBBBBB3sIIffIII")
KINDS = ("scaled", "unbiased", "independent")


class Compression(NamedTuple):
    codec: pa.Codec
    # Most bytes that a byte of a block can give: a lying length is refused before it is allocated.
    ratio_max: int


# ZSTD: a run-length block turns 4 bytes into 128 KiB. LZ4: a length byte stands for 255.
COMPRESSIONS = {
    1: Compression(pa.Codec("zstd"), 32_768),
    2: Compression(pa.Codec("lz4_raw"), 255),
}

ZSTD_BLOCK_MAX = 128 * 1024
ZSTD_WINDOW_MAX = 8 * 1024 * 1024
ZSTD_SLACK_MAX = 8 * 1024 * 1024


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
    if kind >= len(KINDS) or compression not in COMPRESSIONS or zero != b"\0\0\0":
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


def check_zstd(frames: memoryview, size: int) -> None:
    """Walks ZSTD frames, one behind the other, that can give `size` bytes and not much more.

    Only one that is alone may declare its size: libraries do not prove those of others.
    """
    bound = at = count = 0
    declared = None
    while at < len(frames) or at == 0:
        at, gives, says = _walk_zstd_frame(frames, at)
        bound += gives
        count += 1
        declared = declared if says is None else says
    if declared is not None and (count > 1 or declared != size):
        raise ValueError(f"of {count} ZSTD frames, one declares {declared} bytes")
    if bound > 2 * size + ZSTD_SLACK_MAX:
        raise ValueError("too many ZSTD blocks")
    if bound < size:
        raise ValueError("too few ZSTD blocks")


def _walk_zstd_frame(frames: memoryview, at: int) -> tuple[int, int, int | None]:
    """Where the frame at `at` ends, the most that it can give, and the size that it declares."""
    if len(frames) - at < 6 or frames[at : at + 4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("no ZSTD frame")
    descriptor, exponent = frames[at + 4], frames[at + 5]
    single = descriptor >> 5 & 1
    size_bytes = (single, 2, 4, 8)[descriptor >> 6]
    at += 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + size_bytes
    declared = None
    if size_bytes > 0:
        declared = int.from_bytes(frames[at - size_bytes : at], "little")
        declared += 256 if size_bytes == 2 else 0  # two bytes count from there on
    # exponent - 10 above 3 bits of eighths
    window = declared if single else (8 + (exponent & 7)) << (7 + (exponent >> 3))
    if not single and window > ZSTD_WINDOW_MAX:
        raise ValueError("its ZSTD window is large")
    block_max = min(ZSTD_BLOCK_MAX, window)
    bound = last = 0
    while not last:
        if at + 3 > len(frames):
            raise ValueError("a ZSTD block is cut short")
        header = int.from_bytes(frames[at : at + 3], "little")
        last, kind, block = header & 1, header >> 1 & 3, header >> 3
        if block > block_max:
            raise ValueError("a ZSTD block is too large")
        bound += block_max if kind == 2 else block
        at += 3 + (1 if kind == 1 else block)
    at += 4 * (descriptor >> 2 & 1)
    if at > len(frames):
        raise ValueError("a ZSTD frame is cut short")
    return at, bound, declared


def decompress(frame: memoryview, header: Header) -> np.ndarray:
    """The raw block, exactly `raw_bytes` uint8."""
    codec, block, size = header.compression.codec, frame[HEADER.size :], header.raw_bytes
    try:
        if codec.name == "zstd":
            check_zstd(block, size)
        raw = codec.decompress(block, decompressed_size=size)
    except (OSError, ValueError) as error:
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
