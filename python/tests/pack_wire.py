"""Batches of packed plans as a server would send them, made from samples by hand."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import wire
from frame_encoder import encode_frame
from wire import fixed, not_null

K = 3


def make_samples(rng, lengths):
    """Samples of whole positions; tokens are distinct, so that every position is recognised."""
    samples, token = [], 1
    for n in lengths:
        counts = rng.integers(0, K + 1, n)
        tokens = np.arange(token, token + n, dtype=np.int32)
        mask = np.append(rng.random(n - 1) < 0.8, False)
        targets = [
            sorted((int(i), int(rng.integers(1, 500))) for i in rng.choice(wire.V, c, False))
            for c in counts
        ]
        samples.append(
            {
                "id": wire.sample_id(tokens, mask),
                "tokens": tokens,
                "mask": mask,
                "targets": targets,
                "rest": rng.integers(0, 4000, n).tolist(),
                "label_logprob": -rng.random(n).astype(np.float16),
                "log_z": rng.random(n).astype(np.float32),
            }
        )
        token += n
    return samples


def place(rng, samples, length):
    """Rows in packs: whole samples and pieces, in order, with random gaps; documents are split."""
    rows, pack, at = [], 0, 0
    for number, sample in enumerate(samples):
        first = 0
        while first < len(sample["tokens"]):
            if at == length or rng.random() < 0.15:
                pack, at = pack + (at > 0), 0
            n = min(len(sample["tokens"]) - first, length - at)
            if rng.random() < 0.2:
                n = int(rng.integers(1, n + 1))
            rows.append({"sample": number, "pack": pack, "offset": at, "first": first, "n": n})
            first, at = first + n, at + n
    return rows


def cut(samples, rows, name):
    """A column of positions, cut to the rows; the mask is false at seams."""
    found = []
    for row in rows:
        whole = samples[row["sample"]][name]
        part = list(whole[row["first"] : row["first"] + row["n"]])
        if name == "mask" and row["first"] + row["n"] < len(whole):
            part[-1] = False
        found.append(part)
    return found


def columns(samples, rows, pads, layout):
    own = [samples[row["sample"]] for row in rows]
    found = {
        "sample_id": pa.array([one["id"] for one in own], pa.binary(16)),
        "pad": pa.array(pads, pa.bool_()),
        "pack": pa.array([row["pack"] for row in rows], pa.int32()),
        "offset": pa.array([row["offset"] for row in rows], pa.int32()),
        "first_position": pa.array([row["first"] for row in rows], pa.int32()),
        "sample_positions": pa.array([len(one["tokens"]) for one in own], pa.int32()),
        "meta": pa.array(["{}"] * len(rows), pa.string()),
    }
    if layout == "dense":
        return found | dense(samples, rows)
    text = {"tokens": pa.int32(), "mask": pa.bool_()}
    text |= {"label_logprob": pa.float16(), "log_z": pa.float32()}
    for name, type_ in text.items():
        key = name if name in ("tokens", "mask") else f"teacher_{name}"
        found[key] = pa.array(cut(samples, rows, name), not_null(type_))
    if layout == "frames":
        frames = [encode_frame(one["targets"], rest=one["rest"]) for one in own]
        return found | {"teacher_frame": pa.array(frames, pa.binary())}
    targets = cut(samples, rows, "targets")
    flat = [[entry for position in row for entry in position] for row in targets]
    counts = [[len(position) for position in row] for row in targets]
    return found | {
        "teacher_counts": pa.array(counts, not_null(pa.uint32())),
        "teacher_ids": pa.array([[i for i, _ in row] for row in flat], not_null(pa.uint32())),
        "teacher_levels": pa.array([[v for _, v in row] for row in flat], not_null(pa.uint16())),
        "teacher_rest": pa.array(cut(samples, rows, "rest"), not_null(pa.uint16())),
    }


def dense(samples, rows):
    lengths = [row["n"] for row in rows]
    longest = max(lengths, default=1)
    shape = (len(rows), longest)
    tokens, mask = np.zeros(shape, np.int32), np.zeros(shape, np.bool_)
    ids, logprobs = np.zeros((*shape, K), np.int32), np.full((*shape, K), -np.inf, np.float16)
    rest, label = np.ones(shape, np.float32), np.full(shape, np.nan, np.float32)
    for i, n in enumerate(lengths):
        tokens[i, :n] = cut(samples, rows, "tokens")[i]
        mask[i, :n] = cut(samples, rows, "mask")[i]
        rest[i, :n] = np.array(cut(samples, rows, "rest")[i]) / 8192
        label[i, :n] = cut(samples, rows, "label_logprob")[i]
        for t, entries in enumerate(cut(samples, rows, "targets")[i]):
            for j, (id_, level) in enumerate(entries):
                ids[i, t, j], logprobs[i, t, j] = id_, -level / 256
    return {
        "length": pa.array(lengths, pa.int32()),
        "tokens": fixed(tokens, longest),
        "mask": fixed(mask, longest),
        "teacher_ids": fixed(ids, longest, K),
        "teacher_logprobs": fixed(logprobs, longest, K),
        "teacher_rest": fixed(rest, longest),
        "teacher_label_logprob": fixed(label, longest),
    }


def reply(samples, rows, pads, length, layout="frames"):
    sets = json.loads(wire.metadata()["logitcask.target_sets"])
    changes = {"rows": str(len(rows)), "pack_length": str(length), "layout": layout}
    data = columns(samples, rows, pads, layout)
    return wire.stream(data, target_sets=json.dumps(sets), **changes)
