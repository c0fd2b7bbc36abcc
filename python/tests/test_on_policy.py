"""examples/on-policy with one seed and two thirds of the steps."""

import json
import subprocess
import sys

from conftest import CLI

FOLDER = CLI.parents[2] / "examples" / "on-policy"


def test_own_rollouts_teach_more_than_a_fixed_set_and_are_replayed_without_a_teacher():
    shorter = ("--warm-up", "200", "--steps", "80", "--judged", "6")
    command = [sys.executable, FOLDER / "run.py", "--seeds", "1", "--json", *shorter]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = {one["student"]: one for one in json.loads(done.stdout)}
    perplexity = {name: one["perplexity"] for name, one in found.items()}
    assert perplexity["own rollouts"] < 0.9 * perplexity["fixed set"], perplexity
