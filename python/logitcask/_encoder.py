"""A thread that makes shards of what a recorder chose, and puts them into the spool."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._choose import is_torch
from ._spool import Spool
from .errors import LogitcaskError

QUEUE_BYTES_MAX = 64 << 20
SHARD_BYTES = 4 << 20
#: Entries that are not in the spool yet, at most for so long.
SPOOL_S = 1.0


class Item(NamedTuple):
    """What was written: the record batches of it, made when it is its turn."""

    batches: Callable[[], list[Any]]
    #: What it holds meanwhile.
    bytes: int


class Encoder:
    """Takes what was written, in order; what it made durable goes to ``send``."""

    def __init__(self, spool: Spool, send: Callable[[int, int], None]) -> None:
        self._spool, self._send = spool, send
        #: What ended the thread.
        self.failure: LogitcaskError | None = None
        self._queue: deque[Item] = deque()
        self._queued = 0
        self._flushing = False
        self._stopped = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="logitcask-encoder", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        with self._change:
            self._flushing = True
            self._change.notify_all()
            self._change.wait_for(lambda: self.failure is not None or not self._flushing)
            if self.failure is not None:
                raise self.failure

    def stop(self) -> None:
        """What was not flushed is lost."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        self._thread.join()

    def put(self, item: Item) -> None:
        with self._change:
            self._change.wait_for(
                lambda: (
                    self.failure is not None
                    or self._queued == 0
                    or self._queued + item.bytes <= QUEUE_BYTES_MAX
                )
            )
            self._queue.append(item)
            self._queued += item.bytes
            self._change.notify_all()
            if self.failure is not None:
                raise self.failure

    def _run(self) -> None:
        batches: list[Any] = []
        size, since = 0, 0.0
        while True:
            with self._change:
                patience = None if size == 0 else max(0.0, since + SPOOL_S - time.monotonic())
                self._change.wait_for(
                    lambda: self._queue or self._flushing or self._stopped, patience
                )
                item = self._queue[0] if self._queue else None
                if item is None and self._stopped:
                    return
            try:
                if item is not None:
                    since = time.monotonic() if size == 0 else since
                    for batch in item.batches():
                        batches.append(batch)
                        size += batch.nbytes
                        if size >= SHARD_BYTES:
                            self._send(*self._spool.add(batches))
                            batches, size = [], 0
                elif size > 0:
                    self._send(*self._spool.add(batches))
                    batches, size = [], 0
            except Exception as error:
                own = isinstance(error, LogitcaskError)
                self._fail(
                    error if own else LogitcaskError("internal", 500, f"recorder: {error!r}")
                )
                return
            with self._change:
                if item is not None:
                    self._queue.popleft()
                    self._queued -= item.bytes
                if not self._queue and size == 0:
                    self._flushing = False
                self._change.notify_all()

    def _fail(self, error: LogitcaskError) -> None:
        with self._change:
            self.failure = error
            self._change.notify_all()


def to_numpy(array: Any) -> np.ndarray | None:
    return array.numpy() if array is not None and is_torch(array) else array


def copied(array: Any) -> Any:
    """Of an array on the host; what lies on a device is copied to the host in its order."""
    if array is None or (is_torch(array) and array.device.type != "cpu"):
        return array
    return array.detach().clone() if is_torch(array) else np.array(array)


def on_host(array: Any) -> np.ndarray | None:
    return to_numpy(array.cpu()) if array is not None and is_torch(array) else array


def to_host(arrays: Sequence[Any]) -> tuple[list[Any], Callable[[], object]]:
    """Copies that go on while the devices work; the events say when they are there."""
    moved, devices = [], set()
    for array in arrays:
        if array is None or not is_torch(array) or array.device.type == "cpu":
            moved.append(array)
            continue
        import torch

        pinned = array.device.type == "cuda"
        if pinned:
            devices.add(array.device)
        host = torch.empty(array.shape, dtype=array.dtype, pin_memory=pinned)
        moved.append(host.copy_(array, non_blocking=pinned))
    # heads may lie on several devices
    events = [torch.cuda.current_stream(device).record_event() for device in devices]
    return moved, lambda: [event.synchronize() for event in events]
