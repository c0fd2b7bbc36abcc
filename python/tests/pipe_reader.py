"""Reads what the pipe stored with numpy and pyarrow, from docs/format.md, without our decoder."""

import struct
import zlib

import numpy as np
import pyarrow as pa


def read_frame(frame):
    """docs/format.md, field by field and position by position, without our decoder."""
    magic, version, kind, compression, width, id_planes = struct.unpack_from("<4s5B", frame)
    n, m, step, _tau, block, size, crc = struct.unpack_from("<IIffIII", frame, 12)
    assert (magic, version, kind, len(frame)) == (b"LCFR", 1, 0, 40 + block)
    assert crc == zlib.crc32(frame[:36] + frame[40:])
    codec = pa.Codec({1: "zstd", 2: "lz4_raw"}[compression])
    raw = codec.decompress(frame[40:], decompressed_size=size, asbytes=True)
    counts = [int.from_bytes(raw[t * width : (t + 1) * width], "little") for t in range(n)]
    at = n * width
    rest = [raw[at + t] | raw[at + n + t] << 8 for t in range(n)]
    at += 2 * n
    deltas = [sum(raw[at + p * m + i] << (8 * p) for p in range(id_planes)) for i in range(m)]
    at += id_planes * m
    levels = [raw[at + i] | raw[at + m + i] << 8 for i in range(m)]
    assert len(raw) == at + 2 * m and sum(counts) == m
    ids, i = [], 0
    for count in counts:
        ids += np.cumsum(deltas[i : i + count]).tolist()
        i += count
    return {"counts": counts, "ids": ids, "levels": levels, "rest": rest, "step": step}


def read_values(frame):
    """The formulas of the format in plain floats, one rounding to float32."""
    one, probs, masses, i = read_frame(frame), [], [], 0
    for count, stored in zip(one["counts"], one["rest"]):
        squares = [level * level for level in one["levels"][i : i + count]]
        mass = float(np.float32(np.exp(-stored / 2048))) if count else 1.0
        probs += [square * (1 - mass) / sum(squares) for square in squares]
        masses.append(mass)
        i += count
    return np.array(probs).astype(np.float32), np.array(masses, np.float32)


def shard_rows(pipe, name):
    """Rows of all shards, read by pyarrow as they are."""
    files = pipe.client.manifest(name).document["files"]
    tables = [
        pa.ipc.open_file(pa.py_buffer(pipe.client.shard(name, file["name"]))).read_all()
        for file in files
        if file["role"] == "shard"
    ]
    assert len(tables) > 1
    return pa.concat_tables(tables)


def whole_plan(pipe, name):
    """One step in stored order; all data sets hold the same samples, and so share the plan."""
    plan = pipe.client.create_plan(name, global_batch=1000, shuffle="none")
    assert plan.steps_per_epoch == 1
    return plan


def stored_batch(pipe, name, layout):
    """All rows of a data set in stored order, through the steps of a plan without shuffle."""
    plan = whole_plan(pipe, name)
    dtype = "float32" if layout == "dense" else None
    view = {"layout": layout, "dtype": dtype, "snapshot": plan.snapshots[0]}
    batch = pipe.client.step(plan.id, 0, 0, **view)
    assert batch.metadata["logitcask.snapshot"] == pipe.client.manifest(name).id
    return batch
