"""Teachers, batches of them, and the losses as plain formulas over the whole vocabulary."""

from __future__ import annotations

import numpy as np
import torch

from logitcask import Batch, TargetSet

FLOAT = torch.float64


class Case:
    """A teacher [B, L, V] whose top K are kept, and a student; sample b has lengths[b] positions.

    Temperatures are exact: the batch has log Z of 2 and 4. All numbers are float64.
    """

    def __init__(self, seed, *, lengths=(5, 0, 3), vocabulary=17, k=4, spread=2.0, pads=0):
        rng = torch.Generator().manual_seed(seed)
        self.lengths, self.V, self.k = list(lengths), vocabulary, k
        self.B, self.L = len(lengths), max(1, *lengths)
        shape = (self.B, self.L, vocabulary)
        teacher = spread * torch.randn(shape, generator=rng, dtype=FLOAT)
        self.teacher = teacher.log_softmax(-1)
        self.logits = torch.randn(shape, generator=rng, dtype=FLOAT)
        self.keep = torch.zeros(shape, dtype=torch.bool)
        self.keep.scatter_(-1, self.teacher.topk(k).indices, True)
        self.length = torch.tensor(self.lengths)
        self.exists = torch.arange(self.L) < self.length[:, None]
        self.mask = self.exists & (torch.rand(self.B, self.L, generator=rng) < 0.7)
        self.mask &= torch.arange(self.L) < self.length[:, None] - 1
        self.tokens = torch.randint(vocabulary, (self.B, self.L), generator=rng)
        self.labels = self.tokens.roll(-1, 1)
        self.pad = torch.arange(self.B) >= self.B - pads
        self.learned = self.mask & ~self.pad[:, None]

    def probs(self, temperature=1.0):
        return (self.teacher / temperature).softmax(-1)

    def rest(self, temperature=1.0):
        return torch.where(self.keep, 0, self.probs(temperature)).sum(-1)

    def joined(self, values):
        return values[self.exists]

    def student(self, layout, dtype=FLOAT):
        """Logits as the layout has them: joined [N, V], otherwise [B, L, V]."""
        logits = self.joined(self.logits) if layout == "joined" else self.logits
        return logits.to(dtype).clone().requires_grad_()

    def gradient(self, leaf):
        """Of logits of any layout, as [B, L, V]."""
        if leaf.dim() == 3:
            return leaf.grad.to(FLOAT)
        whole = torch.zeros_like(self.logits)
        whole[self.exists] = leaf.grad.to(FLOAT)
        return whole

    def batch(self, layout, **options):
        return (self.dense if layout == "dense" else self.ragged)(**options)

    def ragged(self, weights=None, **changes):
        """Layout `frames`: unbiased where weights [B, L, V] are given."""
        values = self.joined(self.probs() if weights is None else weights)
        keep = self.joined(self.keep) if weights is None else values > 0
        offsets = torch.zeros(len(values) + 1, dtype=torch.int64)
        offsets[1:] = keep.sum(-1).cumsum(0)
        log_z = [(self.teacher / t).logsumexp(-1) for t in (2, 4)]
        arrays = {
            "offsets": torch.tensor([0, *np.cumsum(self.lengths)]),
            "tokens": self.joined(self.tokens).int(),
            "mask": self.joined(self.mask),
            "teacher_offsets": offsets,
            "teacher_ids": keep.nonzero()[:, 1],
            "teacher_probs": values[keep],
            "teacher_label_logprob": self.joined(self.label_logprob()),
            "teacher_log_z": self.joined(torch.stack(log_z, -1)),
        }
        if weights is None:
            arrays["teacher_rest"] = self.joined(self.rest())
        kind = "scaled" if weights is None else "unbiased"
        return self.make("frames", arrays, kind=kind, log_z=(2, 4), **changes)

    def dense(self, temperature=1.0, room=2, **changes):
        """k + room columns in rank order; every sample padded to L."""
        logp = torch.where(self.keep, self.probs(temperature).log(), -torch.inf)
        logp = logp.masked_fill(~self.exists[..., None], -torch.inf)
        width = min(self.V, self.k + room)
        logprobs, ids = logp.topk(width)
        arrays = {
            "length": self.length.int(),
            "tokens": self.tokens.int(),
            "mask": self.mask,
            "teacher_ids": ids.masked_fill(logprobs == -torch.inf, 0).int(),
            "teacher_logprobs": logprobs,
            "teacher_rest": self.rest(temperature).masked_fill(~self.exists, 1),
            "teacher_label_logprob": self.label_logprob(),
        }
        return self.make("dense", arrays, temperature=temperature, **changes)

    def label_logprob(self):
        return self.teacher.gather(-1, self.labels[..., None])[..., 0]

    def make(self, layout, arrays, **changes):
        fields = {"name": "teacher", "kind": "scaled", "codec": "raw", "temperature": 1.0}
        fields.update(temperature_exact=True, log_z=(), step=None, tau=None)
        one = TargetSet(**{**fields, **changes})
        arrays = {"pad": self.pad, **arrays}
        return Batch(layout, self.B, self.V, {"teacher": one}, arrays, {}, None)


def mean(case, values, weights=None):
    """Σ weight · loss / Σ weight over the learned positions, which are picked, not multiplied."""
    weights = torch.ones_like(values) if weights is None else weights
    values, weights = values[case.learned], weights[case.learned]
    return (values * weights).sum() / weights.sum().clamp(min=1e-300)


def hard(case, logits):
    return -logits.log_softmax(-1).gather(-1, case.labels[..., None])[..., 0]


def bucket(case, values):
    """Probabilities [B, L, V] as cells [B, L, V + 1]: those kept, and all others as one."""
    outside = torch.where(case.keep, 0, values).sum(-1, keepdim=True)
    return torch.cat((torch.where(case.keep, values, 0), outside), -1)


def kl(p, q):
    """Σ p log(p / q), 0 where p is 0."""
    return torch.where(p > 0, p * (p.clamp(min=1e-300) / q.clamp(min=1e-300)).log(), 0).sum(-1)


def bucket_kl(case, logits, temperature=1.0):
    p, q = case.probs(temperature), (logits / temperature).softmax(-1)
    return temperature**2 * kl(bucket(case, p), bucket(case, q))


def whole_kl(case, logits, temperature=1.0):
    p = case.probs(temperature)
    return temperature**2 * (p * (p.log() - (logits / temperature).log_softmax(-1))).sum(-1)


def reference(case, formula):
    """Value and gradient [B, L, V] of a mean of values [B, L] of a student's float64 logits."""
    logits = case.logits.clone().requires_grad_()
    loss = mean(case, formula(logits))
    loss.backward()
    return loss.detach(), logits.grad
