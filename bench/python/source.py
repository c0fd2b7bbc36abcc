"""What every contender must deliver: the arrays of one epoch, from our server, in files.

usage: source.py URL DATASET SNAPSHOT FOLDER
Writes FOLDER/{float16,float32}.npz and, for nginx, FOLDER/raw/{step}: ids, log-probs (float32), rest
and tokens, padded to the bytes of our own body.
"""

import sys
from pathlib import Path

import numpy as np
from logitcask import LogitDataset

COLUMNS = ("teacher_ids", "teacher_logprobs", "teacher_rest", "tokens")


def main():
    url, dataset, snapshot, folder = sys.argv[1:]
    folder = Path(folder)
    (folder / "raw").mkdir(parents=True)
    for dtype in ("float16", "float32"):
        options = {"snapshot": snapshot, "layout": "dense", "dtype": dtype}
        batches = LogitDataset(url, dataset, batch_size=8, as_torch=False, **options)
        steps = list(batches)
        arrays = {name: np.stack([step[name] for step in steps]) for name in COLUMNS}
        np.savez(folder / f"{dtype}.npz", **arrays)
    sizes = [int(size) for size in sys.stdin.readline().split()]
    for step, size in enumerate(sizes):
        body = b"".join(arrays[name][step].tobytes() for name in COLUMNS)
        (folder / "raw" / str(step)).write_bytes(body.ljust(size, b"\0"))


main()
