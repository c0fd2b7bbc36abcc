"""The other losses equal their plain formulas; weights are where they belong."""

import math

import pytest
import torch
from loss_cases import FLOAT, Case, bucket, hard, kl, mean, reference

from logitcask import LogitcaskError
from logitcask.losses import (
    Soft,
    cross_entropy,
    foreground_weights,
    jsd_loss,
    kd_loss,
    reverse_kl,
    soft_cross_entropy,
)

LAYOUTS = ["joined", "padded", "dense"]


def compare(case, layout, loss, formula):
    leaf = case.student(layout)
    found = loss(leaf)
    found.backward()
    value, gradient = reference(case, formula)
    torch.testing.assert_close(found.detach(), value)
    torch.testing.assert_close(case.gradient(leaf), gradient)


def plain_jsd(p, q, beta):
    m = beta * p + (1 - beta) * q
    return beta * kl(p, m) + (1 - beta) * kl(q, m)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [1, 4, 17])
def test_jsd_over_the_kept_and_a_bucket(k, layout, beta):
    case, temperature = Case(1, k=k), 2.0
    options = {"temperature": temperature} if layout == "dense" else {}
    batch = case.batch(layout, **options)

    def formula(logits):
        p = bucket(case, case.probs(temperature))
        q = bucket(case, (logits / temperature).softmax(-1))
        return temperature**2 * plain_jsd(p, q, beta)

    def loss(logits):
        return jsd_loss(logits, batch, beta=beta, temperature=temperature)

    compare(case, layout, loss, formula)


def test_jsd_counts_a_tail_that_only_the_student_has():
    ids, logprobs = torch.tensor([[0]]), torch.zeros(1, 1, dtype=FLOAT)
    soft = Soft.dense(ids, logprobs, torch.zeros(1, dtype=FLOAT))
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], dtype=FLOAT)
    q = logits.softmax(-1)
    expected = plain_jsd(torch.tensor([1.0, 0, 0], dtype=FLOAT), q[0], 0.5)
    torch.testing.assert_close(jsd_loss(logits, soft), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cross_entropy_of_hard_labels(layout):
    case = Case(9, pads=1)
    weights = torch.rand(case.V, dtype=FLOAT)
    batch = case.batch(layout)
    compare(case, layout, lambda z: cross_entropy(z, batch), lambda z: hard(case, z))
    compare(
        case,
        layout,
        lambda z: cross_entropy(z, batch, class_weights=weights),
        lambda z: weights[case.labels] * hard(case, z),
    )


def test_positions_without_a_label_are_not_learned_by_cross_entropy():
    logits, labels = torch.randn(6, 5), torch.tensor([1, -100, 4, -1, 0, 2])
    mask = torch.tensor([True] * 5 + [False])
    found = cross_entropy(logits, labels=labels, mask=mask)
    kept = [0, 2, 4]
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits[kept], labels[kept]))
    # in kd_loss they have a teacher all the same
    soft = Soft.dense(torch.zeros(6, 1), torch.full((6, 1), math.log(0.5)), torch.full((6,), 0.5))
    both = kd_loss(logits, soft, alpha=0.5, labels=labels, mask=mask)
    alone = kd_loss(logits, soft, mask=mask)
    torch.testing.assert_close(both, 0.5 * (alone + 3 / 5 * found))


def test_hard_labels_of_vision_batches():
    case = Case(9)
    batch = case.dense()
    labels = batch["tokens"].flip(1)
    del batch.arrays["tokens"]
    with pytest.raises(LogitcaskError, match="no hard labels"):
        cross_entropy(case.logits, batch)
    batch.arrays["hard_label"] = labels
    expected = cross_entropy(case.logits, labels=labels, mask=case.learned)
    assert cross_entropy(case.logits, batch) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [4, 17])
def test_soft_cross_entropy_weights_classes(k, layout):
    case = Case(10, k=k)
    weights = torch.rand(case.V, dtype=FLOAT)
    batch = case.batch(layout)

    def formula(logits, weights=weights):
        p, q = bucket(case, case.probs()), bucket(case, logits.softmax(-1))
        outside = torch.where(case.keep, 0, weights).sum(-1, keepdim=True)
        count = (~case.keep).sum(-1, keepdim=True).clamp(min=1)
        cells = torch.cat((weights.expand_as(case.logits), outside / count), -1)
        return -torch.where(p > 0, cells * p * q.clamp(min=1e-300).log(), 0).sum(-1)

    def loss(logits):
        return soft_cross_entropy(logits, batch, class_weights=weights)

    compare(case, layout, loss, formula)
    # without weights it is the KL and the entropy of the teacher
    even = torch.ones(case.V, dtype=FLOAT)
    compare(case, layout, lambda z: soft_cross_entropy(z, batch), lambda z: formula(z, even))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_position_weights(layout):
    case = Case(11)
    weights = torch.rand(case.B, case.L, dtype=FLOAT)
    weights[0, 1] = 0
    own = weights if layout == "dense" else case.joined(weights)
    logits = case.student(layout)
    found = kd_loss(logits, case.batch(layout), alpha=1, position_weights=own)
    expected = mean(case, hard(case, case.logits), weights)
    torch.testing.assert_close(found, expected)
    if layout == "padded":  # as the logits lie
        rows = kd_loss(logits, case.ragged(), alpha=1, position_weights=weights)
        torch.testing.assert_close(rows, expected)


