"""Losses of image crops and detectors equal plain formulas, by value and gradient."""

import pytest
import torch
from loss_cases import FLOAT, Case, bucket, hard, kl, mean, reference

from logitcask import LogitcaskError, Targets
from logitcask.losses import Soft, cross_entropy, foreground_weights, kd_loss, soft_cross_entropy
from logitcask.losses_detection import binary_kd_loss, box_kl_loss

LAYOUTS = ["joined", "padded", "dense"]
BACKGROUND = 2


def vision(case, layout, **options):
    """A batch as images have it: hard labels of their own, some of them none."""
    batch = case.batch(layout, **options)
    labels = case.labels.clone()
    labels[0, 0] = -100
    del batch.arrays["tokens"]
    batch.arrays["hard_label"] = (labels if layout == "dense" else case.joined(labels)).int()
    return batch


def compare(case, layout, loss, formula):
    leaf = case.student(layout)
    found = loss(leaf)
    found.backward()
    value, gradient = reference(case, formula)
    torch.testing.assert_close(found.detach(), value)
    torch.testing.assert_close(case.gradient(leaf), gradient)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [3, 10])
def test_crops_learn_hard_and_soft_labels(k, layout):
    case, T = Case(5, vocabulary=10, k=k), 2.0
    case.mask |= case.exists  # crops: every position has a target
    case.learned = case.mask
    batch = vision(case, layout, **({"temperature": T} if layout == "dense" else {}))

    def formula(z):
        p, q = bucket(case, case.probs(T)), bucket(case, (z / T).softmax(-1))
        ce = hard(case, z) * torch.ones(case.B, case.L).index_put((torch.tensor(0),) * 2, FLOAT_0)
        return 0.5 * ce + 0.5 * T**2 * kl(p, q)

    compare(case, layout, lambda z: kd_loss(z, batch, alpha=0.5, temperature=T), formula)


FLOAT_0 = torch.tensor(0.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_anchors_weigh_what_the_teacher_sees_of_the_foreground(layout):
    case, T = Case(6, vocabulary=5, k=5), 2.0
    batch = vision(case, layout, **({"temperature": T} if layout == "dense" else {}))
    weights = foreground_weights(batch, BACKGROUND, temperature=T)
    plain = 1 - case.probs(T)[..., BACKGROUND]
    logits = case.logits.clone().requires_grad_()
    p, log_q = case.probs(T), (logits / T).log_softmax(-1)
    expected = mean(case, T**2 * (p * (p.log() - log_q)).sum(-1), plain)
    expected.backward()
    leaf = case.student(layout)
    found = kd_loss(leaf, batch, temperature=T, position_weights=weights)
    found.backward()
    torch.testing.assert_close(found.detach(), expected.detach())
    torch.testing.assert_close(case.gradient(leaf), logits.grad)


class Scores(Case):
    """A teacher with a sigmoid a class; kept are the highest k of a position."""

    def probs(self, temperature=1.0):
        return (self.teacher / temperature).sigmoid()

    def __init__(self, seed, **options):
        super().__init__(seed, **options)
        self.teacher = self.teacher + 2

    def batch(self, layout):
        batch = super().batch(layout)
        own = batch.target_sets["teacher"]._replace(kind="independent", log_z=())
        batch.target_sets["teacher"] = own
        del batch.arrays["teacher_rest"]
        return batch


def plain_binary(case, z, T):
    p = torch.where(case.keep, case.probs(T), 0)
    q = (z / T).sigmoid()
    both = torch.stack((p, 1 - p), -1), torch.stack((q, 1 - q), -1)
    return T**2 * kl(*both).sum(-1)


@pytest.mark.parametrize("T", [1.0, 2.5])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [4, 17])
def test_sigmoid_heads_learn_a_coin_a_class(k, layout, T):
    case = Scores(7, k=k, pads=1)
    batch = case.batch(layout)
    compare(
        case,
        layout,
        lambda z: binary_kd_loss(z, batch, temperature=T),
        lambda z: plain_binary(case, z, T),
    )


