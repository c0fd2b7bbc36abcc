"""Losses of batches from a real server: what is stored is what the student is held against."""

import numpy as np
import torch
from conftest import K, V

from logitcask import LogitDataset
from logitcask.losses import kd_loss


def batches(pipe, name, **options):
    return list(LogitDataset(pipe.url, name, batch_size=4, shuffle=False, **options))


def teacher_logits(pipe, batch):
    """The dump's rows of a dense batch, and zeros behind each sample."""
    logits = torch.zeros(*batch["mask"].shape, V)
    for row, (meta, length) in enumerate(zip(batch.meta, batch["length"].tolist())):
        first = meta["row"]
        logits[row, :length] = torch.from_numpy(pipe.dump.logprobs[first : first + length])
    return logits


def test_the_teacher_itself_has_a_loss_of_0_at_every_temperature(pipe):
    for temperature in (1.0, 2.0):
        options = {"dtype": "float32", "temperature": temperature}
        for dense, frames in zip(
            batches(pipe, "planes", layout="dense", **options), batches(pipe, "planes")
        ):
            logits = teacher_logits(pipe, dense)
            losses = [kd_loss(logits, batch, temperature=temperature) for batch in (dense, frames)]
            # levels round √p: KL below the step's square
            assert 0 <= losses[0] < 1e-3
            torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-5)
            moved = kd_loss(logits.roll(1, 1), frames, temperature=temperature)
            assert moved > 0.5


def test_raw_targets_give_the_loss_of_the_lists_themselves(pipe):
    rng = np.random.default_rng(1)
    for batch in batches(pipe, "raw", layout="dense", dtype="float32"):
        student = torch.from_numpy(rng.normal(size=(*batch["mask"].shape, V)))
        teacher = teacher_logits(pipe, batch).double()
        keep = torch.zeros(teacher.shape, dtype=torch.bool)
        keep.scatter_(-1, teacher.topk(K).indices, True)
        cells = []
        for logits in (teacher, student):
            p = logits.softmax(-1)
            outside = p.masked_fill(keep, 0).sum(-1, keepdim=True)
            cells.append(torch.cat((p[keep].view(*p.shape[:-1], K), outside), -1))
        each = (cells[0] * (cells[0] / cells[1]).log()).sum(-1)
        expected = each[batch["mask"]].mean()
        torch.testing.assert_close(kd_loss(student, batch), expected, rtol=1e-6, atol=0)
