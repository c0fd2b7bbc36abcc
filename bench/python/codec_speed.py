"""Decoding in Python: batches of frames by the kernel and by numpy, and Parquet by pyarrow.

usage: codec_speed.py CASES.json; a line on stdin runs every case once and prints
{name: positions a CPU second} as JSON.
"""

import io
import json
import sys
import time
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from logitcask import _kernel, decode_frames, decoder
from logitcask._frame import HEADER

pa.set_cpu_count(1)
TURNS = 10
# Frames decoded together, as a batch of so many samples has them.
BATCH = 8


def to_parquet(targets):
    """What people do today: lists of int32 ids and float16 log-probs, ZSTD-3."""
    offsets = pa.array(targets.offsets.astype(np.int32))
    columns = {
        "ids": pa.array(targets.ids.astype(np.int32)),
        "logprobs": pa.array(np.log(targets.probs).astype(np.float16)),
    }
    lists = {name: pa.ListArray.from_arrays(offsets, items) for name, items in columns.items()}
    sink = io.BytesIO()
    pq.write_table(pa.table(lists), sink, compression="zstd", compression_level=3)
    return sink.getvalue()


def read_parquet(data):
    table = pq.read_table(pa.BufferReader(data), use_threads=False)
    for name in table.column_names:
        for chunk in table.column(name).chunks:
            chunk.flatten().to_numpy(zero_copy_only=True)


def by_numpy(frames, width):
    kernel, _kernel.kernel = _kernel.kernel, lambda _: nullcontext()
    try:
        decode_frames(frames, width)
    finally:
        _kernel.kernel = kernel


def prepared(case):
    """Positions of a turn, and the turn."""
    width = case["width"]
    with open(case["file"], "rb") as file:
        frame = file.read()
    one = decode_frames([frame], width)
    positions = len(one.offsets) - 1
    if case["reader"] == "zstd":
        codec = pa.Codec("zstd")
        block, size = frame[HEADER.size :], int.from_bytes(frame[32:36], "little")
        return BATCH * positions, lambda: [codec.decompress(block, size) for _ in range(BATCH)]
    if case["reader"] == "parquet":
        data = to_parquet(one)
        print(f"# {case['name']}: {len(data) / positions:.1f} B/position", file=sys.stderr)
        return positions, lambda: read_parquet(data)
    frames = BATCH * [frame]
    decode = by_numpy if case["reader"] == "numpy" else decode_frames
    return BATCH * positions, lambda: decode(frames, width)


def speed(positions, run):
    run()
    before = time.process_time()
    for _ in range(TURNS):
        run()
    return TURNS * positions / (time.process_time() - before)


assert decoder() == "wasmtime"
with open(sys.argv[1], encoding="utf8") as file:
    cases = {case["name"]: prepared(case) for case in json.load(file)}
for _ in sys.stdin:
    print(json.dumps({name: speed(*case) for name, case in cases.items()}), flush=True)
