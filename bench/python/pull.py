"""A student's side: pulls epochs into torch tensors and prints its CPU seconds as JSON.

usage: pull.py ours URL DATASET LAYOUT EPOCHS | pull.py peer URL STEPS EPOCHS
"""

import http.client
import json
import sys
import time
import warnings
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import torch
from logitcask import LogitDataset

torch.set_num_threads(1)


def ours(url, dataset, layout, epochs):
    batches = LogitDataset(url, dataset, batch_size=8, layout=layout, prefetch=1)

    def epoch():
        positions = 0
        for batch in batches:
            assert isinstance(batch["teacher_ids"], torch.Tensor)
            positions += batch["tokens"].numel()
        return positions

    return run(epoch, int(epochs))


def peer(url, steps, epochs):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)

    def tensor(column):
        values = column.flatten().to_numpy(zero_copy_only=True)
        return torch.from_numpy(values.reshape(len(column), -1))

    def epoch():
        positions = 0
        for step in range(int(steps)):
            connection.request("GET", f"/steps/{step}")
            response = connection.getresponse()
            body = np.empty(response.length, np.uint8)
            view, at = memoryview(body), 0
            while at < len(body):
                at += response.readinto(view[at:])
            response.close()
            with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
                batch = reader.read_next_batch()
            tensors = {name: tensor(batch.column(name)) for name in batch.schema.names}
            positions += tensors["tokens"].numel()
        return positions

    return run(epoch, int(epochs))


def run(epoch, epochs):
    epoch()  # warm
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, wall = time.process_time(), time.perf_counter()
    positions = sum(epoch() for _ in range(epochs))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"positions": positions, "cpu": cpu, "seconds": wall}


warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
print(json.dumps({"ours": ours, "peer": peer}[sys.argv[1]](*sys.argv[2:])), flush=True)
sys.stdin.readline()
