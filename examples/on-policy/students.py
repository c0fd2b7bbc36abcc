"""Students, and the three ways to train them; a server does the rest (run.py)."""

import copy

import torch
from torch import nn

from logitcask import LogitDataset
from logitcask.losses import kd_loss, reverse_kl

WIDTH, BATCH = 128, 16
#: Of the warm start, and of what follows.
RATE_FIRST, RATE = 3e-3, 1e-3
PROMPT, NEW = 16, 32


class Student(nn.Module):
    """A recurrent net of 1.1 M parameters; anything that gives logits [B, L, V] will do."""

    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.net = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, tokens):
        return self.net(self.embedding(tokens))[0] @ self.embedding.weight.T

    @torch.no_grad()
    def generate(self, prompts, generator):
        """Prompts [B, PROMPT] with NEW tokens more, sampled at temperature 1."""
        tokens, (states, memory) = prompts, self.net(self.embedding(prompts))
        for _ in range(NEW):
            logits = states[:, -1] @ self.embedding.weight.T
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
            tokens = torch.cat([tokens, drawn], 1)
            states, memory = self.net(self.embedding(drawn), memory)
        return tokens


class Trainer:
    """A student and its optimiser, whose moments matter: a new one would shake a warm student."""

    def __init__(self, student, state=None):
        self.student = student
        self.optimiser = torch.optim.AdamW(student.parameters(), lr=RATE_FIRST)
        if state is not None:
            self.optimiser.load_state_dict(state)
            self.optimiser.param_groups[0]["lr"] = RATE

    def copy(self):
        """The same student once more, to be trained on at the later rate."""
        return Trainer(copy.deepcopy(self.student), self.optimiser.state_dict())

    def step(self, batch, loss_of):
        logits = self.student(batch.model_inputs()["input_ids"])
        loss = loss_of(logits, batch)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()


def forward_and_reverse(logits, batch):
    """Reverse KL of what the student did, and the teacher's whole distribution where it went."""
    return reverse_kl(logits, batch) + kd_loss(logits, batch)


def endless(dataset):
    while True:
        yield from dataset


def prompts_of(url, dataset, seed):
    """The beginnings of the samples of a data set, [BATCH, PROMPT], in a seeded order."""
    samples = LogitDataset(url, dataset, batch_size=BATCH, shuffle_seed=seed, drop_last=True)
    for batch in endless(samples):
        yield batch.model_inputs()["input_ids"][:, :PROMPT]


def train_on_stored(trainer, url, dataset, *, steps, seed, **options):
    """The usual way: a fixed set, made before."""
    stored = LogitDataset(
        url, dataset, batch_size=BATCH, shuffle_seed=seed, drop_last=True, **options
    )
    for _, batch in zip(range(steps), endless(stored)):
        trainer.step(batch, kd_loss)


def train_on_own(trainer, scorer, prompts, *, steps, seed):
    """On-policy: what the student writes is scored, learned from, and kept by the server."""
    generator = torch.Generator().manual_seed(seed)
    for step, prompt in zip(range(steps), prompts):
        rollouts = trainer.student.generate(prompt, generator)
        batch = scorer.score(
            rollouts,
            prompt_lengths=[PROMPT] * BATCH,
            meta=[{"seed": seed, "step": step}] * BATCH,
        )
        trainer.step(batch, forward_and_reverse)


def judge(student, scorer, prompts, *, batches, seed):
    """The teacher's perplexity of what a student writes, and the share of its words that differ."""
    generator = torch.Generator().manual_seed(seed)
    logprobs, pairs = [], []
    for _, prompt in zip(range(batches), prompts):
        rollouts = student.generate(prompt, generator)
        batch = scorer.score(rollouts, prompt_lengths=[PROMPT] * BATCH, meta=None, top_k=1)
        logprobs.append(batch["teacher_label_logprob"][batch["mask"]].float())
        written = rollouts[:, PROMPT:]
        pairs += torch.stack([written[:, :-1], written[:, 1:]], -1).flatten(0, 1).tolist()
    perplexity = torch.cat(logprobs).mean().neg().exp().item()
    return {"perplexity": perplexity, "distinct": len({*map(tuple, pairs)}) / len(pairs)}
