"""One call of a loss: whose logits, which positions, against what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ._positions import Places, Soft, View, checked_ids, on_device, refused, soft_of
from ._reading import LogProbs, read
from .batch import Batch
from .frames import Targets


class Cells(NamedTuple):
    """Entries, and for scaled targets a bucket of all else at each position: rows, p and log q."""

    rows: Tensor
    p: Tensor
    log_q: Tensor
    positions: int

    def sum(self, values: Tensor) -> Tensor:
        """Sums over each position."""
        return values.new_zeros(self.positions).index_add(0, self.rows, values)

    def expect(self, values: Tensor) -> Tensor:
        """Σ p · value over each position; where p is 0 nothing is added, −inf neither."""
        return self.sum(torch.where(self.p > 0, self.p * values, 0))


class Problem:
    """The arguments that all losses share, checked, over the R rows of the logits."""

    def __init__(
        self,
        student_logits: Tensor,
        targets: Batch | Targets | Soft | None,
        *,
        target_set: str | None = None,
        mask: Tensor | None = None,
        labels: Tensor | None = None,
        position_weights: Tensor | None = None,
        head: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        if reduction not in ("mean", "sum", "none"):
            raise refused("no such reduction", ("mean", "sum", "none"), reduction)
        if student_logits.dim() < 2 or not student_logits.is_floating_point():
            got = (tuple(student_logits.shape), student_logits.dtype)
            raise refused("logits are floats [..., V]", got=got)
        self.device, self.shape = student_logits.device, student_logits.shape[:-1]
        self.x, self.head = _autocast(student_logits.flatten(0, -2), head)
        self.vocabulary = len(head) if head is not None else student_logits.shape[-1]
        self._reduction, self._labels = reduction, labels
        self._view = View(targets, target_set, self.device) if isinstance(targets, Batch) else None
        self._soft = None if self._view else targets
        kinds = {Batch: lambda: self._view.set.kind, Targets: lambda: targets.kind}
        self._kind: str | None = kinds.get(type(targets), lambda: None)()
        self._places = Places(self.shape, *self._extent(targets))
        self.mask = torch.ones(self.x.shape[0], dtype=torch.bool, device=self.device)
        if self._view:
            self.learn_only(self._spread(self._view.mask(), False))
        if mask is not None:
            self.learn_only(self._spread(mask, False))
        self._weights: Tensor | None = None
        if position_weights is not None:
            self._weights = self._spread(position_weights, 0)
            self.learn_only(self._weights != 0)

    def _extent(self, targets: Batch | Targets | Soft | None) -> tuple[int, Tensor | None]:
        """Positions of the targets, and where samples begin."""
        if self._view:
            return self._view["mask"].numel(), self._view.offsets
        if targets is None:
            return self.shape.numel(), None
        return targets.positions if isinstance(targets, Soft) else len(targets.offsets) - 1, None

    def _spread(self, values: Tensor, fill: float) -> Tensor:
        return self._places.spread(on_device(values, self.device), fill)

    def learn_only(self, mask: Tensor) -> None:
        self.mask = self.mask & mask

    def soft(self, temperature: float, approximate: bool) -> Soft:
        """The teacher's distributions at T ≥ 1 over the student's vocabulary."""
        if not temperature >= 1:
            raise refused("temperature", "≥ 1", temperature)
        if self._kind == "independent":
            detail = "scores that are no distribution are for binary_kd_loss"
            raise refused(detail, "scaled or unbiased", self._kind)
        if self._view:
            soft = self._places.soft(self._view.soft(temperature, approximate))
        else:
            soft = soft_of(self._soft, temperature, self.device)
        if soft.rest is None:
            return soft
        # where every id is kept nothing is left for the bucket, not even what saturates above 0
        kept = (soft.ids >= 0).to(soft.rest.dtype)
        counts = torch.zeros_like(soft.rest).index_add(0, soft.rows, kept)
        return soft._replace(rest=soft.rest.masked_fill(counts >= self.vocabulary, 0))

    def independent(self) -> Soft:
        """Probabilities of classes that do not exclude each other, at temperature 1."""
        if self._kind not in (None, "independent"):
            raise refused("targets of a softmax, use kd_loss", "independent", self._kind)
        soft = self._view.stored() if self._view else soft_of(self._soft, 1, self.device)
        return self._places.soft(soft._replace(ids=checked_ids(soft.ids, self.vocabulary)))

    def logits(self) -> Tensor:
        """All of them [R, V], in float32 or wider; 0 where nothing is learned."""
        x = torch.where(self.mask[:, None], self.x, 0)
        x = x if self.head is None else x @ self.head.T
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def labels(self) -> Tensor:
        """Hard labels [R]; < 0 where there is none."""
        if self._labels is None and self._view is None:
            raise refused("hard labels are needed, pass labels or a batch")
        labels = self._view.labels() if self._labels is None else self._labels
        return self._spread(labels, -1).long()

    def label_logprob(self, given: Tensor | None) -> Tensor:
        """The teacher's log-prob of the hard label [R]; NaN where it is not known."""
        found = self._view.own("label_logprob") if given is None and self._view else given
        if found is None:
            raise refused("the teacher's log-probs of the labels are needed, pass label_logprob")
        return self._spread(found, torch.nan).float()

    def class_weights(self, weights: Tensor) -> Tensor:
        if weights.shape != (self.vocabulary,):
            got = tuple(weights.shape)
            raise refused("class weights are one a class", (self.vocabulary,), got)
        return weights.to(self.device)

    def read(
        self, soft: Soft | None, temperatures: Sequence[float], labels: bool = False
    ) -> dict[float, LogProbs]:
        """The student's log-probs at the temperatures; those of labels where they are asked for."""
        nothing = torch.zeros(0, dtype=torch.int64, device=self.device)
        every = self.mask.long()
        return read(
            self.x,
            self.head,
            mask=self.mask,
            rows=nothing if soft is None else soft.rows,
            ids=nothing if soft is None else soft.ids,
            labels=self.labels().clamp(min=-1) if labels else torch.full_like(every, -1),
            temperatures=list(dict.fromkeys(temperatures)),
        )

    def hard(self, student: LogProbs) -> Tensor:
        """Cross-entropy of the hard labels [R]; 0 where there is none."""
        return torch.where(self.labels() >= 0, -student.label, 0)

    def cells(self, soft: Soft, student: LogProbs) -> Cells:
        rows, p, log_q = soft.rows, soft.probs, student.entries
        if soft.rest is not None:
            every = torch.arange(soft.positions, device=self.device)
            rows = torch.cat((rows, every))
            p = torch.cat((p, soft.rest))
            log_q = torch.cat((log_q, student.outside))
        return Cells(rows, p.to(log_q.dtype), log_q, soft.positions)

    def cell_weights(self, weights: Tensor, soft: Soft) -> Tensor:
        """A class weight a cell; that of a bucket is the mean of the classes in it."""
        weights = self.class_weights(weights)
        held = soft.ids >= 0
        own = torch.where(held, weights[soft.ids.clamp(0, self.vocabulary - 1)], 0)
        if soft.rest is None:
            return own
        kept = weights.new_zeros(soft.positions)
        left = weights.sum() - kept.index_add(0, soft.rows, own)
        count = self.vocabulary - kept.index_add(0, soft.rows, held.to(kept.dtype))
        return torch.cat((own, left / count.clamp(min=1)))

    def reduce(self, values: Tensor) -> Tensor:
        """Losses [R] as `reduction` says; what is not learned is 0, whatever stands there."""
        weights = self.mask.to(values.dtype)
        if self._weights is not None:
            weights = torch.where(self.mask, self._weights.to(values.dtype), 0)
        values = torch.where(self.mask, values, 0) * weights
        if self._reduction == "none":
            return values.view(self.shape)
        if self._reduction == "sum":
            return values.sum()
        total = weights.sum()
        return values.sum() / torch.where(total != 0, total, 1)


def _autocast(x: Tensor, head: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The last layer under autocast multiplies in its type, as any linear layer does."""
    kind = x.device.type
    if head is None or not torch.is_autocast_enabled(kind):
        return x, head
    dtype = torch.get_autocast_dtype(kind)
    return x.to(dtype), head.to(dtype)
