"""Targets of mixup and CutMix are mixed from the stored ones of both crops."""

import pytest
import torch
from loss_cases import FLOAT, Case

from logitcask import LogitcaskError
from logitcask.losses import Soft, kd_loss


def soft_of(p, keep):
    rows, ids = keep.nonzero(as_tuple=True)
    return Soft(rows, ids, p[keep], torch.where(keep, 0, p).sum(-1), len(p))


def dense_of(soft, width):
    found = torch.zeros(soft.positions, width, dtype=soft.probs.dtype)
    return found.index_put((soft.rows, soft.ids), soft.probs, accumulate=True)


def test_mixed_targets_are_the_mixture_of_both():
    rng = torch.Generator().manual_seed(1)
    p = torch.randn(12, 7, generator=rng, dtype=FLOAT).softmax(-1)
    partner = torch.randint(12, (12,), generator=rng)
    weight = torch.rand(12, generator=rng, dtype=FLOAT)
    weight[:2] = torch.tensor([0.0, 1.0])
    for k in (7, 3):
        keep = torch.zeros_like(p, dtype=torch.bool).scatter(1, p.topk(k).indices, True)
        own = soft_of(p, keep)
        mixed = own.mix(own.take(partner), weight)
        kept = torch.where(keep, p, 0)
        expected = (1 - weight)[:, None] * kept + weight[:, None] * kept[partner]
        torch.testing.assert_close(dense_of(mixed, 7), expected)
        torch.testing.assert_close(mixed.rest, 1 - expected.sum(-1))
        union = torch.where(weight[:, None] < 1, keep, False)
        union |= torch.where(weight[:, None] > 0, keep[partner], False)
        assert torch.equal(torch.stack((mixed.rows, mixed.ids)), union.nonzero().T)
        z = torch.randn(12, 7, generator=rng, dtype=FLOAT)
        if k == 7:
            log_q = z.log_softmax(-1)
            plain = (expected * (expected.log() - log_q)).sum(-1).mean()
            torch.testing.assert_close(kd_loss(z, mixed), plain)
        else:  # the first is its own, the second its partner's
            both = kd_loss(z, mixed, reduction="none")[:2]
            alone = kd_loss(z[:1], own.take(torch.tensor([0])))
            other = kd_loss(z[1:2], own.take(partner[1:2]))
            torch.testing.assert_close(both, torch.stack((alone, other)))


def test_mixing_refuses_what_does_not_match():
    p = torch.full((2, 3), 1 / 3)
    own = soft_of(p, torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(LogitcaskError, match="a partner and a weight"):
        own.mix(own.take(torch.tensor([0])), torch.zeros(2))
    with pytest.raises(LogitcaskError, match="a partner and a weight"):
        own.mix(own, torch.zeros(1))
    with pytest.raises(LogitcaskError, match="do not mix"):
        own.mix(own._replace(rest=None), torch.zeros(2))


def test_mixing_the_targets_of_a_batch():
    case = Case(4, vocabulary=6, k=6)
    batch = case.ragged()
    soft = Soft.of(batch, 2.0)
    turned = soft.take(torch.arange(soft.positions).flip(0))
    mixed = soft.mix(turned, torch.full((soft.positions,), 0.25, dtype=FLOAT))
    p = case.joined(case.probs(2.0))
    torch.testing.assert_close(dense_of(mixed, 6), 0.75 * p + 0.25 * p.flip(0))
    with pytest.raises(LogitcaskError, match="no targets at this temperature"):
        Soft.of(batch, 3.0)
