"""Where torch is not installed everything but tensors works; where it is, it is loaded late."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules["torch"] = None  # as if it were not installed
from logitcask import LogitDataset, order_digest
# a seed of its own: a plan is kept with the snapshot that it was first made for
dataset = LogitDataset(sys.argv[1], "planes", batch_size=5, shuffle_seed=61, record=sys.argv[2])
batches = []
for batch in dataset:
    batches.append(batch)
    if len(batches) == 4:
        break
again = LogitDataset(sys.argv[1], plan=dataset.plan.id)
again.load_state_dict(dataset.state_dict())
batches += again
assert type(batches[0]["teacher_probs"]).__module__ == "numpy"
assert len(batches) == len(dataset) and order_digest(batches) == dataset.digest(0)
batches[0].model_inputs()
"""

MIDDLE = """
import sys
from logitcask import LogitDataset
steps = iter(LogitDataset(sys.argv[1], "planes", batch_size=1, shuffle_seed=62, prefetch=4))
held = [next(steps), next(steps)]
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # nothing is left behind at the end either
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_batches_are_numpy_arrays_without_torch(pipe, tmp_path):
    run(WITHOUT, pipe.url, str(tmp_path / "run.jsonl"))


@pytest.mark.parametrize("_", range(6))
def test_a_process_may_end_in_the_middle_of_an_epoch(pipe, _):
    run(MIDDLE, pipe.url)


def test_importing_the_package_does_not_load_torch():
    run("import sys, logitcask; logitcask.Client; assert 'torch' not in sys.modules")
