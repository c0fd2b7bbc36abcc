"""A student's side: pulls epochs into torch tensors, and says what CPU that took.

usage: pull.py CONTENDER SOURCE PIDS ARGUMENTS..., where CONTENDER and its arguments are one of
  ours URL DATASET SNAPSHOT LAYOUT DTYPE | nginx URL | fastapi URL | flight URL | datasets FOLDER
Each batch of the first epoch is compared with the source. Then, for each line with a number of
epochs, it pulls them and prints JSON: positions, and CPU seconds of itself and of the servers PIDS.
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

torch.set_num_threads(1)
NAMES = ("teacher_ids", "teacher_logprobs", "teacher_rest", "tokens")


def ours(_, url, dataset, snapshot, layout, dtype):
    from logitcask import LogitDataset

    batches = LogitDataset(
        url,
        dataset,
        snapshot=snapshot,
        batch_size=8,
        layout=layout,
        dtype=dtype if layout == "dense" else None,
    )
    return lambda: batches


class Http:
    """http.client and readinto, the next batch asked for by the loop itself."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port)

    def get(self, path):
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        body = np.empty(response.length, np.uint8)
        view, at = memoryview(body), 0
        while at < len(body):
            at += response.readinto(view[at:])
        response.close()
        return body


def nginx(source, url):
    connection = Http(url)
    shapes = {name: (source[name].shape[1:], source[name].dtype) for name in NAMES}

    def epoch():
        for step in range(len(source["tokens"])):
            body, at, tensors = connection.get(f"/{step}"), 0, {}
            for name, (shape, dtype) in shapes.items():
                size = int(np.prod(shape)) * dtype.itemsize
                tensors[name] = torch.from_numpy(body[at : at + size].view(dtype).reshape(shape))
                at += size
            yield tensors

    return epoch


def tensors_of(batch, source):
    """Tensors of a record batch of lists of fixed size."""
    return {
        name: torch.from_numpy(
            batch.column(name).flatten().to_numpy(zero_copy_only=True)
        ).reshape(source[name].shape[1:])
        for name in batch.schema.names
    }


def fastapi(source, url):
    connection = Http(url)

    def epoch():
        for step in range(len(source["tokens"])):
            body = connection.get(f"/steps/{step}")
            with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
                yield tensors_of(reader.read_next_batch(), source)

    return epoch


def flight(source, url):
    import pyarrow.flight

    client = pa.flight.connect(url.replace("http:", "grpc:"))

    def epoch():
        for step in range(len(source["tokens"])):
            reader = client.do_get(pa.flight.Ticket(str(step).encode()))
            yield tensors_of(reader.read_chunk().data, source)

    return epoch


def datasets(source, folder):
    """List columns, one row a sample, as axolotl keeps them."""
    import datasets as hf

    rows = {name: source[name].reshape(-1, *source[name].shape[2:]) for name in NAMES}
    columns = {name: pa.array(list(map(np.ndarray.tolist, rows[name]))) for name in NAMES}
    table = hf.Dataset(pa.table(columns))
    table.save_to_disk(folder)
    table = hf.load_from_disk(folder).with_format("torch")
    return lambda: table.iter(batch_size=8)


def compare(batch, expected):
    """Dense arrays bit for bit; ragged ones by what they say of each kept id."""
    if "teacher_offsets" not in getattr(batch, "arrays", {}):
        for name in NAMES:
            want = torch.from_numpy(expected[name])
            got = batch[name].reshape(want.shape)
            assert torch.equal(got.to(want.dtype), want), name
        return
    assert np.array_equal(batch["tokens"].numpy(), expected["tokens"].reshape(-1))
    offsets = batch["teacher_offsets"].numpy()
    ids = batch["teacher_ids"].numpy().astype(np.int64)
    width = int(ids.max()) + 1 + int(expected["teacher_ids"].max())
    position = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    top = expected["teacher_ids"].reshape(len(offsets) - 1, -1).astype(np.int64)
    keys = (np.arange(len(top))[:, None] * width + top).reshape(-1)
    order = np.argsort(keys)
    wanted = position * width + ids
    found = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    known = keys[found] == wanted
    root = np.exp(expected["teacher_logprobs"].reshape(-1).astype(np.float64)[found] / 2)
    given = np.sqrt(batch["teacher_probs"].numpy())
    scaled = "teacher_rest" in batch.arrays
    assert known.all() if scaled else known.mean() > 0.5
    head = known & (root > (0 if scaled else 0.4))  # draws from the tail have the weight tau
    assert np.abs(given - root)[head].max() < 0.012, np.abs(given - root)[head].max()


def cpu_seconds(pids):
    """Of this process and of others, by their CPU clocks (clock_getcpuclockid(3))."""
    clocks = [~pid << 3 | 2 for pid in pids]
    return time.process_time() + sum(map(time.clock_gettime, clocks))


def main():
    contender, path, pids, *arguments = sys.argv[1:]
    servers = [int(pid) for pid in pids.split(",") if pid]
    with np.load(path) as file:
        source = {name: file[name] for name in NAMES}
    epoch = globals()[contender](source, *arguments)
    for step, batch in enumerate(epoch()):
        compare(batch, {name: source[name][step] for name in NAMES})
    assert step == len(source["tokens"]) - 1
    print("ready", flush=True)
    for line in sys.stdin:
        before, positions = cpu_seconds(servers), 0
        for _ in range(int(line)):
            for batch in epoch():
                positions += batch["tokens"].numel()
        spent = cpu_seconds(servers) - before
        print(json.dumps({"positions": positions, "cpu": spent}), flush=True)


warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
main()
