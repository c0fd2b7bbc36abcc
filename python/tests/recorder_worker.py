"""A worker that is killed: writes sequences [from, to), and prints each that is durable."""

from __future__ import annotations

import sys
import time

from recorder_teacher import sequence

from logitcask import Recorder

#: Fewer writes a second than a server on a busy machine takes.
FORWARD_S = 0.03


def main(url: str, spool: str, first: str, last: str) -> None:
    with Recorder(url, "killed", teacher="known", spool=spool, commit_bytes=400_000) as recorder:
        for seed in range(int(first), int(last)):
            time.sleep(FORWARD_S)
            recorder.write(*sequence(seed))
            recorder.flush()
            print(seed, flush=True)


main(*sys.argv[1:])
