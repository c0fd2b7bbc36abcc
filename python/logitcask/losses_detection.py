"""What a student detector minimises beside kd_loss; needs torch. Formulas: docs/losses.md.

A position is an anchor. Softmax heads take kd_loss with foreground_weights; here are the losses of
heads whose classes do not exclude each other, and of boxes given as distributions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ._positions import Soft, refused
from ._problem import Problem
from .batch import Batch
from .frames import Targets

if TYPE_CHECKING:
    from typing import Unpack

    from .losses import Options

__all__ = ["binary_kd_loss", "box_kl_loss"]


def binary_kd_loss(
    student_logits: Tensor,
    targets: Batch | Targets | Soft,
    *,
    temperature: float = 1.0,
    **options: Unpack[Options],
) -> Tensor:
    """T² · Σ over classes of KL(Bernoulli(p) ‖ Bernoulli(q)), in nats a position: sigmoid heads.

    p and q are sigmoids of the logits over T; of stored probabilities any T is exact. Classes that
    are not kept have p = 0.

    Args:
        student_logits: [..., C], the logits of C classes; laid out as for kd_loss.
        targets: independent ones, all of whose positions are learned where they are no batch.
        temperature: T ≥ 1 of teacher and student.
        options: see losses.Options.

    Raises:
        LogitcaskError: ``request-invalid`` where shapes, arguments, ids or the kind do not fit.
    """
    if not temperature >= 1:
        raise refused("temperature", "≥ 1", temperature)
    problem = Problem(student_logits, targets, **options)
    soft, z = problem.independent(), problem.logits() / temperature
    held = soft.ids >= 0
    p = (soft.probs.to(z.dtype).logit() / temperature).sigmoid()
    own = z[soft.rows, soft.ids.clamp(min=0)]
    # −log(1 − q) = softplus(z), and log q = z − softplus(z)
    entries = torch.where(held, p.xlogy(p) + (1 - p).xlogy(1 - p) - p * own, 0)
    return problem.reduce(temperature**2 * softplus(z).sum(-1).index_add(0, soft.rows, entries))


def box_kl_loss(
    student_logits: Tensor,
    targets: Batch | Targets | Soft,
    *,
    temperature: float = 1.0,
    **options: Unpack[Options],
) -> Tensor:
    """T² · the mean over sides of KL(teacher ‖ student) over bins, in nats a position and side.

    A box is S distributions over bins, one a side, as heads trained by distribution focal loss
    have them. Stored they are one distribution over S · bins classes: class s · bins + b has the
    probability of bin b of side s, divided by S.

    Args:
        student_logits: [..., S, bins], laid out as for kd_loss before the last two dimensions.
        targets: scaled ones over S · bins classes.
        temperature: T ≥ 1 of both; stored targets must be at T.
        options: see losses.Options; a head is not taken.

    Raises:
        LogitcaskError: ``request-invalid`` where shapes, arguments or ids do not fit;
            ``temperature-unsupported`` where the targets are at another temperature.
    """
    if student_logits.dim() < 3 or "head" in options:
        got = ("head" in options, tuple(student_logits.shape))
        raise refused("boxes are logits [..., sides, bins] without a head", got=got)
    # what is not learned may hold anything: away with it before a softmax sees it
    learned = Problem(student_logits.flatten(-2).detach(), targets, **options).mask
    z = student_logits.where(learned.view(student_logits.shape[:-2])[..., None, None], 0)
    z = z.to(torch.promote_types(z.dtype, torch.float32)) / temperature
    joint = z.log_softmax(-1).flatten(-2) - math.log(z.shape[-2])
    problem = Problem(joint, targets, **options)
    if problem.stored_at not in (None, temperature):
        detail = "boxes are tempered side by side, which the batch cannot do; store them at T"
        raise refused(detail, problem.stored_at, temperature, "temperature-unsupported")
    soft = problem.soft(temperature, False)
    cells = problem.cells(soft, problem.read(soft, (1.0,))[1.0])
    return problem.reduce(temperature**2 * cells.expect(cells.p.log() - cells.log_q))
