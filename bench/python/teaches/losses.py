"""What a student minimises for each kind of target: nats a position that is to be learned."""

import torch


class Sparse:
    """A batch's stored entries beside the student's log-probs of them; logits are [N, V]."""

    def __init__(self, batch, logits, mask):
        offsets = batch["teacher_offsets"]
        self.positions, width = logits.shape
        self.rows = torch.repeat_interleave(torch.arange(self.positions), offsets.diff())
        self.probs = batch["teacher_probs"]
        self.mask = mask
        at = self.rows * width + batch["teacher_ids"]
        picked = logits.flatten().index_select(0, at)
        self.logprobs = picked - logits.logsumexp(-1)[self.rows]

    def sum(self, values):
        """Sums of the entries of each position."""
        return torch.zeros(self.positions).index_add(0, self.rows, values)

    def mean(self, values):
        return values[self.mask].mean()


def unbiased(batch, logits, mask):
    """Cross-entropy with the stored weights: no bucket, no renormalising."""
    entries = Sparse(batch, logits, mask)
    return -entries.mean(entries.sum(entries.probs * entries.logprobs))


def bucket(batch, logits, mask):
    """Cross-entropy over the kept entries and one bucket of everything else."""
    entries = Sparse(batch, logits, mask)
    kept = entries.sum(entries.probs * entries.logprobs)
    outside = torch.log1p(-entries.sum(entries.logprobs.exp()).clamp(max=1 - 1e-6))
    return -entries.mean(kept + batch["teacher_rest"] * outside)


def renormalised(batch, logits, mask):
    """The tail thrown away: what many trainers do with top-k lists."""
    entries = Sparse(batch, logits, mask)
    mass = entries.sum(entries.probs)[entries.rows]
    return -entries.mean(entries.sum(entries.probs / mass * entries.logprobs))


def whole(teacher_logits, logits, mask):
    """Cross-entropy over the whole vocabulary."""
    probs = teacher_logits.softmax(-1)
    return (logits.logsumexp(-1) - (probs * logits).sum(-1))[mask].mean()


SPARSE = {"unbiased": unbiased, "bucket": bucket, "renormalised": renormalised}
