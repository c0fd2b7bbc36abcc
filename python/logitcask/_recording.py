"""What recorders share: a spool, the threads behind it, and when what was written is committed."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ._encoder import Encoder
from ._http import Transport
from ._samples import invalid
from ._sender import Sender
from ._spool import Spool
from .errors import LogitcaskError


class Recording:
    """``request`` is the upload's but for the member ``late``, which the first write decides."""

    def __init__(
        self,
        url: str,
        dataset: str,
        *,
        request: Mapping[str, Any],
        late: str,
        upload: str | None,
        worker: int,
        spool: str | PathLike[str] | None,
        commit_bytes: int | None,
        spool_bytes_max: int,
        token: str | None,
        timeout_s: float,
    ) -> None:
        self._shared, self._spool_bytes_max = upload is not None, spool_bytes_max
        self._request, self._late = dict(request), late
        folder = Path("logitcask-spool", dataset, str(worker)) if spool is None else Path(spool)
        self._spool = Spool(folder)
        self._decided: Any = None
        noted = self._spool.noted("request")
        if noted is not None and self._spool.sizes():
            self._check(noted)
        self._closed = False
        self._transport = Transport([url], token=token, timeout_s=timeout_s, attempts=1)
        self._sender = Sender(
            self._transport,
            self._spool,
            dataset=dataset,
            upload=upload,
            worker=worker,
            commit_bytes=None if upload is not None else commit_bytes,
        )
        self._encoder = Encoder(self._spool, self._sender.add)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # what was written stays in the spool
            self._end()

    def flush(self) -> None:
        """Returns when all that was written is durable in the spool."""
        self._encoder.flush()

    def commit(self, timeout_s: float | None = None) -> Mapping[str, Any] | None:
        """Sends all, and makes a snapshot of it: the server's reply, None where nothing waited."""
        self.flush()
        before = len(self._sender.commits)
        self._sender.wait(commit=True, timeout_s=timeout_s)
        return self._sender.commits[-1] if len(self._sender.commits) > before else None

    def close(self, timeout_s: float | None = None) -> None:
        """Sends all, and commits it unless the upload is shared; both go on for ``timeout_s``."""
        if self._closed:
            return
        try:
            self.flush()
            self._sender.wait(commit=not self._shared, timeout_s=timeout_s)
        finally:
            self._end()

    @property
    def commits(self) -> list[dict[str, Any]]:
        """Replies of the server to what was committed."""
        return list(self._sender.commits)

    def _end(self) -> None:
        self._closed = True
        try:
            if self._encoder.failure is None:
                self._encoder.flush()
        finally:
            self._encoder.stop()
            self._sender.stop()
            self._transport.close()
            self._spool.close()

    def _raise(self) -> None:
        failure = self._encoder.failure or self._sender.failure
        if failure is not None:
            raise failure
        if self._closed:
            raise invalid("it is closed")

    def _begin(self, decided: Any, differs: str) -> None:
        if self._decided is None:
            self._spool.note("request", {**self._request, self._late: decided})
            self._decided = decided
        elif self._decided != decided:
            raise invalid(f"{differs} {self._decided}")
        if self._sender.bytes > self._spool_bytes_max:
            detail = f"recorder: over {self._spool_bytes_max} bytes wait for the server"
            raise LogitcaskError("store-full", 507, detail, True)

    def _check(self, noted: Mapping[str, Any]) -> None:
        """What lies in the spool must be of the same teacher; an empty one may be of any."""
        decided = noted.get(self._late)
        expected = {**self._request, self._late: decided}
        if noted == expected:
            self._decided = decided
            return
        self._spool.close()
        detail = "recorder: the spool holds another teacher's; give this one a spool of its own"
        raise LogitcaskError("conflict", 409, detail, expected=noted, got=expected)
