"""Losses at the edges of what is defined, and what they refuse."""

import math
from dataclasses import replace

import pytest
import torch
from loss_cases import FLOAT, Case

from logitcask import LogitcaskError, Targets
from logitcask.losses import (
    Soft,
    cross_entropy,
    jsd_loss,
    kd_loss,
    reverse_kl,
    soft_cross_entropy,
    weighted,
)

LOSSES = {
    "kd": lambda z, b, **o: kd_loss(z, b, alpha=0.5, **o),
    "soft": soft_cross_entropy,
    "jsd": jsd_loss,
    "hard": cross_entropy,
    "reverse": reverse_kl,
}


def refuses(code, match, call, *args, **options):
    with pytest.raises(LogitcaskError, match=match) as caught:
        call(*args, **options)
    assert caught.value.code == code


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("layout", ["joined", "padded", "dense"])
@pytest.mark.parametrize("lengths", [(3, 2), (0, 0), ()])
def test_nothing_to_learn_is_0_with_a_gradient_of_0(lengths, layout, name):
    case = Case(0, lengths=lengths or (2,), pads=9)
    batch, logits = case.batch(layout), case.student(layout)
    if not lengths:  # some ranks of a last step have no rows
        cut = {key: a[:1] if "offsets" in key else a[:0] for key, a in batch.arrays.items()}
        batch = type(batch)(batch.layout, 0, case.V, batch.target_sets, cut, {}, None)
        logits = logits.detach()[:0].requires_grad_()
    loss = LOSSES[name](logits, batch)
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_masked_positions_may_hold_anything(name):
    case = Case(1, lengths=(8, 5))
    good, bad = case.student("dense"), case.student("dense")
    with torch.no_grad():
        bad[~case.learned] = torch.nan
    batch = case.dense()
    ids = batch["teacher_ids"].clone()
    losses = [LOSSES[name](good, batch)]
    ids[~case.learned] = 10**6
    batch.arrays["teacher_ids"] = ids
    losses.append(LOSSES[name](bad, batch))
    sum(losses).backward()
    assert losses[0] == losses[1]
    assert torch.equal(good.grad, bad.grad)


def test_positions_without_entries_are_all_rest():
    soft = Soft.ragged(torch.zeros(4, dtype=torch.int64), *torch.empty(2, 0), torch.ones(3))
    logits = torch.randn(3, 5, requires_grad=True)
    loss = kd_loss(logits, soft)
    loss.backward()
    assert loss.abs() < 1e-6 and logits.grad.abs().max() < 1e-6
    unbiased = soft._replace(rest=None)
    assert kd_loss(logits, unbiased) == 0


def test_logits_of_minus_infinity():
    inf, ids = torch.inf, torch.tensor([[0, 1]])
    half = Soft.dense(ids, torch.full((1, 2), math.log(0.4)), torch.tensor([0.2]))
    # outside the kept ids, beside finite ones: as if the id did not exist
    wide = torch.tensor([[0.3, -0.2, 0.1, -inf]], requires_grad=True)
    kd_loss(wide, half).backward()
    narrow = wide.detach()[:, :3].clone().requires_grad_()
    kd_loss(narrow, half).backward()
    torch.testing.assert_close(wide.grad[:, :3], narrow.grad)
    assert wide.grad[0, 3] == 0
    # where the teacher has mass the divergence is infinite, as the formula is
    for logits in ([-inf, 0.0, 0.0], [0.0, 0.0, -inf]):
        assert kd_loss(torch.tensor([logits]), half) == inf
    # where it has none nothing is added
    none = Soft.dense(ids, torch.tensor([[0.0, -inf]]), torch.zeros(1))
    found = kd_loss(torch.tensor([[0.0, -inf, 0.0]]), none)
    torch.testing.assert_close(found, torch.tensor(2.0).log())
    assert jsd_loss(torch.tensor([[0.0, -inf, -inf]]), none) == 0


