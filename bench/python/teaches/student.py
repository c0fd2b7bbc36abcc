"""A tiny student on one kind of target; prints its held-out perplexity as JSON.

usage: student.py URL DATASET LOSS SEED TEST LOGITS; LOSS is hard, whole or one of losses.SPARSE.
Every epoch's batches come from the server, in the order of the seed: the same for every target.
`whole` takes the teacher's logits from its dump, at the rows that the samples' meta names.
"""

import json
import math
import sys
import warnings

import numpy as np
import torch
from logitcask import LogitDataset
from losses import SPARSE, whole
from torch import nn
from torch.nn import functional

VOCABULARY, LENGTH = 8192, 256
WIDTH, HEADS, LAYERS = 64, 2, 2
EPOCHS, BATCH = 2, 2
RATE, WARM_UP, RATE_FLOOR = 3e-3, 0.1, 0.1
HARD_SHARE = 0.1  # of the hard labels' cross-entropy in the loss; the teacher has the rest


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.RMSNorm(WIDTH) for _ in range(2))
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH, bias=False),
            nn.GELU(),
            nn.Linear(4 * WIDTH, WIDTH, bias=False),
        )

    def forward(self, x):
        rows, length, _ = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(rows, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, WIDTH))
        return x + self.mlp(self.norms[1](x))


class Student(nn.Module):
    """0.63 M parameters: a transformer with tied embeddings and learned positions."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.RMSNorm(WIDTH)
        for embedding in (self.tokens, self.places):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, tokens):
        """[B, L] ids → logits [B · L, V]."""
        x = self.blocks(self.tokens(tokens) + self.places.weight)
        return (self.norm(x) @ self.tokens.weight.T).flatten(0, 1)


def loss_of(name, batch, logits, dump):
    mask = batch["mask"]
    labels = batch["tokens"].long().roll(-1)  # the last position of a sample is masked
    hard = functional.cross_entropy(logits[mask], labels[mask])
    if name == "hard":
        return hard
    if name == "whole":
        rows = [dump[meta["row"] : meta["row"] + LENGTH] for meta in batch.meta]
        soft = whole(torch.from_numpy(np.concatenate(rows)).float(), logits, mask)
    else:
        soft = SPARSE[name](batch, logits, mask)
    return HARD_SHARE * hard + (1 - HARD_SHARE) * soft


def rate_at(step, steps):
    decay = 0.5 * (1 + math.cos(math.pi * step / steps))
    warm = min(1, (step + 1) / (WARM_UP * steps))
    return RATE * warm * (RATE_FLOOR + (1 - RATE_FLOOR) * decay)


def train(student, batches, name, dump):
    optimiser = torch.optim.AdamW(student.parameters(), weight_decay=0.01, betas=(0.9, 0.95))
    steps = EPOCHS * len(batches)
    step = 0
    for _ in range(EPOCHS):
        for batch in batches:
            for group in optimiser.param_groups:
                group["lr"] = rate_at(step, steps)
            logits = student(batch["tokens"].long().view(-1, LENGTH))
            loss = loss_of(name, batch, logits, dump)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimiser.step()
            step += 1


@torch.no_grad()
def perplexity(student, test):
    tokens = torch.from_numpy(np.load(test)).long().view(-1, LENGTH)
    losses = [functional.cross_entropy(student(row[None])[:-1], row[1:]) for row in tokens]
    return torch.stack(losses).mean().exp().item()


def main(url, dataset, name, seed, test, logits):
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    student = Student()
    batches = LogitDataset(url, dataset, shuffle_seed=int(seed), batch_size=BATCH)
    train(student, batches, name, np.load(logits, mmap_mode="r"))
    print(json.dumps({"perplexity": perplexity(student, test)}))


warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
main(*sys.argv[1:])
