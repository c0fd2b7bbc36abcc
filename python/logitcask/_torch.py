"""What is asked of torch where it is installed: its data set class, ranks, loader workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .errors import LogitcaskError

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info

    installed = True
except ImportError:
    installed = False

    class IterableDataset:
        """In torch's place: a data set is then iterated by itself."""

    def get_worker_info() -> None:
        return None


def place(rank: int | None, world: int | None) -> tuple[int, int]:
    """This process and the number of processes: as given, or as the launcher says."""
    if (rank is None) != (world is None):
        detail = "dataset: rank and world go together"
        raise LogitcaskError("request-invalid", 400, detail, got=(rank, world))
    if rank is not None and world is not None:
        return rank, world
    if installed and torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


class Stripe:
    """Which steps of an epoch are this process's: all, or those of one worker of a DataLoader.

    Worker w of W takes every W-th step from the cursor + w on; the loader takes a batch of each
    in turn, so that the order is restored. A worker's step is that of its own stripe, and runs
    past the epoch's end: a worker restored there has nothing left to give.
    """

    def __init__(self) -> None:
        #: Steps are this stripe's own, of so many workers; 0 where they are those of all.
        self._workers = 0
        self._begun = self._ended = False
        # [run, epochs that ended in it], seen by all processes: workers that are started again
        # without a word would give the same epoch again
        self._over = torch.tensor([0, 0]).share_memory_() if installed else None

    @property
    def in_worker(self) -> bool:
        return get_worker_info() is not None

    @property
    def stride(self) -> int:
        return max(1, self._workers)

    def state(self) -> dict[str, int]:
        return {"workers": self._workers} if self._workers > 0 else {}

    def load(self, state: Mapping[str, Any]) -> int:
        """Takes over whose steps a state counts; returns how far they may run past the end."""
        workers, info = int(state.get("workers", 0)), get_worker_info()
        if workers > 0 and (info is None or info.num_workers != workers):
            detail = "dataset: the state is a worker's, load it with as many workers"
            got = 0 if info is None else info.num_workers
            raise LogitcaskError("conflict", 409, detail, expected=workers, got=got)
        self._workers, self._begun, self._ended = workers, False, False
        if self._over is not None and info is None:
            self._over.zero_()
        return max(0, workers - 1)

    def begin(self, epoch: int, step: int) -> tuple[int, int]:
        """Where an iteration begins."""
        info = get_worker_info()
        if info is None:
            return epoch, step
        if self._begun and not self._ended:
            detail = "dataset: workers had fetched ahead when the loop was left, load a state"
            raise LogitcaskError("conflict", 409, detail, expected="the whole epoch", got=step)
        if self._ended:  # a worker that lives on goes on with the next epoch
            epoch, step = epoch + 1, info.id
        elif self._workers == 0:
            self._refuse_again(epoch, info.seed - info.id)
            self._workers, step = info.num_workers, step + info.id
        self._begun, self._ended = True, False
        return epoch, step

    def end(self, epoch: int) -> None:
        """All steps of the epoch were given out."""
        info = get_worker_info()
        if info is not None:
            self._ended = True
            self._over[0], self._over[1] = info.seed - info.id, epoch + 1

    def _refuse_again(self, epoch: int, run: int) -> None:
        last_run, over = self._over.tolist()
        if over > epoch and last_run != run:
            detail = f"dataset: epoch {epoch} is over; call set_epoch before each epoch"
            raise LogitcaskError("conflict", 409, detail, expected=f"epoch {over}", got=epoch)
