"""What a student minimises against stored targets; needs torch. Formulas: docs/losses.md.

All losses take the student's logits as the model gives them, logits-aligned as the targets are: the
row of position t predicts token t + 1, and nobody shifts anything. Logits may be float64, float32,
bfloat16 or float16; they are read in float32 by chunks, only where a position is to be learned, and
their gradient is written once, in their own dtype.

    logits = student(batch["tokens"]).logits  # [B, L, V]
    loss = kd_loss(logits, batch, alpha=0.1)
    loss.backward()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from torch import Tensor

from ._positions import Soft, View, refused
from ._problem import Problem
from .batch import Batch
from .frames import Targets

if TYPE_CHECKING:
    from typing import Unpack

__all__ = [
    "Options",
    "Soft",
    "cross_entropy",
    "foreground_weights",
    "jsd_loss",
    "kd_loss",
    "reverse_kl",
    "soft_cross_entropy",
    "weighted",
]

#: exp of it is 0, and its products are finite.
LOG_NOTHING = -1e4


class Options(TypedDict, total=False):
    """What every loss takes beside its own arguments.

    Attributes:
        target_set: name of the target set; needed where the batch has several.
        mask: bool, one a position: learn only these; narrows the mask of a batch.
        labels: integers, one a position, < 0 for none: hard labels in place of the batch's.
        position_weights: floats, one a position, 1 by default. Positions of weight 0 are skipped.
        head: [V, D], the last layer's weight; then `student_logits` are the hidden states
            [..., D] before it, and logits exist by chunks only.
        reduction: ``mean``, Σ weight · loss / Σ weight over the learned positions (0 where there
            is none); ``sum``; ``none``, weight · loss in the leading shape of the logits.
    """

    target_set: str | None
    mask: Tensor | None
    labels: Tensor | None
    position_weights: Tensor | None
    head: Tensor | None
    reduction: str


def kd_loss(
    student_logits: Tensor,
    targets: Batch | Targets | Soft,
    *,
    alpha: float = 0.0,
    temperature: float = 1.0,
    approximate: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """α · CE + (1 − α) · T² · KL(teacher ‖ student), in nats a position (Hinton et al., 2015).

    Scaled targets: KL at temperature T over the kept entries and one bucket of everything else, so
    that no mass is thrown away; where all V ids are kept it is the KL over the vocabulary. Unbiased
    targets: −Σ weight · log q, the KL up to the teacher's entropy, in expectation over the draws.

    Args:
        student_logits: [..., V]; one row a position, joined or [B, L, V] as the batch is. Samples
            of a ragged batch may be padded on the right: [B, L, V] with any L that holds them.
        targets: a batch; or Targets or Soft, all of whose positions are learned without a mask.
        alpha: share of the hard labels' cross-entropy (at temperature 1), 0 … 1.
        temperature: T ≥ 1 of teacher and student; the batch must have its targets at T.
        approximate: take targets whose temperature is approximated (teachers of top lists).
        options: see Options.

    Raises:
        LogitcaskError: ``request-invalid`` where shapes, arguments or ids do not fit the logits;
            ``temperature-unsupported`` where the targets are not to be had at T.
    """
    if not 0 <= alpha <= 1:
        raise refused("alpha is a share", "0 ≤ alpha ≤ 1", alpha)
    problem = Problem(student_logits, targets, **options)
    soft = problem.soft(temperature, approximate) if alpha < 1 else None
    student = problem.read(soft, (temperature, 1.0) if alpha > 0 else (temperature,), alpha > 0)
    loss = 0.0
    if soft is not None:
        cells = problem.cells(soft, student[temperature])
        # weights are no distribution: their own entropy says nothing
        scores = -cells.log_q if soft.rest is None else cells.p.log() - cells.log_q
        loss = (1 - alpha) * temperature**2 * cells.expect(scores)
    if alpha > 0:
        loss = loss + alpha * problem.hard(student[1.0])
    return problem.reduce(loss)


def soft_cross_entropy(
    student_logits: Tensor,
    targets: Batch | Targets | Soft,
    *,
    temperature: float = 1.0,
    class_weights: Tensor | None = None,
    approximate: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """−Σ weight · p · log q over classes, nats a position: the weighted soft loss.

    Weights make the classes count that the teacher takes for others, or others for them. The
    bucket of scaled targets has the mean weight of the classes in it.

    Args:
        class_weights: floats [V], 1 by default.
        student_logits, targets, temperature, approximate, options, raises: see kd_loss.
    """
    problem = Problem(student_logits, targets, **options)
    soft = problem.soft(temperature, approximate)
    cells = problem.cells(soft, problem.read(soft, (temperature,))[temperature])
    scores = -cells.log_q
    if class_weights is not None:
        scores = scores * problem.cell_weights(class_weights, soft)
    return problem.reduce(cells.expect(scores))


def cross_entropy(
    student_logits: Tensor,
    targets: Batch | Targets | Soft | None = None,
    *,
    class_weights: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """−weight · log q(label), nats a position; positions without a label are not learned.

    Args:
        targets: a batch with its labels; or none of them, with `labels` (and `mask`) as options.
        class_weights: floats [V] by label, 1 by default; the mean is not divided by them.
        student_logits, options, raises: see kd_loss.
    """
    problem = Problem(student_logits, targets, **options)
    labels = problem.labels()
    problem.learn_only(labels >= 0)
    loss = problem.hard(problem.read(None, (1.0,), True)[1.0])
    if class_weights is not None:
        loss = loss * problem.class_weights(class_weights)[labels.clamp(0, problem.vocabulary - 1)]
    return problem.reduce(loss)


def jsd_loss(
    student_logits: Tensor,
    targets: Batch | Targets | Soft,
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    approximate: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """T² · (β · KL(p ‖ m) + (1 − β) · KL(q ‖ m)), m = β · p + (1 − β) · q (Agarwal et al., 2024).

    The generalised Jensen-Shannon divergence of teacher p and student q over the kept entries and
    one bucket of everything else, in nats a position. Unbiased targets are refused: it is not
    linear in p, so that weights would give another loss.

    Args:
        beta: 0 < β < 1; near 0 it tends to β · KL(p ‖ q), near 1 to (1 − β) · KL(q ‖ p).
        student_logits, targets, temperature, approximate, options, raises: see kd_loss.
    """
    if not 0 < beta < 1:
        raise refused("beta mixes two distributions", "0 < beta < 1", beta)
    problem = Problem(student_logits, targets, **options)
    soft = problem.soft(temperature, approximate)
    if soft.rest is None:
        raise refused("a divergence of unbiased targets, use kd_loss", "scaled", "unbiased")
    cells = problem.cells(soft, problem.read(soft, (temperature,))[temperature])
    log_p, log_q = cells.p.log().clamp(min=LOG_NOTHING), cells.log_q.clamp(min=LOG_NOTHING)
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    forward, backward = cells.p * (log_p - log_m), log_q.exp() * (log_q - log_m)
    return problem.reduce(temperature**2 * cells.sum(beta * forward + (1 - beta) * backward))


def reverse_kl(
    student_logits: Tensor,
    targets: Batch | None = None,
    *,
    label_logprob: Tensor | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """log q(x) − log p(x) of the actual tokens x, nats a position: on-policy distillation.

    Where the student itself sampled x, the value is an unbiased estimate of KL(q ‖ p) at each
    position, and the gradient, (log q(x) − log p(x)) · ∇ log q(x), of its gradient: no reward, no
    rollout machinery. (Differentiating the value as it stands would give 0 in expectation.)
    Positions whose teacher log-prob is not known (NaN) are not learned.

    Args:
        targets: a batch of the student's own samples, scored by the teacher.
        label_logprob: floats, one a position: the teacher's log p(x) in place of the batch's.
        student_logits, options, raises: see kd_loss.
    """
    problem = Problem(student_logits, targets, **options)
    teacher = problem.label_logprob(label_logprob)
    problem.learn_only((problem.labels() >= 0) & ~teacher.isnan())
    log_q = -problem.hard(problem.read(None, (1.0,), True)[1.0])
    gap = (log_q - teacher).detach()
    # the value is the gap; the gradient comes from the second term, which is 0
    return problem.reduce(gap + gap * (log_q - log_q.detach()))


def weighted(
    loss: Callable[..., Tensor],
    weights: Mapping[str, float],
    student_logits: Tensor,
    targets: Batch,
    **options: Any,
) -> Tensor:
    """Σ weight · loss over target sets: several teachers of one batch.

        weighted(kd_loss, {"teacher": 0.7, "second": 0.3}, logits, batch, temperature=2)

    For kd_loss with weights that sum to 1 its gradient is that of kd_loss against the teachers'
    mixture Σ weight · p, where their kept entries are the same. Where a teacher has not scored a
    sample (no entries, rest 1) its kd_loss is 0, and counts in the mean.

    Args:
        loss: one of the losses here; it reads the student's logits once a target set.
        weights: by name of the target set.
        options: of the loss.
    """
    if not weights:
        raise refused("weights name target sets", list(targets.target_sets), weights)
    parts = [
        weight * loss(student_logits, targets, target_set=name, **options)
        for name, weight in weights.items()
    ]
    return torch.stack(parts).sum(0)


def foreground_weights(
    batch: Batch,
    background: int | None = None,
    *,
    temperature: float = 1.0,
    target_set: str | None = None,
) -> Tensor:
    """How much the teacher sees at each position: `position_weights` for detectors.

    Most anchors see background, which would drown the others. Softmax heads have a class for it:
    the weight is 1 − p(background) at T, and where that entry is not kept p(background) counts
    as 0. Sigmoid heads have none: the weight is the highest probability of a class.

    Args:
        background: its class id; None for independent targets, which have no such class.
        temperature: T of softmax heads; the batch must have its targets at T.
        target_set: see Options.

    Raises:
        LogitcaskError: ``request-invalid`` where the background and the kind of the set do not fit;
            ``temperature-unsupported`` where the targets are not to be had at T.
    """
    view = View(batch, target_set, torch.as_tensor(batch["mask"]).device)
    classes = view.set.vocabulary or batch.vocabulary
    if background is None and view.set.kind != "independent":
        raise refused("give the class of background", f"0 … {classes - 1}", background)
    if background is not None and not 0 <= background < classes:
        raise refused("the background is a class of the set", f"0 … {classes - 1}", background)
    soft = view.stored() if background is None else view.soft(temperature, True)
    nothing = soft.probs.new_zeros(soft.positions)
    if background is None:
        probs = torch.where(soft.ids >= 0, soft.probs, 0)
        return nothing.scatter_reduce(0, soft.rows, probs, "amax").view(batch["mask"].shape)
    p = torch.where(soft.ids == background, soft.probs, 0)
    found = nothing.index_add(0, soft.rows, p)
    return (1 - found).clamp(0, 1).view(batch["mask"].shape)
