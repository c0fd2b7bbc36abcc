"""What a Python client does with vLLM's replies: json.loads, then numpy arrays of the top k.

usage: capture_peer.py RECORDED REPEATS; prints positions a CPU-second.
"""

import gzip
import json
import sys
import time

import numpy as np

K = 16


def arrays(reply):
    choice = json.loads(reply)["choices"][0]
    rows = choice["prompt_logprobs"]
    ids = np.zeros((len(rows), K), np.int32)
    logprobs = np.full((len(rows), K), -np.inf, np.float32)
    labels = np.full(len(rows), np.nan, np.float32)
    for i, row in enumerate(rows[1:]):
        for token, entry in row.items():
            if entry["rank"] <= K:
                ids[i, entry["rank"] - 1] = int(token)
                logprobs[i, entry["rank"] - 1] = entry["logprob"]
        labels[i] = row[str(choice["prompt_token_ids"][i + 1])]["logprob"]
    return ids, logprobs, labels


def main():
    path, repeats = sys.argv[1:]
    with gzip.open(path) as file:
        response = json.load(file)["response"]
    replies = [json.dumps({**response, "choices": [c]}).encode() for c in response["choices"]]
    cpu, positions = time.process_time(), 0
    for _ in range(int(repeats)):
        for reply in replies:
            positions += len(arrays(reply)[0])
    print(positions / (time.process_time() - cpu))


main()
