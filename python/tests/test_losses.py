"""kd_loss equals the plain full-vocabulary formula, by value and gradient."""

import pytest
import torch
from loss_cases import FLOAT, Case, bucket_kl, hard, mean, reference, whole_kl

from logitcask import Targets
from logitcask.losses import Soft, kd_loss

LAYOUTS = ["joined", "padded", "dense"]


def compare(case, layout, batch, expected, dtype=FLOAT, within=1e-9, **options):
    """The loss over a layout against a reference's value and gradient."""
    leaf = case.student(layout, dtype)
    loss = kd_loss(leaf, batch, **options)
    loss.backward()
    value, gradient = expected
    assert loss.dim() == 0 and leaf.grad.dtype == dtype
    torch.testing.assert_close(loss.detach().to(FLOAT), value, rtol=within, atol=within)
    torch.testing.assert_close(case.gradient(leaf), gradient, rtol=within, atol=within)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(12))
def test_scaled_targets_have_a_bucket_for_the_rest(seed, layout, temperature):
    rng = torch.Generator().manual_seed(seed)
    vocabulary = [1, 2, 3, 17, 60][seed % 5]
    k = int(torch.randint(1, vocabulary + 1, (1,), generator=rng))
    lengths = torch.randint(0, 9, (1 + seed % 4,), generator=rng).tolist()
    case = Case(seed, lengths=lengths, vocabulary=vocabulary, k=k, pads=seed % 2)
    alpha = [0.0, 0.3, 1.0][seed % 3]

    def formula(logits):
        soft = bucket_kl(case, logits, temperature)
        return alpha * hard(case, logits) + (1 - alpha) * soft

    options = {"temperature": temperature} if layout == "dense" else {}
    batch = case.batch(layout, **options)
    expected = reference(case, formula)
    compare(case, layout, batch, expected, alpha=alpha, temperature=temperature)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("vocabulary", [1, 3, 64])
def test_whole_distributions_give_the_plain_kl(vocabulary, layout, temperature):
    case = Case(5, lengths=(20, 12), vocabulary=vocabulary, k=vocabulary)
    options = {"temperature": temperature} if layout == "dense" else {}
    batch = case.batch(layout, **options)
    # float32 all the way, and a rest that the format cannot store as 0
    for name, array in batch.arrays.items():
        if array.dtype == FLOAT:
            batch.arrays[name] = array.float()
    batch["teacher_rest"].fill_(1.3e-14)
    expected = reference(case, lambda logits: whole_kl(case, logits, temperature))
    compare(case, layout, batch, expected, torch.float32, 1e-6, temperature=temperature)


def draw(case, tau, seed):
    """Weights whose expectation is p: p where p ≥ τ, else τ with probability p / τ."""
    p = case.probs()
    taken = torch.rand(p.shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT)
    return torch.where(p >= tau, p, torch.where(taken < p / tau, tau, 0.0))


@pytest.mark.parametrize("layout", ["joined", "padded"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_unbiased_targets_are_weights_of_a_cross_entropy(layout, alpha):
    case = Case(3)
    weights = draw(case, 0.2, 0)

    def formula(logits):
        soft = -(weights * logits.log_softmax(-1)).sum(-1)
        return alpha * hard(case, logits) + (1 - alpha) * soft

    batch = case.ragged(weights)
    compare(case, layout, batch, reference(case, formula), alpha=alpha)


def test_unbiased_dense_weights_have_no_rest():
    case = Case(3)
    arrays = {key: value for key, value in case.dense().arrays.items() if "rest" not in key}
    batch = case.make("dense", arrays, kind="unbiased")
    kept = torch.where(case.keep, case.probs(), 0)
    expected = reference(case, lambda logits: -(kept * logits.log_softmax(-1)).sum(-1))
    compare(case, "dense", batch, expected)


def test_unbiased_draws_have_the_cross_entropy_of_the_whole_as_expectation():
    case = Case(8, lengths=(9, 9), vocabulary=40, spread=1.0)
    whole = mean(case, -(case.probs() * case.logits.log_softmax(-1)).sum(-1))
    losses = [kd_loss(case.logits, case.ragged(draw(case, 0.1, seed))) for seed in range(200)]
    losses = torch.stack(losses)
    error = losses.std() / len(losses) ** 0.5
    assert error < 0.05 * whole
    assert (losses.mean() - whole).abs() < 4 * error


def test_gradcheck():
    case = Case(2, lengths=(4, 2), vocabulary=6, k=3)
    for temperature, batch in ((1.0, case.ragged()), (2.0, case.ragged())):
        leaf = case.student("joined")
        options = {"alpha": 0.4, "temperature": temperature}
        assert torch.autograd.gradcheck(lambda z, b=batch, o=options: kd_loss(z, b, **o), leaf)


def test_targets_and_tensors_without_a_batch():
    case = Case(4, lengths=(6,))
    batch = case.ragged()
    names = ("offsets", "ids", "probs", "rest")
    arrays = [batch[f"teacher_{name}"] for name in names]
    expected = kd_loss(case.student("joined"), batch, alpha=0.2)
    labels, mask = case.joined(case.labels), batch["mask"]
    given = {"alpha": 0.2, "labels": labels, "mask": mask}
    targets = Targets("scaled", *(a.numpy() for a in arrays), batch["offsets"].numpy())
    for one in (targets, targets.torch(), Soft.ragged(*arrays)):
        assert kd_loss(case.student("joined"), one, **given) == expected
    dense = case.dense()
    soft = Soft.dense(dense["teacher_ids"], dense["teacher_logprobs"], dense["teacher_rest"])
    found = kd_loss(case.student("dense"), soft, alpha=0.2, mask=case.mask, labels=case.labels)
    torch.testing.assert_close(found, expected)


def test_arrays_may_be_numpy_as_the_client_gives_them():
    case = Case(4)
    batch, plain = case.ragged(), case.ragged()
    plain.arrays.update({name: array.numpy() for name, array in batch.arrays.items()})
    plain.arrays["teacher_ids"] = plain["teacher_ids"].astype("uint32")
    logits = case.student("joined")
    assert kd_loss(logits, plain, alpha=0.5) == kd_loss(logits, batch, alpha=0.5)


def test_targets_moved_by_one_position_cost_more():
    case = Case(6, lengths=(40,), vocabulary=50, k=50)
    batch = case.ragged()
    aligned = kd_loss(case.joined(case.teacher), batch, alpha=0)
    shifted = kd_loss(case.joined(case.teacher).roll(1, 0), batch, alpha=0)
    assert aligned.abs() < 1e-12 < 0.5 < shifted
    # the hard label of position t is token t + 1
    sure = torch.nn.functional.one_hot(batch["tokens"].long(), case.V) * 50.0
    assert kd_loss(sure.roll(-1, 0), batch, alpha=1) < 1e-9 < 10 < kd_loss(sure, batch, alpha=1)


def test_reductions_agree():
    case = Case(7, pads=1)
    for layout in LAYOUTS:
        batch, logits = case.batch(layout), case.student(layout)
        each = kd_loss(logits, batch, reduction="none")
        assert each.shape == logits.shape[:-1]
        learned = int(case.learned.sum())
        assert 0 < learned and int((each != 0).sum()) == learned
        total = kd_loss(logits, batch, reduction="sum")
        torch.testing.assert_close(total, each.sum())
        torch.testing.assert_close(kd_loss(logits, batch), total / learned)
