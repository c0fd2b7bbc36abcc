"""A plan's steps as a data set for training loops: fetched ahead, resumed to the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _torch
from ._http import Pending
from ._prefetch import Ahead
from ._remap import Remap
from ._tokenizer import compare
from .batch import Batch
from .client import Client, Plan
from .errors import LogitcaskError
from .order import append_record


class LogitDataset(_torch.IterableDataset):
    """Batches of one rank, in the order of a plan, checked before they are given out.

    ``for batch in LogitDataset(url, "mine", batch_size=8)`` gives an epoch; the next ``for`` goes
    on with the next one, or, after a ``break``, behind the last batch that was received. Every
    rank has the same number of steps, so a batch may have no rows.

    A torch IterableDataset of whole batches where torch is installed: give it to a DataLoader, or
    torchdata's StatefulDataLoader, with ``batch_size=None``. Loader workers share the steps among
    them, and the loader restores the order. They are not needed: a thread fetches ahead.

    Args:
        url: a server's address, or several of replicas; or a Client.
        dataset, snapshot: what to read; or else `streams`, several data sets and their shares (see
            ``Client.create_plan``); or else `plan`, the id of a plan, whose order is fixed: all
            arguments down to `filter` belong to new plans only.
        batch_size: samples (or packs) of a rank at a step; the plan's global batch is
            batch_size · world / replicate. It is fixed when the plan is made: at another world
            size give `plan`, or name the `global_batch_size` instead, which makes the same plan
            at any.
        shuffle, shuffle_seed: a seeded order, another one in each epoch.
        shuffle_block_size: shuffle blocks of so many neighbours, for locality, and then inside
            groups of them.
        epoch_size: samples of an epoch, all by default; `stop` (``all``, ``first``) says when a
            mixture by proportions ends.
        drop_last, pad_last: leave out, or fill up with samples of weight 0, a last step that is
            not full; by default it is short.
        packing: ``{"length", "window"}``; see ``Batch.packs``. `filter`: which samples to take.
        rank, world: this process and the number of processes; by default those of
            torch.distributed, or else of RANK and WORLD_SIZE, or else 0 of 1.
        replicate: neighbouring ranks that get the same batch (tensor parallelism).
        layout, target_set, temperature, k, pad_to, dtype, vocab_size: see ``Client.step``.
        tokenizer: the student's tokenizer.json; unless it is the teacher's, of every snapshot of
            the plan, it is refused. `remap`: where they differ in added tokens only, give batches
            in the student's ids.
        prefetch: steps that are fetched ahead, while they fit into `prefetch_bytes`.
        as_torch: give tensors, as ``Batch.torch()`` does; by default where torch is installed.
        record: a file to which a line for each batch is added, as proof of the order.
        client: of Client: ``token``, ``timeout``, ``attempts``, ``verify``.
    """

    def __init__(
        self,
        url: str | Sequence[str] | Client,
        dataset: str | None = None,
        *,
        snapshot: str = "latest",
        streams: Sequence[str | Mapping[str, Any]] | None = None,
        plan: str | None = None,
        batch_size: int | None = None,
        global_batch_size: int | None = None,
        shuffle: bool = True,
        shuffle_seed: int = 0,
        shuffle_block_size: int | None = None,
        epoch_size: int | None = None,
        stop: str | None = None,
        drop_last: bool = False,
        pad_last: bool = False,
        packing: Mapping[str, int] | None = None,
        filter: Mapping[str, Any] | None = None,
        rank: int | None = None,
        world: int | None = None,
        replicate: int = 1,
        layout: str = "frames",
        target_set: str | None = None,
        temperature: float | None = None,
        k: int | None = None,
        pad_to: int | None = None,
        dtype: str | None = None,
        vocab_size: int | None = None,
        tokenizer: str | Path | None = None,
        remap: bool = False,
        prefetch: int = 2,
        prefetch_bytes: int = 1 << 28,
        as_torch: bool | None = None,
        record: str | Path | None = None,
        **client: Any,
    ) -> None:
        self._rank, self._world = _torch.place(rank, world)
        self._replicate = replicate
        _check(self._rank, self._world, replicate, (dataset, streams, plan), prefetch)
        self.client = url if isinstance(url, Client) else Client(url, **client)
        if plan is None:
            named = [{"dataset": dataset, "snapshot": snapshot}] if dataset is not None else streams
            self.plan: Plan = self.client.create_plan(
                named,
                global_batch=self._global_batch(batch_size, global_batch_size),
                seed=shuffle_seed,
                shuffle=_shuffle(shuffle, shuffle_block_size),
                tail=_tail(drop_last, pad_last),
                epoch_size=epoch_size,
                stop=stop,
                packing=packing,
                filter=filter,
            )
        else:
            self.plan = self.client.plan(plan)
        self._view = {
            "layout": layout,
            "target_set": target_set,
            "temperature": temperature,
            "k": k,
            "pad_to": pad_to,
            "dtype": dtype,
            "vocab_size": vocab_size,
            "replicate": replicate if replicate > 1 else None,
        }
        self._remap = None if tokenizer is None else self._compared(Path(tokenizer), remap)
        if self._remap is not None and layout == "dense" and vocab_size is None:
            self._view["vocab_size"] = self._remap.vocab_size
        # a plan is the order of sample ids: snapshots of the same samples share it
        if len(self.plan.snapshots) == 1:
            self._view["snapshot"] = self.plan.snapshots[0]
        self._prefetch, self._prefetch_bytes = prefetch, prefetch_bytes
        self._as_torch = _torch.installed if as_torch is None else as_torch
        self._record = record
        self._epoch, self._step = 0, 0
        self._stripe = _torch.Stripe()

    def _global_batch(self, batch_size: int | None, global_batch_size: int | None) -> int:
        if batch_size is not None and global_batch_size is not None:
            got = (batch_size, global_batch_size)
            raise _refused("name batch_size or global_batch_size, not both", got=got)
        if global_batch_size is not None:
            return global_batch_size
        return (8 if batch_size is None else batch_size) * (self._world // self._replicate)

    def _compared(self, file: Path, remap: bool) -> Remap | None:
        """The remap that the student's tokenizer needs; what it cannot mend is refused."""
        student = file.read_bytes()
        streams = {(s["dataset"], s["snapshot"]) for s in self.plan.document["streams"]}
        teachers = {self.client.tokenizer(*stream) for stream in streams}
        others = [one for teacher in teachers if not (one := compare(teacher, student)).same]
        for one in others:
            if one.difference is not None:
                detail = f"the student's tokenizer is another than the teacher's: {one.difference}"
                raise _conflict(detail, "the teacher's tokenizer", one.difference)
            if not remap:
                listed = one.listed()
                detail = f"added tokens differ ({listed}); remap=True gives the student's ids"
                raise _conflict(detail, "the teacher's added tokens", listed)
        if others and len(teachers) > 1:
            detail = "a remap is from one tokenizer, and the streams have several"
            raise _conflict(detail, 1, len(teachers))
        return Remap(others[0]) if others else None

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        return self.plan.steps_per_epoch

    @property
    def epoch(self) -> int:
        """That of the next step."""
        return self._epoch

    def state_dict(self) -> dict[str, Any]:
        """``{"plan", "epoch", "step"}``: the next step, counted by what the loop has received.

        The same on all ranks, and good for any world size. In a loader's worker it says how many
        workers there are: each has a state of its own, which the StatefulDataLoader keeps.
        """
        state = {"plan": self.plan.id, "epoch": self._epoch, "step": self._step}
        return {**state, **self._stripe.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to a step; takes effect at the next ``for``. Refuses another plan's state."""
        if state["plan"] != self.plan.id:
            detail = "dataset: the state belongs to another plan, give plan= of the state"
            raise LogitcaskError("conflict", 409, detail, expected=self.plan.id, got=state["plan"])
        epoch, step = int(state["epoch"]), int(state["step"])
        last = len(self) + self._stripe.load(state)
        if epoch < 0 or not 0 <= step <= last:
            detail = "dataset: the state names a step that the plan does not have"
            raise LogitcaskError(
                "step-out-of-range", 404, detail, expected=f"0 ≤ step ≤ {last}", got=step
            )
        self._go(epoch, step)

    def set_epoch(self, epoch: int) -> None:
        """Goes to the beginning of an epoch; inside that epoch already, it stays where it is.

        Needed before each epoch where a DataLoader has workers, as those begin with a copy of this
        object. Refuses to go back, which would be a resumed run that forgot its state:
        ``load_state_dict`` can.
        """
        if epoch < self._epoch:
            detail = "dataset: set_epoch goes forward, load_state_dict goes back"
            expected = f"at least {self._epoch}"
            raise LogitcaskError("conflict", 409, detail, expected=expected, got=epoch)
        self._go(epoch, self._step if epoch == self._epoch else 0)

    def digest(self, epoch: int, from_step: int = 0, to_step: int | None = None) -> str:
        """The server's digest of this rank's order; compare with ``order_digest`` of batches."""
        place = {"rank": self._rank, "world": self._world}
        if self._replicate > 1:
            place["replicate"] = self._replicate
        return self.client.digest(self.plan.id, epoch, from_step, to_step, **place)

    def __iter__(self) -> Iterator[Batch]:
        try:
            if self._record is not None and self._stripe.in_worker:
                detail = "a worker does not know what is received, use append_record in the loop"
                raise _refused(detail, "no workers, or no record=")
            self._epoch, self._step = self._stripe.begin(self._epoch, self._step)
        except LogitcaskError as error:
            return _raised(error)  # raised here, it would end a loader's worker without a word
        return self._batches(self._epoch, self._step)

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        stride = self._stripe.stride
        place = {"rank": self._rank, "world": self._world}
        begin = self.client._steps(self.plan.id, **place, **self._view)
        steps = Ahead(
            lambda step: begin(epoch, step),
            range(first, len(self), stride),
            finish=self._finish,
            size_of=lambda batch: batch.nbytes,
            depth=self._prefetch,
            bytes_max=self._prefetch_bytes,
        )
        try:
            for step, batch in zip(range(first, len(self), stride), steps):
                if self._record is not None:
                    append_record(self._record, batch)
                self._go(epoch, step + stride)
                yield batch
        finally:
            steps.close()
        self._stripe.end(epoch)

    def _finish(self, pending: Pending[Batch], before_retry: Callable[[], None]) -> Batch:
        batch = pending.finish(before_retry)
        if self._remap is not None:
            batch = self._remap.apply(batch)
        return batch.torch() if self._as_torch else batch

    def _go(self, epoch: int, step: int) -> None:
        """(epoch, last + 1) is (epoch + 1, 0), but for a worker, whose stripe ends there."""
        done = step == len(self) and not self._stripe.in_worker
        self._epoch, self._step = (epoch + 1, 0) if done else (epoch, step)


def _refused(detail: str, expected: object = None, got: object = None) -> LogitcaskError:
    return LogitcaskError("request-invalid", 400, f"dataset: {detail}", expected=expected, got=got)


def _conflict(detail: str, expected: object, got: object) -> LogitcaskError:
    return LogitcaskError("conflict", 409, f"dataset: {detail}", expected=expected, got=got)


def _raised(error: LogitcaskError) -> Iterator[Batch]:
    raise error
    yield


def _check(
    rank: int, world: int, replicate: int, sources: tuple[object, ...], prefetch: int
) -> None:
    if sum(source is not None for source in sources) != 1:
        raise _refused("name a data set, streams or a plan, and one of them", got=sources)
    if prefetch < 1:
        raise _refused("prefetch is a number of steps", "at least 1", prefetch)
    if not 0 <= rank < world or replicate < 1 or world % replicate != 0:
        detail = "dataset: the rank lies outside the world, or replicate does not divide it"
        got = {"rank": rank, "world": world, "replicate": replicate}
        raise LogitcaskError("rank-out-of-range", 422, detail, expected="0 ≤ rank < world", got=got)


def _shuffle(shuffle: bool, block: int | None) -> dict[str, Any]:
    if not shuffle:
        return {"mode": "none"}
    return {"mode": "global"} if block is None else {"mode": "block", "block": block}


def _tail(drop_last: bool, pad_last: bool) -> str:
    if drop_last and pad_last:
        raise _refused("drop_last and pad_last exclude each other")
    return "drop" if drop_last else "pad" if pad_last else "short"