def test_a_student_that_is_sure_has_an_exact_tail():
    """1 − Σ q in float32 would be 0 here, or noise."""
    soft = Soft.dense(torch.tensor([[0]]), torch.tensor([[math.log(0.9)]]), torch.tensor([0.1]))
    logits = torch.tensor([[40.0, 0.0, 1.0, -2.0]], requires_grad=True)
    loss = kd_loss(logits, soft)
    loss.backward()
    exact = logits.detach().double().requires_grad_()
    logq = exact.log_softmax(-1)[0]
    p = torch.tensor([0.9, 0.1], dtype=FLOAT)
    expected = (p * (p.log() - torch.stack((logq[0], logq[1:].logsumexp(0))))).sum()
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("layout", ["joined", "dense"])
def test_ids_outside_the_students_vocabulary_are_refused(layout, name):
    case = Case(1, lengths=(8, 8))
    logits = case.student(layout).detach()[..., : case.V // 2]
    match = "outside the student's vocabulary"
    refuses("request-invalid", match, LOSSES[name], logits, case.batch(layout))


def test_a_larger_vocabulary_of_the_student_is_part_of_the_rest():
    case = Case(1, k=17)
    wide = torch.nn.functional.pad(case.logits, (0, 3), value=-torch.inf)
    wide[..., -1] = -40
    narrow = kd_loss(case.logits, case.dense())
    torch.testing.assert_close(kd_loss(wide, case.dense()), narrow)


def test_temperatures_that_are_not_to_be_had_are_refused():
    case, code = Case(1), "temperature-unsupported"
    logits = case.student("dense")
    unbiased = case.ragged(case.probs())
    refuses(code, "no targets at this", kd_loss, logits, unbiased, temperature=2)
    refuses(code, "no targets at this", kd_loss, logits, case.ragged(), temperature=3)
    refuses(code, "ask the server", kd_loss, logits, case.dense(), temperature=2)
    refuses(code, "ask the server", kd_loss, logits, case.dense(temperature=2.0))
    rough = {"temperature_exact": False}
    for batch in (case.dense(temperature=2.0, **rough), case.ragged(**rough)):
        refuses(code, "approximate", kd_loss, logits, batch, temperature=2)
        assert kd_loss(logits, batch, temperature=2, approximate=True) > 0
    assert kd_loss(logits, case.ragged(**rough)) > 0  # as stored it is exact
    batch = case.ragged()
    names = ("offsets", "ids", "probs", "rest")
    targets = Targets("scaled", *(batch[f"teacher_{name}"] for name in names), batch["offsets"])
    refuses(code, "pass the batch", kd_loss, case.student("joined"), targets, temperature=2)


def test_unbiased_targets_at_the_temperature_that_they_were_drawn_at():
    case = Case(1)
    batch = case.ragged(case.probs(2.0), temperature=2.0)
    found = kd_loss(case.logits, batch, temperature=2)
    cross = -(case.probs(2.0) * (case.logits / 2).log_softmax(-1)).sum(-1)
    torch.testing.assert_close(found, 4 * cross[case.learned].mean())


@pytest.mark.parametrize(
    ("match", "options"),
    [
        ("alpha is a share", {"alpha": 1.5}),
        ("alpha is a share", {"alpha": math.nan}),
        ("temperature", {"temperature": 0.5}),
        ("temperature", {"temperature": math.nan}),
        ("no such reduction", {"reduction": "batchmean"}),
        ("one target set", {"target_set": "other"}),
        ("one a position", {"mask": torch.ones(7, dtype=torch.bool)}),
        ("one a position", {"position_weights": torch.ones(7)}),
        ("one a position", {"alpha": 0.5, "labels": torch.ones(7)}),
    ],
)
def test_arguments_are_checked(match, options):
    case = Case(1)
    refuses("request-invalid", match, kd_loss, case.student("dense"), case.dense(), **options)


def test_logits_of_another_shape_are_refused():
    case = Case(1, lengths=(5, 0, 3))
    for batch, shape in (
        (case.dense(), (3, 4, 17)),
        (case.ragged(), (7, 17)),
        (case.ragged(), (2, 5, 17)),
    ):
        refuses("request-invalid", "differ in positions", kd_loss, torch.zeros(shape), batch)
    refuses("request-invalid", "more positions", kd_loss, torch.zeros(3, 4, 17), case.ragged())
    refuses("request-invalid", "floats", kd_loss, torch.zeros(8, 17).long(), case.ragged())
    longer = kd_loss(torch.zeros(3, 9, 17), case.ragged())
    torch.testing.assert_close(longer, kd_loss(torch.zeros(1, 8, 17), case.ragged()))


def test_teachers_are_weighted():
    case, other = Case(1), Case(2)
    batch, second = case.batch("padded"), other.batch("padded")
    arrays = {f"second{key[7:]}": a for key, a in second.arrays.items() if key[:7] == "teacher"}
    # what the second teacher has not scored: no entries, and a rest of 1
    empty = {"offsets": torch.zeros_like(arrays["second_offsets"])}
    empty |= {key: arrays[f"second_{key}"][:0] for key in ("ids", "probs")}
    empty["rest"] = torch.ones_like(arrays["second_rest"])
    arrays |= {f"none_{key}": a for key, a in empty.items()}
    one = batch.target_sets["teacher"]
    sets = {name: one._replace(name=name) for name in ("teacher", "second", "none")}
    both = replace(batch, target_sets=sets, arrays={**batch.arrays, **arrays})
    logits = case.student("padded")
    each = [kd_loss(logits, both, target_set=name) for name in ("teacher", "second")]
    found = weighted(kd_loss, {"teacher": 0.7, "second": 0.3, "none": 2.0}, logits, both)
    torch.testing.assert_close(found, 0.7 * each[0] + 0.3 * each[1])
    assert each[0] != each[1] and kd_loss(logits, both, target_set="none") == 0
    refuses("request-invalid", "name one target set", weighted, kd_loss, {"x": 1}, logits, both)
    refuses("request-invalid", "weights name", weighted, kd_loss, {}, logits, both)


def test_a_batch_of_several_target_sets_needs_a_name():
    case = Case(1)
    batch = case.dense()
    sets = {"teacher": batch.target_sets["teacher"], "other": None}
    both = type(batch)("dense", case.B, case.V, sets, batch.arrays, {}, None)
    refuses("request-invalid", "name one target set", kd_loss, case.logits, both)
    assert kd_loss(case.logits, both, target_set="teacher") == kd_loss(case.logits, batch)


def test_what_a_loss_needs_is_named():
    case = Case(1)
    soft = Soft.dense(torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4))
    logits = torch.zeros(4, 9)
    refuses("request-invalid", "pass labels", kd_loss, logits, soft, alpha=0.5)
    refuses("request-invalid", "pass label_logprob", reverse_kl, logits, labels=torch.ones(4))
    refuses("request-invalid", "use kd_loss", jsd_loss, case.logits, case.ragged(case.probs()))
    refuses("request-invalid", "beta mixes", jsd_loss, case.logits, case.dense(), beta=1.0)
    weights = torch.ones(5)
    for loss in (cross_entropy, soft_cross_entropy):
        args = (case.logits, case.dense())
        refuses("request-invalid", "one a class", loss, *args, class_weights=weights)
    with pytest.raises(TypeError):
        kd_loss(logits, soft, temprature=2)
