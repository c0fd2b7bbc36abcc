"""A plan's steps as an iterable that fetches one step ahead and resumes to the step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .batch import Batch
from .client import Client, Plan
from .errors import LogitcaskError


class Dataset:
    """Batches of one rank, in the order of a plan, checked before they are given out.

    Iterating gives what is left of the current epoch; the next ``for`` goes on with the next
    epoch, or, after a ``break``, behind the last batch that was received. Every rank has the same
    number of steps, so a batch may have no rows.

    Args:
        client: a Client, or a server's address.
        plan: id of a plan; or else `dataset` and `snapshot`, with `seed`, `batch_size`, `shuffle`
            and `tail` as in ``Client.create_plan``.
        rank, world: this process and the number of processes.
        epoch: where to begin.
        layout, target_set, temperature, k, pad_to, dtype: see ``Client.step``.
        as_torch: give tensors, as ``Batch.torch()`` does.
    """

    def __init__(
        self,
        client: Client | str,
        *,
        plan: str | None = None,
        dataset: str | None = None,
        snapshot: str = "latest",
        seed: int = 0,
        batch_size: int = 8,
        shuffle: str = "global",
        tail: str = "short",
        rank: int = 0,
        world: int = 1,
        epoch: int = 0,
        layout: str = "frames",
        target_set: str | None = None,
        temperature: float | None = None,
        k: int | None = None,
        pad_to: int | None = None,
        dtype: str | None = None,
        as_torch: bool = False,
    ) -> None:
        if (plan is None) == (dataset is None):
            detail = "dataset: name either a plan or a data set"
            raise LogitcaskError("request-invalid", 400, detail, got=(plan, dataset))
        if not 0 <= rank < world:
            detail = "dataset: the rank lies outside the world"
            raise LogitcaskError(
                "rank-out-of-range", 422, detail, expected=f"0 ≤ rank < {world}", got=rank
            )
        self.client = Client(client) if isinstance(client, str) else client
        order = {"seed": seed, "batch_size": batch_size, "shuffle": shuffle, "tail": tail}
        self.plan: Plan = (
            self.client.plan(plan)
            if plan is not None
            else self.client.create_plan(str(dataset), snapshot, **order)
        )
        self._as_torch = as_torch
        self._view: dict[str, Any] = {
            # a plan is the order of sample ids: snapshots of the same samples share it
            "snapshot": self.plan.snapshots[0],
            "rank": rank,
            "world": world,
            "layout": layout,
            "target_set": target_set,
            "temperature": temperature,
            "k": k,
            "pad_to": pad_to,
            "dtype": dtype,
        }
        self._epoch, self._step = epoch, 0

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        return self.plan.steps_per_epoch

    def state_dict(self) -> dict[str, Any]:
        """The step to fetch next, counted by what the loop has received; no rank, no world."""
        return {"plan": self.plan.id, "epoch": self._epoch, "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a step; takes effect at the next ``for``. Refuses another plan's state."""
        if state["plan"] != self.plan.id:
            detail = "dataset: the state belongs to another plan"
            raise LogitcaskError("conflict", 409, detail, expected=self.plan.id, got=state["plan"])
        epoch, step = int(state["epoch"]), int(state["step"])
        if epoch < 0 or not 0 <= step <= len(self):
            detail = "dataset: the state names a step that the plan does not have"
            raise LogitcaskError(
                "step-out-of-range", 404, detail, expected=f"0 ≤ step ≤ {len(self)}", got=step
            )
        self._go(epoch, step)

    def __iter__(self) -> Iterator[Batch]:
        epoch, step = self._epoch, self._step
        pool = ThreadPoolExecutor(1, "logitcask-prefetch")
        try:
            ahead = pool.submit(self._fetch, epoch, step) if step < len(self) else None
            while ahead is not None:
                batch = ahead.result()
                step += 1
                ahead = pool.submit(self._fetch, epoch, step) if step < len(self) else None
                self._go(epoch, step)
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, epoch: int, step: int) -> Batch:
        batch = self.client.step(self.plan.id, epoch, step, **self._view)
        return batch.torch() if self._as_torch else batch

    def _go(self, epoch: int, step: int) -> None:
        """(epoch, last + 1) is (epoch + 1, 0)."""
        done = step == len(self)
        self._epoch, self._step = (epoch + 1, 0) if done else (epoch, step)
