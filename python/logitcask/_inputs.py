"""Inputs of images: the fields of their positions, from frames or columns (docs/format.md)."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ._columns import Columns, joined
from ._frame import COMPRESSIONS, check_zstd, damaged
from ._sample_id import check_row, field
from .errors import invalid_reply

HEADER = struct.Struct("<4sB3sIII")
FRAME = "input_frame"
TYPES = ("int32", "uint8", "uint16", "uint32", "uint64", "float32")


class Field(NamedTuple):
    """A column with `items` values at every position."""

    name: str
    type: str
    items: int

    @property
    def width(self) -> int:
        """Bytes of a position."""
        return self.items * np.dtype(self.type).itemsize

    def array(self, values: np.ndarray) -> np.ndarray:
        """Values as [N], or [N, items]; bytes, or already of the type."""
        values = values.view(np.dtype(self.type).newbyteorder("<"))
        return values if self.items == 1 else values.reshape(-1, self.items)


def fields_of(metadata: Mapping[str, str]) -> list[Field] | None:
    """What a batch of images says of its positions; None where it holds texts."""
    if metadata.get("logitcask.kind") != "vision":
        return None
    fields = [Field(**one) for one in json.loads(metadata["logitcask.input_fields"])]
    for one in fields:
        if one.type not in TYPES or not 1 <= one.items <= 16:
            raise ValueError(f"input field {one}")
    return fields


def decode_inputs(frame: memoryview, fields: Sequence[Field], positions: int) -> list[np.ndarray]:
    """The values of each field of a sample, uint8 [positions · width].

    Raises:
        LogitcaskError: ``frame-damaged``.
    """
    size = positions * sum(one.width for one in fields)
    if len(frame) < HEADER.size:
        raise damaged("an input frame is shorter than its header", HEADER.size, len(frame))
    *head, crc = HEADER.unpack_from(frame)
    expected = [b"LCIN", 1, b"\0\0\0", positions, size]
    if head != expected:
        raise damaged("an input frame has another header", expected, head)
    actual = zlib.crc32(frame[HEADER.size :], zlib.crc32(frame[:16]))
    if crc != actual:
        raise damaged("an input frame's checksum does not match", crc, actual)
    try:
        check_zstd(frame[HEADER.size :], size)
        raw = COMPRESSIONS[1].codec.decompress(frame[HEADER.size :], decompressed_size=size)
    except (OSError, ValueError) as error:
        raise damaged(f"an input frame does not decompress ({error})", size, "an error") from error
    planes = np.frombuffer(raw, np.uint8)
    values, at = [], 0
    for one in fields:
        part = planes[at : at + positions * one.width].reshape(one.width, positions)
        values.append(np.ascontiguousarray(part.T).reshape(-1))
        at += positions * one.width
    return values


def flat_inputs(
    columns: Columns, fields: Sequence[Field], lengths: np.ndarray
) -> dict[str, np.ndarray]:
    """Layouts `frames` and `plain`: positions of all samples joined."""
    if FRAME not in columns:
        return {
            one.name: one.array(joined(columns, one.name, (one.type,), lengths * one.items))
            for one in fields
        }
    ends, data = columns.lists(FRAME, "uint8")
    view = memoryview(data)
    rows = [
        decode_inputs(view[start:end], fields, int(length))
        for (start, end), length in zip(pairwise(ends.tolist()), lengths)
    ]
    found = zip(*rows) if rows else [[np.empty(0, np.uint8)]] * len(fields)
    return {one.name: one.array(np.concatenate(parts)) for one, parts in zip(fields, found)}


def dense_inputs(columns: Columns, fields: Sequence[Field], longest: int) -> dict[str, np.ndarray]:
    """Layout `dense`: [B, L], or [B, L, items]."""
    return {
        one.name: columns.array(
            one.name, one.type, longest, *((one.items,) if one.items > 1 else ())
        )
        for one in fields
    }


def check_image_ids(
    arrays: Mapping[str, np.ndarray],
    fields: Sequence[Field],
    refs: Sequence[str],
    metadata: Mapping[str, str],
) -> None:
    """Proof of all that a batch says of its images, but for where they lie."""
    canonical = json.dumps(
        json.loads(metadata["logitcask.label_space"]),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    space = hashlib.sha256(canonical.encode()).digest()
    pipeline = bytes.fromhex(metadata.get("logitcask.augmentation_pipeline", ""))
    dense = arrays["mask"].ndim == 2
    for row, ref in enumerate(refs):
        if dense:
            held: Any = (row, slice(0, int(arrays["length"][row])))
        else:
            held = slice(*arrays["offsets"][row : row + 2].tolist())
        parts = [b"vision", space, image_of(ref)[0], pipeline, arrays["mask"][held].tobytes()]
        for one in fields:
            parts += [one.name.encode(), arrays[one.name][held].tobytes()]
        hashed = b"".join(field(part) for part in [b"logitcask/sample/1", *parts])
        got = hashlib.sha256(hashed).digest()[:16]
        check_row(row, arrays["sample_id"][row].tobytes(), got)


def image_of(ref: str) -> tuple[bytes, str]:
    """SHA-256 of the image's bytes, and its URI."""
    try:
        document = json.loads(ref)
        digest, uri = bytes.fromhex(document["sha256"]), document["uri"]
    except (ValueError, KeyError, TypeError) as error:
        raise invalid_reply("batch: input_ref is not JSON of sha256 and uri", got=ref) from error
    return digest, uri
