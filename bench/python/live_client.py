"""Scores to numpy, as Arrow or as vLLM's JSON: prints the CPU seconds of the repeats.

usage: live_client.py (arrow | json) URL PROMPTS K REPEATS; says "warm", and waits for a line.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

kind, url, file, entries, repeats = sys.argv[1:]
k = int(entries)
prompts = json.loads(Path(file).read_text())
connection = http.client.HTTPConnection(urlsplit(url).netloc)
arrow_type = "application/vnd.apache.arrow.stream"


def post(path, body, content_type, accept="*/*"):
    headers = {"Content-Type": content_type, "Accept": accept}
    connection.request("POST", path, body, headers)
    reply = connection.getresponse()
    data = reply.read()
    assert reply.status == 200, data[:200]
    return data


def arrow():
    import pyarrow as pa

    table = pa.record_batch({"tokens": pa.array(prompts, pa.list_(pa.int32()))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    body = sink.getvalue().to_pybytes()

    def once():
        data = post("/v1/score", body, arrow_type, arrow_type)
        batch = pa.ipc.open_stream(data).read_next_batch()
        parts = [batch.column(f"teacher_{name}").values for name in ("ids", "logprobs")]
        return [part.to_numpy(zero_copy_only=True) for part in parts]

    return once


def as_json():
    body = json.dumps({
        "model": "small-lm", "prompt": prompts, "max_tokens": 1, "temperature": 1.0,
        "prompt_logprobs": k,
    })  # fmt: skip

    def once():
        """By rank, cut to k: as trainers read it."""
        choices = json.loads(post("/v1/completions", body, "application/json"))["choices"]
        ids, logprobs = [], []
        for choice in choices:
            for row in choice["prompt_logprobs"][1:]:
                items = sorted(row.items(), key=lambda item: item[1]["rank"])[:k]
                ids += [int(token) for token, _ in items]
                logprobs += [entry["logprob"] for _, entry in items]
        return [np.array(ids, np.uint32), np.array(logprobs, np.float32)]

    return once


once = {"arrow": arrow, "json": as_json}[kind]()
for _ in range(5 if kind == "json" else 200):  # the server compiles what it does often
    ids, logprobs = once()
assert len(ids) == len(logprobs) == k * sum(len(prompt) - 1 for prompt in prompts)
print("warm", flush=True)
sys.stdin.readline()
started = time.process_time()
for _ in range(int(repeats)):
    once()
print(time.process_time() - started, flush=True)
