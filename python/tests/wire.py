"""Replies as a server would send them, made with pyarrow from docs/http.md."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pyarrow as pa
from frame_encoder import encode_frame

PLAN = "ab" * 32
SNAPSHOT = "cd" * 32
V = 1000
LABEL_SPACE = {"kind": "vocabulary", "size": V, "tokenizer": None}

SAMPLES = [
    {"tokens": [5, 6, 7], "targets": [[(1, 300), (6, 40)], [(7, 9)], []]},
    {"tokens": [8], "targets": [[(2, 1), (3, 2), (999, 3)]]},
    {"tokens": [], "targets": []},
]


def metadata(**changes):
    sets = [
        {
            "name": "teacher",
            "kind": "scaled",
            "codec": "planes",
            "temperature": 1,
            "temperature_exact": True,
            "log_z": [2],
            "step": 0.01,
            "tau": None,
        }
    ]
    values = {
        "version": "1",
        "rows": str(len(SAMPLES)),
        "batches": "1",
        "layout": "frames",
        "snapshot": SNAPSHOT,
        "alignment": "predicts-next",
        "label_space": json.dumps(LABEL_SPACE),
        "target_sets": json.dumps(sets),
        "plan": PLAN,
        "epoch": "0",
        "step": "0",
        "rank": "0",
        "world": "1",
    }
    values.update(changes)
    return {f"logitcask.{key}": value for key, value in values.items() if value is not None}


def not_null(type_):
    return pa.list_(pa.field("item", type_, nullable=False))


def frames():
    return [
        encode_frame(sample["targets"], rest=[100 * t for t in range(len(sample["tokens"]))])
        for sample in SAMPLES
    ]


def sample_id(tokens, mask, label_space=None):
    """docs/format.md, field by field."""
    space = json.dumps(label_space or LABEL_SPACE, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256()
    for field in (
        b"logitcask/sample/1",
        b"text",
        hashlib.sha256(space.encode()).digest(),
        np.asarray(tokens, "<i4").tobytes(),
        np.asarray(mask, np.uint8).tobytes(),
    ):
        digest.update(struct.pack("<I", len(field)) + field)
    return digest.digest()[:16]


def masks():
    return [[t + 1 < len(one["tokens"]) for t in range(len(one["tokens"]))] for one in SAMPLES]


def sample_ids():
    return [sample_id(one["tokens"], mask) for one, mask in zip(SAMPLES, masks())]


def inputs():
    count = len(SAMPLES)
    return {
        "sample_id": pa.array(sample_ids(), pa.binary(16)),
        "pad": pa.array([i == count - 1 for i in range(count)]),
        "meta": pa.array([json.dumps({"row": i}) for i in range(count)]),
    }


def text():
    tokens = [sample["tokens"] for sample in SAMPLES]
    labels = [np.linspace(-1, -2, len(one)).astype(np.float16) for one in tokens]
    log_z = [np.linspace(3, 4, len(one)).astype(np.float32) for one in tokens]
    return {
        "tokens": pa.array(tokens, not_null(pa.int32())),
        "mask": pa.array(masks(), not_null(pa.bool_())),
        "teacher_label_logprob": pa.array(labels, not_null(pa.float16())),
        "teacher_log_z": pa.array(log_z, not_null(pa.float32())),
    }


def frames_columns(data=None):
    return {**inputs(), **text(), "teacher_frame": pa.array(data or frames(), pa.binary())}


def flattened(part, type_):
    rows = [[e[part] for entries in one["targets"] for e in entries] for one in SAMPLES]
    return pa.array(rows, not_null(type_))


def plain_columns():
    counts = [[len(entries) for entries in one["targets"]] for one in SAMPLES]
    rest = [[100 * t for t in range(len(one["tokens"]))] for one in SAMPLES]
    return {
        **inputs(),
        **text(),
        "teacher_counts": pa.array(counts, not_null(pa.uint32())),
        "teacher_ids": flattened(0, pa.uint32()),
        "teacher_levels": flattened(1, pa.uint16()),
        "teacher_rest": pa.array(rest, not_null(pa.uint16())),
    }


def fixed(array, *shape):
    column = pa.array(np.ascontiguousarray(array).reshape(-1))
    for size in reversed(shape):
        type_ = pa.list_(pa.field("item", column.type, nullable=False), size)
        column = pa.FixedSizeListArray.from_arrays(column, type=type_)
    return column


def dense_columns(longest=3, k=2, ids_max=V):
    rng = np.random.default_rng(0)
    shape, lengths = (len(SAMPLES), longest), [3, 1, 0]
    tokens, mask = rng.integers(0, V, shape, dtype=np.int32), rng.integers(0, 2, shape).astype(bool)
    ids = [sample_id(tokens[i, :n], mask[i, :n]) for i, n in enumerate(lengths)]
    return {
        **inputs(),
        "sample_id": pa.array(ids, pa.binary(16)),
        "length": pa.array(lengths, pa.int32()),
        "tokens": fixed(tokens, longest),
        "mask": fixed(mask, longest),
        "teacher_ids": fixed(rng.integers(0, ids_max, (*shape, k), dtype=np.int32), longest, k),
        "teacher_logprobs": fixed(rng.normal(size=(*shape, k)).astype(np.float16), longest, k),
        "teacher_rest": fixed(rng.random(shape, np.float32), longest),
    }


def stream(columns, count=1, nullable=False, **changes):
    schema = pa.schema(
        [pa.field(name, column.type, nullable=nullable) for name, column in columns.items()],
        metadata(**changes),
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for _ in range(count):
            writer.write_batch(pa.record_batch(list(columns.values()), schema=schema))
    return sink.getvalue().to_pybytes()


def step_reply(**changes):
    return stream(frames_columns(), **changes)
