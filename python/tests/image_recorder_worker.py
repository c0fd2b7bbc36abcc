"""A worker that is killed: writes images [from, to), and prints each that is durable."""

from __future__ import annotations

import hashlib
import sys

import numpy as np

from logitcask import Head, Image, ImageRecorder


def main(url: str, spool: str, first: str, last: str) -> None:
    heads = {"teacher": Head(100), "objects": Head(3, normalisation="sigmoid")}
    with ImageRecorder(url, "killed", teacher="known", heads=heads, spool=spool) as recorder:
        for i in range(int(first), int(last)):
            rng = np.random.default_rng(i)
            scores = {name: rng.normal(0, 3, (5, head.size)) for name, head in heads.items()}
            image = Image(f"mem:{i}", hashlib.sha256(str(i).encode()).hexdigest())
            recorder.write(image, scores, hard_label=rng.integers(0, 100, 5), meta={"image": i})
            recorder.flush()
            print(i, flush=True)


main(*sys.argv[1:])
