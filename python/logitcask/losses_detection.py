"""What a student detector minimises beside kd_loss; needs torch. Formulas: docs/losses.md.

A position is an anchor. Softmax heads take kd_loss with foreground_weights; here are the losses of
heads whose classes do not exclude each other, and of boxes given as distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ._positions import Soft, refused
from ._problem import Problem
from .batch import Batch
from .frames import Targets
from .losses import kd_loss

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
    batch: Batch,
    sides: Sequence[str],
    *,
    temperature: float = 1.0,
    approximate: bool = False,
    **options: Unpack[Options],
) -> Tensor:
    """T² · the mean over sides of KL(teacher ‖ student) over bins, in nats a position and side.

    A box is a distribution over bins a side, as heads trained by distribution focal loss have it;
    each side is a target set. The losses of the sides are kd_loss.

    Args:
        student_logits: [..., S, bins], laid out as for kd_loss before the last two dimensions.
        sides: names of the S target sets, in the order of the logits.
        temperature, approximate, options, raises: see losses.kd_loss; a head, a target set and
            alpha are not taken: a batch has no hard labels of the bins.
    """
    if "alpha" in options:
        raise refused("a batch has no hard labels of the bins", "no alpha", options["alpha"])
    if student_logits.dim() < 3 or student_logits.shape[-2] != len(sides):
        raise refused(
            "boxes are logits [..., sides, bins]", len(sides), tuple(student_logits.shape)
        )
    each = [
        kd_loss(
            logits,
            batch,
            temperature=temperature,
            approximate=approximate,
            target_set=side,
            **options,
        )
        for side, logits in zip(sides, student_logits.unbind(-2))
    ]
    return torch.stack(each).mean(0)