def test_a_position_of_weight_0_may_hold_anything():
    case = Case(11)
    weights = torch.ones(case.B, case.L, dtype=FLOAT)
    first = tuple(case.learned.nonzero()[0])
    weights[first] = 0
    logits = case.student("dense")
    with torch.no_grad():
        logits[first] = torch.nan
    kd_loss(logits, case.dense(), alpha=0.5, position_weights=weights).backward()
    assert logits.grad.isfinite().all() and (logits.grad[first] == 0).all()


@pytest.mark.parametrize("layout", ["joined", "dense"])
def test_foreground_weights(layout):
    case = Case(12, vocabulary=4, k=4)
    found = foreground_weights(case.batch(layout), background=2)
    expected = (1 - case.probs()[..., 2]).masked_fill(~case.exists, 1)
    torch.testing.assert_close(found, expected if layout == "dense" else case.joined(expected))
    cut = Case(12, vocabulary=4, k=1)
    weights = foreground_weights(cut.dense(), background=2)
    dropped = cut.exists & ~cut.keep[..., 2]
    assert dropped.any() and (weights[dropped] == 1).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reverse_kl_is_the_gap_of_the_actual_tokens(layout):
    case = Case(13)
    batch = case.batch(layout)
    leaf = case.student(layout)
    loss = reverse_kl(leaf, batch)
    loss.backward()
    gap = (-hard(case, case.logits) - case.label_logprob()).detach()
    torch.testing.assert_close(loss.detach(), mean(case, gap))
    _, gradient = reference(case, lambda logits: -gap * hard(case, logits))
    torch.testing.assert_close(case.gradient(leaf), gradient)


def test_reverse_kl_of_own_samples_descends_the_reverse_kl():
    rng = torch.Generator().manual_seed(1)
    student = torch.randn(8, generator=rng, dtype=FLOAT).requires_grad_()
    teacher = torch.randn(8, generator=rng, dtype=FLOAT).log_softmax(-1)
    whole = (student.softmax(-1) * (student.log_softmax(-1) - teacher)).sum()
    (expected,) = torch.autograd.grad(whole, student)
    draws = 200_000
    x = torch.multinomial(student.detach().softmax(-1), draws, True, generator=rng)
    leaf = student.detach().expand(draws, 8).clone().requires_grad_()
    loss = reverse_kl(leaf, labels=x, label_logprob=teacher[x])
    loss.backward()
    each = leaf.grad * draws
    error = each.std(0) / draws**0.5
    assert ((each.mean(0) - expected).abs() < 4.5 * error).all()
    assert expected.abs().max() > 20 * error.max()
    torch.testing.assert_close(loss.detach(), whole.detach(), rtol=0.02, atol=0)


def test_unknown_log_probs_are_not_learned():
    logits, labels = torch.randn(3, 4), torch.tensor([1, 2, 3])
    logprob = torch.tensor([-1.0, torch.nan, -2.0], dtype=torch.float16)
    found = reverse_kl(logits, labels=labels, label_logprob=logprob)
    expected = logits.log_softmax(-1)[[0, 2], [1, 3]] - torch.tensor([-1.0, -2.0])
    torch.testing.assert_close(found, expected.mean())


@pytest.mark.parametrize("k", [3, 6])
def test_gradcheck(k):
    case = Case(2, lengths=(4, 2), vocabulary=6, k=k)
    batch, leaf = case.ragged(), case.student("joined")
    weights = torch.rand(6, dtype=FLOAT)
    for loss in (
        lambda z: jsd_loss(z, batch, beta=0.3, temperature=2),
        lambda z: cross_entropy(z, batch, class_weights=weights),
        lambda z: soft_cross_entropy(z, batch, temperature=4, class_weights=weights),
    ):
        assert torch.autograd.gradcheck(loss, leaf)
