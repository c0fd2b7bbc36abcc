"""Where torch is not installed everything but tensors works; where it is, it is loaded late."""

import subprocess
import sys

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


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # nothing is left behind at the end either
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_batches_are_numpy_arrays_without_torch(pipe, tmp_path):
    run(WITHOUT, pipe.url, str(tmp_path / "run.jsonl"))


def test_importing_the_package_does_not_load_torch():
    run("import sys, logitcask; logitcask.Client; assert 'torch' not in sys.modules")
