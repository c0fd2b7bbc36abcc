"""The loops of docs/trainers.md: run, stopped in the middle, run again, and the same to the bit."""

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import CLI, V
from transformers import LlamaConfig, LlamaForCausalLM

import logitcask
from logitcask import LogitDataset, losses, order_digest

PAGE = (CLI.parents[2] / "docs" / "trainers.md").read_text()
BLOCKS = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE, re.M | re.S))
RESUMED = ["PyTorch", "torchdata's StatefulDataLoader", "Accelerate", "Hugging Face Trainer"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
]


class Stopped(Exception):
    """In place of a kill: what was not saved is lost."""


def make_student():
    torch.set_num_threads(1)  # what is this small only waits for threads
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=V, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def digest(batch):
    found = hashlib.sha256()
    for name, array in sorted(batch.arrays.items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


@pytest.fixture
def run(pipe, monkeypatch, tmp_path):
    """Runs a block of the page; returns what its loss was given, step by step, and the student."""
    monkeypatch.chdir(tmp_path)

    def start(name, stop=None, folder=".", setting=lambda code: code):
        (tmp_path / folder).mkdir(exist_ok=True)
        os.chdir(tmp_path / folder)
        seen, kd_loss = [], losses.kd_loss

        def watched(logits, batch, **options):
            if len(seen) == stop:
                raise Stopped
            place = batch.place
            seen.append((place["epoch"], place["step"], digest(batch)))
            return kd_loss(logits, batch, **options)

        student = make_student()
        code = setting(BLOCKS[name]).replace('"mine"', '"planes"')
        with monkeypatch.context() as patch:
            patch.setattr(losses, "kd_loss", watched)
            try:
                exec(compile(code, name, "exec"), {"URL": pipe.url, "student": student})
            except Stopped:
                pass
        return seen, student

    return start


def test_every_block_is_run_here():
    assert len(BLOCKS) == PAGE.count("```python")
    assert set(BLOCKS) == {*RESUMED, "DDP", "Packs", "Several servers", "Without torch"}


def equal(one, other):
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values())
    )


@pytest.mark.parametrize("name", RESUMED)
def test_a_loop_that_was_stopped_goes_on_to_the_same_bits(run, name):
    whole, student = run(name, folder="whole")
    steps = len(whole) // 2
    assert [one[:2] for one in whole] == [(e, s) for e in range(2) for s in range(steps)]
    assert len({one[2] for one in whole}) == len(whole) and not equal(student, make_student())
    received = {}
    for stop in (5, 8, 3, None):  # what is done again after a stop is the same again
        seen, resumed = run(name, stop, folder="stopped")
        for *place, found in seen:
            assert received.setdefault(tuple(place), found) == found
    assert received == {(e, s): found for e, s, found in whole}
    assert equal(student, resumed)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_workers_change_nothing(run, workers):
    name = "torchdata's StatefulDataLoader"

    def setting(code):
        return code.replace("num_workers=2", f"num_workers={workers}")

    whole, student = run(name, folder="whole")
    first, _ = run(name, 7, "stopped", setting)
    second, resumed = run(name, None, "stopped", setting)
    assert first[:6] + second == whole and equal(student, resumed)


def test_ranks_of_ddp_receive_the_order_of_the_plan(pipe, tmp_path):
    code = BLOCKS["DDP"].replace('"mine"', '"planes"')
    head = "import sys\nfrom test_trainers import make_student\n"
    (tmp_path / "train.py").write_text(f"{head}URL, student = sys.argv[1], make_student()\n{code}")
    # standalone: at a free port
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    env = {**os.environ, "PYTHONPATH": os.path.dirname(__file__), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launch, "--nproc-per-node", "2", "train.py", pipe.url],
        cwd=tmp_path,
        env=env,
        timeout=240,
        check=True,
    )
    lines = [
        json.loads(line)
        for rank in range(2)
        for line in (tmp_path / f"run-{rank}.jsonl").read_text().splitlines()
    ]
    lines.sort(key=lambda line: (line["step"], line["rank"]))
    assert {line["world"] for line in lines} == {2}
    plan = lines[0]["plan"]
    assert order_digest(lines) == pipe.client.digest(plan, 0)
    for rank in range(2):
        dataset = LogitDataset(pipe.url, plan=plan, rank=rank, world=2)
        assert order_digest(line for line in lines if line["rank"] == rank) == dataset.digest(0)


def test_packs_give_every_document_the_logits_that_it_has_alone(run, pipe):
    seen, _ = run("Packs")
    assert len(seen) > 1
    model = make_student().eval()
    dataset = LogitDataset(pipe.url, "planes", batch_size=4, packing={"length": 96})
    batch = next(iter(dataset))
    packs = batch.packs()
    inputs = packs.model_inputs()
    assert int(packs["document_ids"].max()) > 1
    with torch.no_grad():
        packed = model(
            inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False
        ).logits
        starts = batch["pack"] * 96 + batch["offset"]
        for row, start in enumerate(starts.tolist()):
            first, last = batch["offsets"][row : row + 2].tolist()
            alone = model(batch["tokens"][None, first:last].long()).logits[0]
            here = packed.flatten(0, 1)[start : start + last - first]
            torch.testing.assert_close(here, alone, rtol=1e-4, atol=1e-5)
    # and so the loss is that of the samples
    whole = losses.kd_loss(packed, packs, reduction="sum")
    cut = torch.cat([
        packed.flatten(0, 1)[s : s + n]
        for s, n in zip(starts.tolist(), batch["offsets"].diff().tolist())
    ])  # fmt: skip
    torch.testing.assert_close(whole, losses.kd_loss(cut, batch, reduction="sum"))


@pytest.mark.parametrize("name", ["Several servers", "Without torch"])
def test_short_blocks_run(run, name, monkeypatch):
    made = []
    real = LogitDataset

    class Seen(real):
        def __iter__(self):
            for batch in super().__iter__():
                made.append(batch)
                yield batch

    monkeypatch.setattr(logitcask, "LogitDataset", Seen, raising=False)
    run(name)
    assert len(made) > 5
