"""A worker that is killed: writes sequences [from, to), and prints each that is durable."""

from __future__ import annotations

import sys

from recorder_teacher import sequence

from logitcask import Recorder


def main(url: str, spool: str, first: str, last: str) -> None:
    with Recorder(url, "killed", teacher="known", spool=spool, commit_bytes=40_000) as recorder:
        for seed in range(int(first), int(last)):
            recorder.write(*sequence(seed))
            recorder.flush()
            print(seed, flush=True)


main(*sys.argv[1:])
