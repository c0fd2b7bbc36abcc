"""The example of examples/train and the page on resuming: killed, started again, the same."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import CLI, run_cli

from logitcask import LogitDataset, order_digest

ROOT = CLI.parents[2]
SCRIPT = ROOT / "examples" / "train" / "train.py"
EPOCHS = 8


def start(pipe, out, *more):
    options = ["--url", pipe.url, "--dataset", "planes", "--out", out, "--epochs", str(EPOCHS)]
    command = [sys.executable, SCRIPT, *options, "--save-every", "3", *more]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def read_lines(out):
    file = out / "record.jsonl"
    return [json.loads(one) for one in file.read_text().splitlines()] if file.exists() else []


def wait_for_lines(out, count, process):
    while len(read_lines(out)) < count:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.001)


@pytest.fixture(scope="module")
def undisturbed(pipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    finish(start(pipe, out))
    return out


def test_a_training_run_survives_kills(pipe, undisturbed, tmp_path):
    steps = EPOCHS * (len(read_lines(undisturbed)) // EPOCHS)
    for more in (1, 14, 25):
        process = start(pipe, tmp_path)
        with process.stdout:
            wait_for_lines(tmp_path, len(read_lines(tmp_path)) + more, process)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    assert "goes on at epoch" in finish(start(pipe, tmp_path))
    received = {}
    for line in read_lines(tmp_path):  # what was done again is the same again
        assert received.setdefault((line["epoch"], line["step"]), line) == line
    assert list(received.values()) == read_lines(undisturbed) and len(received) == steps
    plan = line["plan"]
    for epoch in range(EPOCHS):
        own = [line for line in received.values() if line["epoch"] == epoch]
        assert order_digest(own) == pipe.client.digest(plan, epoch)
    one, other = (torch.load(out / "student.pt") for out in (undisturbed, tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)
    # the command line says so too
    proof = run_cli("plan", "prove", tmp_path / "record.jsonl", "--url", pipe.url, "--json")
    assert json.loads(proof)["difference"] is None
    records = (undisturbed / "record.jsonl", tmp_path / "record.jsonl")
    same = json.loads(run_cli("plan", "compare", *records, "--json"))
    assert (same["compared"], same["difference"]) == (steps, None)


def test_the_blocks_of_the_page_run(pipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "resume.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 2
    for block in blocks:
        names = {"URL": pipe.url}
        exec(block.replace('"mine"', '"planes"'), names)
        assert isinstance(names["dataset"], LogitDataset)
