"""Worker and server die at any moment: no acknowledged write is lost, and nothing comes twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import CLI, run_cli
from recorder_teacher import sequence

pytest.importorskip("torch")
WORKER = Path(__file__).with_name("recorder_worker.py")
#: The benchmark kills more often.
KILLS = int(os.environ.get("RECORDER_KILLS", "6"))


class Server:
    """At one port, started again whenever it is killed."""

    def __init__(self, store):
        self.store, self.port, self.url = store, 0, ""
        self.process = self.start()

    def start(self):
        command = ["node", CLI, "serve", "--store", self.store, "--port", str(self.port), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(process.stdout.readline())["url"]
        self.port = int(self.url.rsplit(":", 1)[1])
        return process

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def pump(process, acknowledged):
    for line in process.stdout:
        acknowledged.append(int(line))


def run_until_killed(server, spool, first, rng):
    """One worker at work, then the worker or the server is killed: what it acknowledged."""
    command = [sys.executable, WORKER, server.url, spool, str(first), str(first + 400)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    acknowledged: list[int] = []
    reader = threading.Thread(target=pump, args=(worker, acknowledged))
    reader.start()
    while not acknowledged and worker.poll() is None:
        time.sleep(0.01)
    for _ in range(rng.randrange(3)):  # servers that die while the worker goes on
        time.sleep(rng.uniform(0, 0.5))
        server.kill()
        server.process = server.start()
    time.sleep(rng.uniform(0, 0.5))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    reader.join()
    worker.stdout.close()
    return acknowledged


def test_random_kills(tmp_path):
    rng = random.Random(5)
    server = Server(tmp_path / "store")
    spool, written, first, kills = tmp_path / "spool", [], 0, 0
    try:
        while kills < KILLS:
            written += run_until_killed(server, spool, first, rng)
            kills += 1
            first = max(written, default=-1) + 1
        last = [sys.executable, WORKER, server.url, spool, str(first), str(first + 1)]
        done = subprocess.run(last, capture_output=True, text=True, timeout=120 + KILLS)
        assert done.returncode == 0, done.stderr
        written.append(first)
        found = all_tokens(server.url)
    finally:
        server.kill()
    assert len(found) == len(set(found)), "a sequence came twice"
    lost = [seed for seed in written if tuple(sequence(seed)[0].tolist()) not in set(found)]
    assert lost == []
    run_cli("verify", "killed", "--store", tmp_path / "store")
    print(f"{kills} kills, {len(written)} acknowledged writes, {len(found)} samples")


def all_tokens(url):
    found, total = [], 1
    while len(found) < total:
        path = f"{url}/v1/datasets/killed/snapshots/latest/rows?offset={len(found)}&length=100"
        with urllib.request.urlopen(f"{path}&columns=tokens", timeout=30) as reply:
            page = json.loads(reply.read())
        found += [tuple(row["tokens"]) for row in page["rows"]]
        total = page["total"]
    return found
