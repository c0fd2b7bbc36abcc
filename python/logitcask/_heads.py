"""Heads of an image teacher: the scores that a recorder keeps, chosen where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._choose import CHUNK_DEVICE, CHUNK_HOST, is_torch
from ._samples import invalid
from .errors import LogitcaskError


class Head(NamedTuple):
    """What a teacher of images gives scores for.

    Attributes:
        size: V, how many classes or bins it has.
        classes: their names.
        normalisation: ``softmax``, or ``sigmoid`` where each score is a probability of its own.
        parts: names of several distributions of one array, as the sides of a box: then the scores
            have an axis for them before the last one, and each is a target set.
    """

    size: int
    classes: Sequence[str] | None = None
    normalisation: str = "softmax"
    parts: Sequence[str] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the scores at a position."""
        return (self.size,) if self.parts is None else (len(self.parts), self.size)

    def sets(self, name: str) -> Sequence[str]:
        return (name,) if self.parts is None else self.parts


def uploaded(heads: Mapping[str, Head]) -> list[dict[str, Any]]:
    """Target sets as an upload names them."""
    if not heads:
        raise invalid("no heads; name one at least")
    found = []
    for name, head in heads.items():
        named = {} if head.classes is None else {"classes": list(head.classes)}
        own = {"size": head.size, "normalisation": head.normalisation, **named}
        found += [{"name": one, **own} for one in head.sets(name)]
    return found


class Kept(NamedTuple):
    """The highest scores of N rows, and what the others come to."""

    #: float32 [N, k].
    values: Any
    #: int32 [N, k]; None where all V are kept, in their order.
    ids: Any = None
    #: float32 [N]: the highest one of a softmax; float64 [N]: Σ exp(score − highest) of all, and
    #: of those that are not kept.
    most: Any = None
    total: Any = None
    left: Any = None
    #: bool [N], of sigmoid scores.
    nan: Any = None


def choose(scores: Any, head: Head, k: int) -> Kept:
    """Of rows [N, V], on their device: by score, the lower id first where scores are equal."""
    if not is_torch(scores):
        rows = np.asarray(scores, np.float32)
        return Kept(rows.copy()) if head.size <= k else _choose_numpy(rows, head, k)
    import torch

    scores = scores.detach()
    on_host = scores.device.type == "cpu"
    if head.size <= k:  # the caller may go on to change them in place
        return Kept(scores.to(torch.float32, copy=on_host))
    size = max(1, (CHUNK_HOST if on_host else CHUNK_DEVICE) // head.size)
    parts = [_choose_torch(rows.float(), head, k) for rows in scores.split(size)]
    return Kept(*(None if part[0] is None else torch.cat(part) for part in zip(*parts)))


def _choose_torch(rows: Any, head: Head, k: int) -> Kept:
    import torch

    bits = (rows + 0.0).contiguous().view(torch.int32)  # −0 becomes 0, which it equals
    # bits of floats, made to ascend with them; unlike topk of the scores it is exact on ties
    order = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long() << 32
    order += torch.arange(head.size - 1, -1, -1, device=rows.device)
    ids = head.size - 1 - (torch.topk(order, k).values & 0xFFFFFFFF)
    values = rows.gather(-1, ids)
    if head.normalisation == "sigmoid":
        return Kept(values, ids.int(), nan=rows.isnan().any(-1))
    most = rows.amax(-1, keepdim=True)
    powers = (rows - most).exp()
    total = powers.sum(-1, dtype=torch.float64)
    kept = powers.gather(-1, ids).sum(-1, dtype=torch.float64)
    return Kept(values, ids.int(), most[:, 0], total, total - kept)


def _choose_numpy(rows: np.ndarray, head: Head, k: int) -> Kept:
    bits = np.ascontiguousarray(rows + np.float32(0)).view(np.int32)
    order = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64) << 32
    order += np.arange(head.size - 1, -1, -1)
    ids = np.argpartition(order, head.size - k, axis=-1)[:, head.size - k :]
    values = np.take_along_axis(rows, ids, -1)
    if head.normalisation == "sigmoid":
        return Kept(values, ids.astype(np.int32), nan=np.isnan(rows).any(-1))
    most = rows.max(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        powers = np.exp(rows - most)
    total = powers.sum(-1, dtype=np.float64)
    kept = np.take_along_axis(powers, ids, -1).sum(-1, dtype=np.float64)
    return Kept(values, ids.astype(np.int32), most[:, 0], total, total - kept)


def logprobs_of(kept: Kept, normalisation: str) -> tuple[np.ndarray, np.ndarray | None]:
    """float32 log-probs [N, k], −inf where there is no entry, and of a softmax the mass outside.

    Raises:
        LogitcaskError: ``row-invalid``.
    """
    values = kept.values.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if normalisation == "sigmoid":
            _refuse(np.isnan(values).any(-1) if kept.nan is None else kept.nan, "NaN")
            powers = np.log1p(np.exp(-np.abs(values)))
            return (np.minimum(values, 0) - powers).astype(np.float32), None
        most = values.max(-1) if kept.most is None else kept.most.astype(np.float64)
        relative = values - most[:, None]
        total = np.exp(relative).sum(-1) if kept.total is None else kept.total
        _refuse(~np.isfinite(total), "NaN or +inf, or have no finite one")
        logprobs = np.minimum(relative - np.log(total)[:, None], 0).astype(np.float32)
    left = np.zeros_like(total) if kept.left is None else np.maximum(kept.left, 0)
    return logprobs, (left / total).astype(np.float32)


def _refuse(wrong: np.ndarray, what: str) -> None:
    if wrong.any():
        detail = f"recorder: scores of {int(wrong.sum())} positions hold {what}"
        raise LogitcaskError("row-invalid", 422, detail)


def leading(
    scores: Mapping[str, Any], heads: Mapping[str, Head], images: int | None
) -> tuple[int, ...]:
    """The shape that all scores have before that of a position; ``images`` is None for one."""
    if scores.keys() != heads.keys():
        raise invalid(f"scores of {sorted(scores)} for the heads {sorted(heads)}")
    found: dict[str, tuple[int, ...]] = {}
    for name, head in heads.items():
        shape = tuple(scores[name].shape)
        at = len(shape) - len(head.shape)
        if at < 0 or shape[at:] != head.shape:
            raise invalid(f"scores of {shape} for the head {name} of {head.shape} a position")
        found[name] = shape[:at]
    lead = next(iter(found.values()))
    if any(other != lead for other in found.values()):
        raise invalid(f"the heads have other images and positions: {found}")
    if images is None and len(lead) <= 1:
        return lead
    if images is not None and len(lead) in (1, 2) and lead[0] == images:
        return lead
    whom = "one image" if images is None else f"{images} images"
    raise invalid(f"scores of {lead} images and positions for {whom}")