@pytest.mark.parametrize("layout", ["joined", "dense"])
def test_sigmoid_heads_weigh_their_highest_class(layout):
    case = Scores(8, k=4)
    weights = foreground_weights(case.batch(layout))
    expected = case.probs().amax(-1)
    if layout == "dense":
        expected = torch.where(case.exists, expected, 0)
    else:
        expected = case.joined(expected)
    torch.testing.assert_close(weights, expected)


def test_the_kinds_do_not_take_each_others_loss():
    coins, classes = Scores(7), Case(7)
    with pytest.raises(LogitcaskError, match="are for binary_kd_loss"):
        kd_loss(coins.logits, coins.batch("dense"))
    with pytest.raises(LogitcaskError, match="are for binary_kd_loss"):
        soft_cross_entropy(coins.student("joined"), coins.batch("joined"))
    with pytest.raises(LogitcaskError, match="use kd_loss"):
        binary_kd_loss(classes.logits, classes.batch("dense"))
    with pytest.raises(LogitcaskError, match="outside the student's classes"):
        binary_kd_loss(coins.logits[..., :3], coins.batch("dense"))
    with pytest.raises(LogitcaskError, match="temperature"):
        binary_kd_loss(coins.logits, coins.batch("dense"), temperature=0.5)
    offsets, nothing = torch.tensor([0, 2]), torch.zeros(0)
    probs = torch.tensor([0.9, 0.8])
    targets = Targets("independent", offsets, torch.tensor([0, 2]), probs, nothing, nothing)
    z = torch.tensor([[1.0, -1.0, 0.5]])
    q = z.sigmoid()[0]
    p = torch.tensor([0.9, 0, 0.8])
    expected = kl(torch.stack((p, 1 - p), -1), torch.stack((q, 1 - q), -1)).sum()
    torch.testing.assert_close(binary_kd_loss(z, targets), expected)


def test_labels_of_another_head_are_refused():
    case = Case(5)
    batch, z = vision(case, "dense", own_space=True), case.logits
    own = batch["hard_label"].clamp(min=0)
    for call in (
        lambda **options: cross_entropy(z, batch, **options),
        lambda **options: kd_loss(z, batch, alpha=0.1, **options),
        lambda **options: kd_loss(z, batch, alpha=1, **options),
    ):
        with pytest.raises(LogitcaskError, match="no classes of teacher") as caught:
            call()
        assert caught.value.code == "request-invalid"
        assert call(labels=own).isfinite()
    assert kd_loss(z, batch).isfinite()


def test_boxes_take_no_hard_labels():
    boxes = Boxes("dense", k=5)
    with pytest.raises(LogitcaskError, match="no hard labels"):
        box_kl_loss(boxes.student("dense"), boxes.batch, SIDES, alpha=0.1)


def test_the_background_is_a_class_of_softmax_heads_alone():
    case, coins = Case(6), Scores(6)
    for batch, background in (
        (case.batch("dense"), None),
        (case.batch("joined"), None),
        (case.batch("joined"), 17),
        (case.batch("joined"), -1),
        (case.batch("joined", vocabulary=5), 5),
        (coins.batch("joined"), 0),
    ):
        with pytest.raises(LogitcaskError) as caught:
            foreground_weights(batch, background)
        assert caught.value.code == "request-invalid"
    assert foreground_weights(case.batch("joined", vocabulary=18), 17).min() == 1
    assert foreground_weights(coins.batch("joined")).max() > 0.5


def test_a_score_of_0_or_1_is_no_nan():
    soft = Soft.ragged(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.tensor([1.0, 0.0]))
    z = torch.tensor([[30.0, -3.0]], requires_grad=True)
    loss = binary_kd_loss(z, soft, temperature=2)
    loss.backward()
    expected = 4 * torch.nn.functional.softplus(torch.tensor([-15.0, -1.5])).sum()
    torch.testing.assert_close(loss.detach(), expected)
    torch.testing.assert_close(
        z.grad, 2 * torch.tensor([[-(1 - 1), 0.18242552]]), atol=1e-5, rtol=0
    )


