"""A worker that is killed: writes sequences [from, to), and prints each that is durable."""

from __future__ import annotations

import sys
import time

from recorder_teacher import sequence

from logitcask import LogitcaskError, Recorder

#: The server is slower than the worker: what waits for it has a limit, so that a run has an end.
LIMITS = {"commit_bytes": 200_000, "spool_bytes_max": 1_000_000}


def write(recorder: Recorder, seed: int) -> None:
    while True:
        try:
            return recorder.write(*sequence(seed))
        except LogitcaskError as error:
            if error.code != "store-full":
                raise
            time.sleep(0.01)


def main(url: str, spool: str, first: str, last: str) -> None:
    with Recorder(url, "killed", teacher="known", spool=spool, **LIMITS) as recorder:
        for seed in range(int(first), int(last)):
            write(recorder, seed)
            recorder.flush()
            print(seed, flush=True)


main(*sys.argv[1:])
