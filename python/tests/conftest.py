"""A real server over a store that the real command line builds from a dump made by numpy."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from logitcask import Client, _kernel, _receive, decoder

CLI = Path(__file__).resolve().parents[2] / "dist" / "src" / "cli.js"
ROWS, V, K, LENGTH = 2947, 1000, 16, 40
BUILDS = {
    "planes": {"codec": {"type": "planes", "step": "fine"}, "temperatures": [2]},
    "lz4": {"codec": {"type": "planes", "step": 0.01, "compression": "lz4"}},
    "raw": {"codec": {"type": "raw"}},
    "parquet": {"format": "parquet", "codec": {"type": "plain"}, "temperatures": [2]},
}


def make_dump(folder):
    """Peaked random logits; each next token is drawn from its row, so that alignment holds."""
    rng = np.random.default_rng(7)
    logits = (3 * rng.normal(size=(ROWS, V))).astype(np.float32)
    logprobs = logits.astype(np.float64)
    logprobs -= np.log(np.exp(logprobs).sum(1, keepdims=True))
    following = np.array([rng.choice(V, p=np.exp(row) / np.exp(row).sum()) for row in logprobs])
    tokens = np.concatenate([[0], following[:-1]]).astype(np.int32)
    np.save(folder / "logits.npy", logits)
    np.save(folder / "tokens.npy", tokens)
    np.save(folder / "next.npy", following.astype(np.int32))
    samples = [slice(first, min(first + LENGTH, ROWS)) for first in range(0, ROWS, LENGTH)]
    return SimpleNamespace(logprobs=logprobs, tokens=tokens, next=following, samples=samples)


def run_cli(*arguments):
    done = subprocess.run(["node", CLI, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(folder, name):
    config = {
        "dataset": name,
        "source": {
            "type": "dump",
            "logits": str(folder / "logits.npy"),
            "tokens": str(folder / "tokens.npy"),
            "next": str(folder / "next.npy"),
            "sample_length": LENGTH,
        },
        "sparsifier": {"type": "top-k", "k": K},
        "shard": {"bytes_max": 65_536, "batch_bytes_max": 4096},
        "reference": {"positions": 64},
        **BUILDS[name],
    }
    file = folder / f"{name}.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    run_cli("build", "--config", file, "--store", folder / "store")


def pytest_collection_modifyitems(items):
    """Files that take minutes come first: begun last, they would be waited for alone."""
    long = ("test_on_policy.py", "test_vision_examples.py", "test_example.py")
    items.sort(key=lambda item: item.path.name not in long)


@contextmanager
def serve(store, port=0, more=()):
    """A server of the store: its address and process, ended if it still runs."""
    command = ["node", CLI, "serve", "--store", store, "--port", str(port), "--json"]
    command += [str(argument) for argument in more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            event = json.loads(server.stdout.readline())
            assert event["event"] == "listening"
            yield event["url"], server
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="session")
def pipe(tmp_path_factory):
    """The dump, and a server of one data set a codec, all built from it."""
    assert CLI.exists(), f"{CLI} is missing: run `npm run build` first"
    folder = tmp_path_factory.mktemp("pipe")
    dump = make_dump(folder)
    for name in BUILDS:
        build(folder, name)
    with serve(folder / "store") as (url, _), Client(url) as client:
        yield SimpleNamespace(client=client, url=url, dump=dump, store=folder / "store")


@pytest.fixture(scope="session")
def fetch(pipe):
    """Bytes of a reply, without our client."""

    def get(path, accept="*/*"):
        request = urllib.request.Request(pipe.url + path, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.read()

    return get


@pytest.fixture(params=["wasmtime", "numpy"])
def each_decoder(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(_kernel, "installed", lambda: False)
    assert decoder() == request.param


@pytest.fixture(params=["ordinary", "by http.client"])
def each_reader(request, monkeypatch):
    """Both ways to read replies; connections with TLS always take the second."""
    if request.param == "by http.client":
        monkeypatch.setattr(_receive, "_receive_ordinary", lambda _: None)
