"""What a recorder adds to a forward, beside top-k and log-sum-exp of the same logits alone.

usage: live_recorder.py MODEL TOKENS URL SPOOL ROUNDS; prints JSON: milliseconds, medians. The three
take turns in every round. Time is that of the calling thread on a processor, torch on one thread:
what other threads and programs do is not in it; `behind` is what the recorder's threads take, and
`wall` the same ratio by the clock, with them and the server on the same processors.
"""

import json
import statistics
import sys
import time

import numpy as np
import torch
from teaches.teacher import LENGTH, logits_of, read_safetensors

from logitcask import Recorder

ROWS, K = 8, 64


def timed(work):
    clocks = time.thread_time, time.perf_counter
    started = [clock() for clock in clocks]
    result = work()
    return result, [1000 * (clock() - then) for clock, then in zip(clocks, started, strict=True)]


def main(model, tokens, url, spool, rounds):
    torch.set_num_threads(1)
    weights = read_safetensors(model)
    ids = torch.from_numpy(np.load(tokens).astype(np.int64)).reshape(-1, LENGTH)
    alone, recorded, peer = [], [], []
    begun = time.process_time() - time.thread_time()
    recorder = Recorder(url, "recorded", teacher="small-lm", top_k=K, spool=spool)
    with torch.inference_mode(), recorder:
        for round_ in range(int(rounds) + 2):
            at = ROWS * round_ % (len(ids) - ROWS)
            batch = ids[at : at + ROWS]

            def forward_and_write(batch=batch):
                recorder.write(batch, logits_of(weights, batch))

            logits, forward_ms = timed(lambda batch=batch: logits_of(weights, batch))
            _, both_ms = timed(forward_and_write)
            _, peer_ms = timed(
                lambda logits=logits: (torch.topk(logits, K), torch.logsumexp(logits, -1))
            )
            if round_ >= 2:
                alone.append(forward_ms)
                recorded.append(both_ms)
                peer.append(peer_ms)
    behind = 1000 * (time.process_time() - time.thread_time() - begun) / (int(rounds) + 2)
    (forward, _), (peers, peers_wall) = (
        [statistics.median(column) for column in zip(*rows, strict=True)] for rows in (alone, peer)
    )
    added, added_wall = (
        statistics.median(b[i] - a[i] for a, b in zip(alone, recorded, strict=True)) for i in (0, 1)
    )
    found = {"forward": forward, "added": added, "peer": peers, "behind": behind}
    found["wall"] = added_wall / peers_wall
    samples = recorder.commits[-1]["samples"] + recorder.commits[-1]["duplicates"]
    print(json.dumps({**found, "samples": samples}))


if __name__ == "__main__":
    main(*sys.argv[1:])