SIDES = ("left", "top", "right", "bottom")


class Boxes:
    """A distribution over bins a side, each a target set of one batch."""

    def __init__(self, layout, **options):
        self.cases = [Case(9, pads=1, **options) for _ in SIDES]
        for index, case in enumerate(self.cases):
            case.teacher = case.teacher.roll(index, 1)
            case.keep = case.keep.roll(index, 1)
        self.batch = self.cases[0].batch(layout)
        own = self.batch.target_sets.pop("teacher")
        for side, case in zip(SIDES, self.cases):
            self.batch.target_sets[side] = own._replace(name=side)
            for name, array in case.batch(layout).arrays.items():
                if name.startswith("teacher_"):
                    self.batch.arrays[name.replace("teacher", side)] = array

    def student(self, layout):
        """Logits of all sides, in the layout's leading shape."""
        each = [case.student(layout).detach() * (i + 1) for i, case in enumerate(self.cases)]
        return torch.stack(each, -2).requires_grad_()


@pytest.mark.parametrize("layout, T", [("joined", 2.0), ("padded", 2.0), ("dense", 1.0)])
@pytest.mark.parametrize("k", [5, 17])
def test_boxes_learn_a_distribution_a_side(k, layout, T):
    boxes = Boxes(layout, k=k)
    leaf = boxes.student(layout)
    found = box_kl_loss(leaf, boxes.batch, SIDES, temperature=T)
    found.backward()
    z = boxes.student(layout)
    expected = 0
    for index, case in enumerate(boxes.cases):
        side = z[..., index, :]
        if layout == "joined":
            side = torch.zeros_like(case.logits).index_put((case.exists,), side)
        p, q = bucket(case, case.probs(T)), bucket(case, (side / T).softmax(-1))
        expected = expected + mean(case, T**2 * kl(p, q)) / len(SIDES)
    expected.backward()
    torch.testing.assert_close(found.detach(), expected.detach())
    torch.testing.assert_close(leaf.grad, z.grad)
    with pytest.raises(LogitcaskError, match="sides, bins"):
        box_kl_loss(leaf, boxes.batch, SIDES[:3])


def test_gradcheck_masks_weights_and_what_is_not_learned():
    case = Scores(3)
    batch = case.batch("dense")
    weights = torch.rand(case.B, case.L, dtype=FLOAT)

    def value(z, **options):
        return binary_kd_loss(z, batch, position_weights=weights, **options)

    leaf = case.student("dense")
    assert torch.autograd.gradcheck(value, leaf)
    with torch.no_grad():
        leaf[~case.learned] = torch.nan
    leaf.grad = None
    value(leaf).backward()
    assert leaf.grad.isfinite().all() and (leaf.grad[~case.learned] == 0).all()
    each = value(case.logits, reduction="none")
    torch.testing.assert_close(each.sum() / weights[case.learned].sum(), value(case.logits))


def test_half_logits_are_read_in_float32():
    case = Scores(7, k=17)
    z = case.logits.to(torch.bfloat16)
    torch.testing.assert_close(
        binary_kd_loss(z, case.batch("dense")), binary_kd_loss(z.float(), case.batch("dense"))
    )


@pytest.mark.parametrize("kind", [Scores, Case, Boxes])
def test_each_is_one_compiled_graph(kind):
    """As operators: the machine may have no C compiler."""
    case = kind("dense") if kind is Boxes else kind(7)
    batch = case.batch if kind is Boxes else case.batch("dense")

    def loss(z):
        if kind is Boxes:
            return box_kl_loss(z, batch, SIDES)
        if kind is Scores:
            weights = foreground_weights(batch)
            return binary_kd_loss(z, batch, temperature=2, position_weights=weights)
        weights = foreground_weights(batch, BACKGROUND)
        return kd_loss(z, batch, position_weights=weights)

    plain, compiled = case.student("dense"), case.student("dense")
    loss(plain).backward()
    torch.compile(loss, fullgraph=True, backend="aot_eager")(compiled).backward()
    torch.testing.assert_close(compiled.grad, plain.grad)
