"""What a loss reads of a student's logits, by chunks: nothing of their size is made in float32.

Of each learned row: log Σ exp(z / T) over the ids that the teacher did not keep, and the logits of
those that it kept and of the label. All else (normalisers, tail mass, every loss) follows from
these few numbers, by autograd. One operator, opaque to ``torch.compile``: masked rows are skipped,
and ids are checked, without a break in the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import LogitcaskError

#: Logits that are held in float32 at a time; a few copies of so many are the peak. On a CPU they
#: should stay in its cache, on an accelerator few large kernels are faster.
CHUNK_ELEMENTS = 2**20
ACCELERATOR_CHUNK_ELEMENTS = 2**25
#: A product with the head reads all of it, which should serve so many rows at least.
HEAD_ROWS = 128


class Picks(NamedTuple):
    """Logits asked for in learned rows, ascending by row.

    Attributes:
        held: which of those asked for lie in learned rows.
        at: where they lie, flat, within their chunk.
        ends: chunk i has those at [ends[i], ends[i + 1]).
    """

    held: Tensor
    at: Tensor
    ends: list[int]

    def of(self, chunk: int) -> tuple[slice, Tensor]:
        picks = slice(self.ends[chunk], self.ends[chunk + 1])
        return picks, self.at[picks]


class Chunk(NamedTuple):
    """Some learned rows: their numbers [n], x [n, D or V], and a float copy of logits [n, V]."""

    rows: Tensor
    x: Tensor
    z: Tensor


class Chunks:
    """Walks the learned rows of logits, or of hidden states and the head that gives logits."""

    def __init__(self, x: Tensor, head: Tensor | None, mask: Tensor) -> None:
        self.x, self.head = x, head
        self.width = x.shape[1] if head is None else head.shape[0]
        self.dtype = torch.promote_types(x.dtype, torch.float32)
        self.learned = mask.nonzero()[:, 0]
        self.place = mask.cumsum(0) - 1
        self.mask = mask
        elements = CHUNK_ELEMENTS if x.device.type == "cpu" else ACCELERATOR_CHUNK_ELEMENTS
        self.step = max(1 if head is None else HEAD_ROWS, elements // max(1, self.width))

    def picks(self, rows: Tensor, ids: Tensor) -> Picks:
        """Where (row, id) lie; id −1 and rows that are not learned are left out."""
        held = ((ids != -1) & self.mask[rows]).nonzero()[:, 0]
        ids = ids[held]
        if len(ids) > 0:
            least, greatest = (int(one) for one in ids.aminmax())
            if least < 0 or greatest >= self.width:
                detail = "loss: an id lies outside the student's vocabulary"
                expected, got = f"0 ≤ id < {self.width}", least if least < 0 else greatest
                raise LogitcaskError("request-invalid", 400, detail, expected=expected, got=got)
        place = self.place[rows[held]]
        firsts = torch.arange(0, len(self.learned) + self.step, self.step, device=place.device)
        ends = torch.searchsorted(place, firsts).tolist()
        return Picks(held, place % self.step * self.width + ids, ends)

    def lists(self, rows: Tensor, ids: Tensor, labels: Tensor) -> tuple[Picks, Picks]:
        """The teacher's entries, and each row's hard label."""
        everyone = torch.arange(len(self.x), device=self.x.device)
        return self.picks(rows, ids), self.picks(everyone, labels)

    def __iter__(self) -> Iterator[Chunk]:
        for rows in self.learned.split(self.step) if len(self.learned) > 0 else ():
            x = self.x.index_select(0, rows)
            z = x if self.head is None else x @ self.head.T
            yield Chunk(rows, x, z.to(self.dtype))


@torch.library.custom_op("logitcask::read", mutates_args=())
def _read(
    x: Tensor,
    head: Tensor | None,
    mask: Tensor,
    rows: Tensor,
    ids: Tensor,
    labels: Tensor,
    temperatures: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor]:
    """outside [temperatures, R], entries [M], label [R]; −inf where there is none.

    Rows that are not learned have an outside of 0.
    """
    chunks = Chunks(x, head, mask)
    outside = x.new_zeros((len(temperatures), len(x)), dtype=chunks.dtype)
    found = []
    lists = chunks.lists(rows, ids, labels)
    for one in (ids, labels):
        found.append(x.new_full(one.shape, -torch.inf, dtype=chunks.dtype))
    for i, (own, _, z) in enumerate(chunks):
        flat = z.view(-1)
        for picks, out in zip(lists, found):
            picked, at = picks.of(i)
            out.index_copy_(0, picks.held[picked], flat.index_select(0, at))
        flat.index_fill_(0, lists[0].of(i)[1], -torch.inf)
        for out, temperature in zip(outside, temperatures):
            out.index_copy_(0, own, _at(z, temperature).logsumexp(-1))
    return outside, *found


@torch.library.custom_op("logitcask::read_backward", mutates_args=())
def _read_backward(
    grads: Sequence[Tensor],
    x: Tensor,
    head: Tensor | None,
    mask: Tensor,
    rows: Tensor,
    ids: Tensor,
    labels: Tensor,
    temperatures: Sequence[float],
) -> tuple[Tensor, Tensor]:
    """Gradients of x, and of head ([0] where there is none), each written once in its own dtype."""
    by_outside, *by_pick = grads
    chunks = Chunks(x, head, mask)
    lists = chunks.lists(rows, ids, labels)
    grad_x = torch.zeros_like(x)
    grad_head = torch.zeros_like(x.new_empty(0) if head is None else head, dtype=chunks.dtype)
    for i, (own, part, z) in enumerate(chunks):
        # finite, so that a row without outside is no NaN; its gradient there is 0
        z.view(-1).index_fill_(0, lists[0].of(i)[1], torch.finfo(z.dtype).min)
        grad = None
        for temperature, by in zip(temperatures, by_outside):
            one = _at(z, temperature).softmax(-1).mul_(by[own, None] / temperature)
            grad = one if grad is None else grad.add_(one)
        for picks, by in zip(lists, by_pick):
            picked, at = picks.of(i)
            grad.view(-1).index_add_(0, at, by[picks.held[picked]])
        grad = grad.to(x.dtype)
        grad_x.index_copy_(0, own, grad if head is None else grad @ head)
        if head is not None:
            grad_head += grad.T @ part
    return grad_x, grad_head.to(x.dtype if head is None else head.dtype)


def _at(z: Tensor, temperature: float) -> Tensor:
    return z if temperature == 1 else z / temperature


@_read.register_fake
def _(x, head, mask, rows, ids, labels, temperatures):
    dtype = torch.promote_types(x.dtype, torch.float32)
    shapes = ((len(temperatures), x.shape[0]), ids.shape, labels.shape)
    return tuple(x.new_empty(shape, dtype=dtype) for shape in shapes)


@_read_backward.register_fake
def _(grads, x, head, mask, rows, ids, labels, temperatures):
    return torch.empty_like(x), x.new_empty(0) if head is None else torch.empty_like(head)


def _setup_context(ctx, inputs, output):
    *tensors, ctx.temperatures = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, *grads):
    grad_x, grad_head = _read_backward(list(grads), *ctx.saved_tensors, ctx.temperatures)
    has_head = ctx.saved_tensors[1] is not None
    return grad_x, grad_head if has_head else None, None, None, None, None, None


_read.register_autograd(_backward, setup_context=_setup_context)


class LogProbs(NamedTuple):
    """A student's log-probs at one temperature; −inf where there is nothing.

    Attributes:
        entries: [M], of the teacher's entries.
        outside: [R], of everything else together.
        label: [R], of the hard label.
    """

    entries: Tensor
    outside: Tensor
    label: Tensor


def read(
    x: Tensor,
    head: Tensor | None,
    *,
    mask: Tensor,
    rows: Tensor,
    ids: Tensor,
    labels: Tensor,
    temperatures: Sequence[float],
) -> dict[float, LogProbs]:
    """A student's log-probs by temperature.

    Args:
        x: logits [R, V], or hidden states [R, D] where head [V, D] is given.
        mask: bool [R], the rows to read.
        rows, ids: int64 [M], the teacher's entries, rows ascending; id −1 is none.
        labels: int64 [R]; −1 is none.

    Raises:
        LogitcaskError: ``request-invalid`` where a learned row has an id outside the vocabulary.
    """
    logsums, entries, label = _read(x, head, mask, rows, ids, labels, temperatures)
    found = {}
    for temperature, outside in zip(temperatures, logsums):
        kept = entries / temperature
        total = _log_sum(outside, kept, rows)
        found[temperature] = LogProbs(
            kept - total[rows], outside - total, label / temperature - total
        )
    return found


def _log_sum(outside: Tensor, kept: Tensor, rows: Tensor) -> Tensor:
    """log Σ exp over the whole vocabulary [R]."""
    top = outside.detach().scatter_reduce(0, rows, kept.detach(), "amax")
    top = top.masked_fill(top == -torch.inf, 0)
    sums = (outside - top).exp().index_add(0, rows, (kept - top[rows]).exp())
    return top + sums.log()
