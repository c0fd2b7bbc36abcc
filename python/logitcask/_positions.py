"""A batch's targets, laid over the rows of the student's logits."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .batch import Batch, TargetSet
from .errors import LogitcaskError
from .frames import Targets


def refused(
    detail: str, expected: object = None, got: object = None, code: str = "request-invalid"
) -> LogitcaskError:
    status = 400 if code == "request-invalid" else 422
    return LogitcaskError(code, status, f"loss: {detail}", expected=expected, got=got)


class Soft(NamedTuple):
    """A teacher's distributions at N positions, at one temperature.

    Attributes:
        rows: int64 [M], the position of each entry, ascending.
        ids: int64 [M], distinct within a position; −1 for room that holds no entry.
        probs: float [M], probabilities, or the weights of unbiased targets.
        rest: float [N], mass of everything not kept; None for unbiased targets, which have none.
        positions: N.
    """

    rows: Tensor
    ids: Tensor
    probs: Tensor
    rest: Tensor | None
    positions: int

    @classmethod
    def ragged(
        cls, offsets: Tensor, ids: Tensor, probs: Tensor, rest: Tensor | None = None
    ) -> Soft:
        """Position t has the entries [offsets[t], offsets[t + 1]); see logitcask.Targets."""
        count = len(offsets) - 1
        every = torch.arange(count, device=offsets.device)
        rows = torch.repeat_interleave(every, offsets.diff(), output_size=len(ids))
        return cls(rows, ids.long(), probs, rest, count)

    @classmethod
    def dense(cls, ids: Tensor, logprobs: Tensor, rest: Tensor | None = None) -> Soft:
        """Ids and log-probs [..., k] of k entries a position, padded with −inf; rest [...]."""
        count, k = ids.shape[:-1].numel(), ids.shape[-1]
        rows = torch.arange(count, device=ids.device).repeat_interleave(k, output_size=count * k)
        logprobs = logprobs.flatten()
        logprobs = logprobs.to(torch.promote_types(logprobs.dtype, torch.float32))
        held = ids.flatten().long().masked_fill(logprobs == -torch.inf, -1)
        return cls(rows, held, logprobs.exp(), None if rest is None else rest.flatten(), count)

    @classmethod
    def of(cls, batch: Batch, temperature: float = 1.0, *, target_set: str | None = None) -> Soft:
        """A batch's targets, on the device of its mask; refused where it has none at T."""
        view = View(batch, target_set, torch.as_tensor(batch["mask"]).device)
        return view.soft(temperature, False)

    def take(self, positions: Tensor) -> Soft:
        """Those of the positions [P], int64, in their order; one may be taken more than once."""
        counts = torch.zeros(self.positions, dtype=torch.int64, device=self.rows.device)
        counts = counts.index_add(0, self.rows, torch.ones_like(self.rows))
        starts, lengths = (counts.cumsum(0) - counts)[positions], counts[positions]
        rows = torch.repeat_interleave(lengths)
        shift = starts - (lengths.cumsum(0) - lengths)
        entries = torch.arange(len(rows), device=rows.device) + shift[rows]
        rest = None if self.rest is None else self.rest[positions]
        return Soft(rows, self.ids[entries], self.probs[entries], rest, len(positions))

    def mix(self, partner: Soft, weight: Tensor) -> Soft:
        """(1 − weight) of these and weight of the partner's: targets of mixup and CutMix.

        Ids are those of both. What a list does not name stays in `rest`; of whole distributions,
        and of unbiased targets in expectation, the mixture is exact.

        Args:
            partner: as many positions, of the same kind.
            weight: floats [N], 0 … 1, of the partner.
        """
        if partner.positions != self.positions or weight.shape != (self.positions,):
            got = (partner.positions, tuple(weight.shape))
            raise refused("a partner and a weight a position", self.positions, got)
        if (self.rest is None) != (partner.rest is None):
            raise refused("scaled and unbiased targets do not mix")
        shares = (1 - weight, weight)
        both = list(zip((self, partner), shares))
        rows, ids = torch.cat((self.rows, partner.rows)), torch.cat((self.ids, partner.ids))
        probs = torch.cat([one.probs * share[one.rows] for one, share in both])
        held = (ids >= 0) & (torch.cat([share[one.rows] for one, share in both]) > 0)
        rows, ids, probs = rows[held], ids[held], probs[held]
        width = int(ids.max()) + 1 if len(ids) else 1
        keys, cells = torch.unique(rows * width + ids, return_inverse=True)
        probs = probs.new_zeros(len(keys)).index_add(0, cells, probs)
        rest = None if self.rest is None else sum(one.rest * share for one, share in both)
        return Soft(keys // width, keys % width, probs, rest, self.positions)


class Places:
    """Where the positions of targets lie in logits with the leading dimensions `shape`.

    Joined ([N, V], [1, N, V]) or as the targets are ([B, L, V]): row i is position i. Samples of a
    ragged batch may also be padded on the right: row b · L + t is position t of sample b.
    """

    def __init__(self, shape: torch.Size, positions: int, offsets: Tensor | None) -> None:
        self.count, self.positions = shape.numel(), positions
        self.rows: Tensor | None = None
        if self.count == positions:
            return
        if offsets is None or len(shape) != 2 or shape[0] != len(offsets) - 1:
            raise refused("logits and targets differ in positions", positions, tuple(shape))
        self.rows = _padded_rows(offsets, shape[1], positions)

    def spread(self, values: Tensor, fill: float) -> Tensor:
        """Values of positions, or of rows, as values of rows [R]."""
        values = values.flatten()
        if len(values) == self.count:
            return values
        if len(values) != self.positions:
            raise refused("values are one a position", self.positions, len(values))
        return values.new_full((self.count,), fill).index_copy(0, self.rows, values)

    def soft(self, soft: Soft) -> Soft:
        if self.rows is None:
            return soft
        rest = None if soft.rest is None else self.spread(soft.rest, 1)
        return soft._replace(rows=self.rows[soft.rows], rest=rest, positions=self.count)


@torch.library.custom_op("logitcask::padded_rows", mutates_args=())
def _padded_rows(offsets: Tensor, length: int, positions: int) -> Tensor:
    lengths = offsets.diff()
    if int(lengths.max()) > length:
        raise refused("a sample has more positions than the logits", int(lengths.max()), length)
    shift = torch.arange(len(lengths), device=offsets.device) * length - offsets[:-1]
    rows = torch.arange(positions, device=offsets.device)
    return rows + shift.repeat_interleave(lengths, output_size=positions)


@_padded_rows.register_fake
def _(offsets, length, positions):
    return offsets.new_empty(positions)


@torch.library.custom_op("logitcask::checked_ids", mutates_args=())
def checked_ids(ids: Tensor, classes: int) -> Tensor:
    """A copy, where all are classes of the student; −1 holds no entry."""
    most = int(ids.max()) if len(ids) else -1
    if most >= classes:
        raise refused("an id lies outside the student's classes", f"below {classes}", most)
    return ids.clone()


@checked_ids.register_fake
def _(ids, classes):
    return torch.empty_like(ids)


class View:
    """A batch as the losses read it: its arrays on the logits' device, numpy or torch before."""

    def __init__(self, batch: Batch, target_set: str | None, device: torch.device) -> None:
        names = list(batch.target_sets)
        if target_set not in batch.target_sets and (target_set is not None or len(names) != 1):
            raise refused("name one target set of the batch", names, target_set)
        self.batch, self.device = batch, device
        self.set: TargetSet = batch.target_sets[target_set or names[0]]
        self.offsets = None if batch.layout == "dense" else self["offsets"]

    def __getitem__(self, name: str) -> Tensor:
        return on_device(self.batch[name], self.device)

    def own(self, name: str) -> Tensor | None:
        """An array of the target set."""
        name = f"{self.set.name}_{name}"
        return self[name] if name in self.batch.arrays else None

    def mask(self) -> Tensor:
        """What is to be learned; a repeated sample that pads the last step is not."""
        mask = self["mask"]
        if "pad" not in self.batch.arrays:
            return mask
        pad = self["pad"]
        if self.offsets is None:
            return mask & ~pad[:, None]
        return mask & ~pad.repeat_interleave(self.offsets.diff(), output_size=len(mask))

    def labels(self) -> Tensor:
        """The hard label of every position that is to be learned: the token behind it."""
        if self.set.own_space:
            detail = f"the batch's hard labels are no classes of {self.set.name}, pass labels"
            raise refused(detail, "a set without classes of its own", self.set.name)
        if "hard_label" in self.batch.arrays:
            return self["hard_label"].long()
        if "tokens" not in self.batch.arrays:
            raise refused("the batch has no hard labels, pass labels", got=list(self.batch.arrays))
        return self["tokens"].long().roll(-1, -1)

    def soft(self, temperature: float, approximate: bool) -> Soft:
        """Refuses a temperature at which the batch does not have the targets."""
        one = self.set
        if one.kind == "independent":
            detail = f"the scores of {one.name} are no distribution, which this loss needs"
            raise refused(detail, "scaled or unbiased", one.kind)
        extra = self.offsets is not None and temperature != one.temperature
        if extra and (one.kind == "unbiased" or temperature not in one.log_z):
            detail = "the batch has no targets at this temperature, build with log Z of it"
            had = (one.temperature, *one.log_z) if one.kind == "scaled" else (one.temperature,)
            raise refused(detail, had, temperature, "temperature-unsupported")
        if self.offsets is None and temperature != one.temperature:
            detail = "the batch is at another temperature, ask the server for this one"
            raise refused(detail, one.temperature, temperature, "temperature-unsupported")
        if temperature != 1 and not (one.temperature_exact or approximate):
            detail = "targets at this temperature are approximate, which approximate=True takes"
            raise refused(detail, got=temperature, code="temperature-unsupported")
        soft = self.stored()
        if not extra:
            return soft
        log_z = self.own("log_z")[:, one.log_z.index(temperature)]
        return _tempered(soft, log_z, temperature)

    def stored(self) -> Soft:
        """At the temperature of the set, also scores that are no distribution."""
        rest = self.own("rest") if self.set.kind == "scaled" else None
        if self.offsets is None:
            return Soft.dense(self.own("ids"), self.own("logprobs"), rest)
        return Soft.ragged(self.own("offsets"), self.own("ids"), self.own("probs"), rest)


def _tempered(soft: Soft, log_z: Tensor, temperature: float) -> Soft:
    """p at T is exp(log p / T − log Z_T); what the entries leave is the rest."""
    probs = (soft.probs.log() / temperature - log_z[soft.rows]).exp()
    kept = torch.zeros_like(log_z).index_add(0, soft.rows, probs)
    return soft._replace(probs=probs, rest=(1 - kept).clamp(min=0))


def soft_of(targets: Soft | Targets, temperature: float, device: torch.device) -> Soft:
    """Targets outside a batch: a Soft is at any temperature, Targets as stored are at 1."""
    if isinstance(targets, Soft):
        return Soft(*(on_device(one, device) if torch.is_tensor(one) else one for one in targets))
    if temperature != 1:
        detail = "targets without their batch are at temperature 1, pass the batch"
        raise refused(detail, 1, temperature, "temperature-unsupported")
    _, offsets, ids, probs, rest, _ = (on_device(one, device) for one in targets)
    return Soft.ragged(offsets, ids, probs, rest if targets.kind == "scaled" else None)


def on_device(array: Any, device: torch.device) -> Any:
    return array if isinstance(array, str) else torch.as_tensor(array, device=device)
