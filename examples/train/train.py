"""Trains a tiny student on the quickstart's targets, and survives `kill -9` at any moment.

    npm run quickstart                         # builds a data set and serves it
    python examples/train/train.py --out run   # in another terminal; kill it, start it again

Started again it goes on behind its last checkpoint, with the same batches to the bit: after any
number of kills the student and `run/record.jsonl` are those of an undisturbed run (docs/resume.md).
Several processes: `torchrun --nproc-per-node 2 examples/train/train.py`.
"""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from logitcask import LogitDataset
from logitcask.losses import kd_loss

WIDTH = 64


class Student(nn.Module):
    """A recurrent net; anything that gives logits [B, L, V] will do."""

    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.net = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, tokens):
        return self.net(self.embedding(tokens))[0] @ self.embedding.weight.T


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", nargs="+", default=["http://127.0.0.1:8750"], help="replicas")
    parser.add_argument("--dataset", default="quickstart")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8, help="of all processes together")
    parser.add_argument("--save-every", type=int, default=20, help="steps")
    return parser.parse_args()


def save(path, state):
    """All or nothing: a file that is there is whole."""
    new = path.with_suffix(".new")
    with open(new, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def train(options):
    rank = dist.get_rank() if dist.is_initialized() else 0
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / ("record.jsonl" if rank == 0 else f"record-{rank}.jsonl")
    # every process has a sample at every step: none is short
    dataset = LogitDataset(
        options.url,
        options.dataset,
        global_batch_size=options.batch_size,
        pad_last=True,
        record=record,
    )
    manifest = dataset.client.manifest(options.dataset).document
    torch.manual_seed(0)
    student = Student(manifest["label_space"]["size"])
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        student.load_state_dict(saved["student"])
        optimizer.load_state_dict(saved["optimizer"])
        dataset.load_state_dict(saved["data"])
        print(f"goes on at epoch {dataset.epoch}, step {saved['data']['step']}", flush=True)
    model = DistributedDataParallel(student) if dist.is_initialized() else student

    for _ in range(dataset.epoch, options.epochs):
        for batch in dataset:
            loss = kd_loss(model(batch.model_inputs()["input_ids"]), batch, alpha=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state = dataset.state_dict()
            if rank == 0 and state["step"] % options.save_every == 0:
                place = batch.place
                print(f"epoch {place['epoch']}, step {place['step']}: loss {loss:.3f}", flush=True)
                weights = {"student": student.state_dict(), "optimizer": optimizer.state_dict()}
                save(checkpoint, {**weights, "data": state})
    if rank == 0:
        save(options.out / "student.pt", student.state_dict())


if __name__ == "__main__":
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    train(read_arguments())
    if dist.is_initialized():
        dist.destroy_process_group()
