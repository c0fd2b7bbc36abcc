"""Content addresses: proof of tokens and mask, which no frame's checksum covers."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import invalid_reply


def field(field: bytes) -> bytes:
    """A field behind its length."""
    return struct.pack("<I", len(field)) + field


def start_sample_id(label_space: Mapping[str, Any]) -> bytes:
    """What is hashed first of all samples of a label space."""
    # RFC 8785: keys are ASCII, values integers and strings
    canonical = json.dumps(label_space, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    space = hashlib.sha256(canonical.encode()).digest()
    return field(b"logitcask/sample/1") + field(b"text") + field(space)


def text_sample_id(start: bytes, tokens: np.ndarray, mask: np.ndarray) -> bytes:
    """Of int32 tokens and a bool mask, docs/format.md."""
    ids = tokens.astype("<i4", copy=False)
    # hashed as one: calls take longer than copies
    whole = start + field(ids.tobytes()) + field(mask.tobytes())
    return hashlib.sha256(whole).digest()[:16]


def check_sample_ids(arrays: Mapping[str, np.ndarray], start: bytes) -> None:
    """Of rows that hold a whole text sample; parts have no address of their own."""
    tokens, mask, ids = arrays["tokens"], arrays["mask"], arrays["sample_id"]
    if tokens.ndim == 2:
        lengths = arrays["length"]
        starts = np.arange(len(tokens)) * tokens.shape[1]
    else:
        lengths, starts = np.diff(arrays["offsets"]), arrays["offsets"][:-1]
    tokens, mask = tokens.reshape(-1), mask.reshape(-1)
    whole = np.flatnonzero(arrays.get("sample_positions", lengths) == lengths)
    for row in whole.tolist():
        held = slice(starts[row], starts[row] + lengths[row])
        got = text_sample_id(start, tokens[held], mask[held])
        check_row(row, ids[row].tobytes(), got)


def check_row(row: int, stated: bytes, got: bytes) -> None:
    if got != stated:
        detail = f"batch: inputs or mask of row {row} are not those of its sample id"
        error = invalid_reply(detail, expected=stated.hex(), got=got.hex())
        error.retryable = True  # the server checks what it stores: damaged on the way
        raise error
