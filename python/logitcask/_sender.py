"""A thread that sends a spool's shards and commits them: what failed is tried again, for ever."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from ._http import Transport, delay_s
from ._spool import Spool
from .errors import LogitcaskError, invalid_reply

ARROW = "application/vnd.apache.arrow.stream"
#: Shards of worker w in a shared upload have numbers from w times this on.
WORKER_STRIDE = 1 << 32
#: With these an upload is begun again: the server leaves out what a data set has already.
ENDED = ("upload-not-found", "conflict", "shard-damaged")
RESTARTS_MAX = 8
#: An upload takes twice as many.
COMMIT_SHARDS_MAX = 32_768


class Sender:
    def __init__(
        self,
        transport: Transport,
        spool: Spool,
        *,
        dataset: str,
        upload: str | None,
        worker: int,
        commit_bytes: int | None,
    ) -> None:
        self._transport, self._spool = transport, spool
        self._path = f"/v1/datasets/{dataset}/uploads"
        self._shared, self._first = upload, worker * WORKER_STRIDE
        self._commit_bytes = commit_bytes
        #: Bytes by number of the shards that are not committed; those of them that were sent.
        self._waiting: dict[int, int] = spool.sizes()
        self._sent: set[int] = set()
        self._upload: str | None = None
        self._is_open = False
        self._restarts = 0
        self._wanted = False
        self._stopped = False
        self._problem: LogitcaskError | None = None
        #: What ended the thread.
        self.failure: LogitcaskError | None = None
        self.commits: list[dict[str, Any]] = []
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="logitcask-sender", daemon=True)
        self._thread.start()

    def add(self, number: int, size: int) -> None:
        with self._change:
            self._waiting[number] = size
            self._change.notify_all()

    @property
    def bytes(self) -> int:
        with self._change:
            return sum(self._waiting.values())

    def wait(self, *, commit: bool, timeout_s: float | None) -> None:
        """Until all is sent, and committed where that is wanted."""
        with self._change:
            self._wanted = self._wanted or commit
            self._change.notify_all()
            done = self._change.wait_for(
                lambda: self.failure is not None or self._is_done(commit), timeout_s
            )
            if self.failure is not None:
                raise self.failure
            if not done:
                detail = f"recorder: not all was sent in {timeout_s} s; it stays in the spool"
                problem = self._problem or LogitcaskError("request-timeout", 408, detail, True)
                raise problem

    def stop(self) -> None:
        with self._change:
            self._stopped = True
            self._change.notify_all()
        self._thread.join()

    def _is_done(self, commit: bool) -> bool:
        unsent = len(self._waiting) - len(self._sent)
        return unsent == 0 and not (commit and (self._waiting or self._wanted))

    def _run(self) -> None:
        failures = 0
        while True:
            with self._change:
                self._change.wait_for(lambda: self._stopped or self._next() is not None)
                if self._stopped:
                    return
                action = self._next()
            try:
                self._commit() if action == "commit" else self._send(int(action))
                failures, self._problem = 0, None
            except LogitcaskError as error:
                if not self._is_passing(error):
                    with self._change:
                        self.failure = error
                        self._change.notify_all()
                    return
                failures += 1
                self._problem = error
                self._pause(delay_s(failures, error))
            except Exception as error:
                with self._change:
                    self.failure = LogitcaskError("internal", 500, f"recorder: {error!r}")
                    self._change.notify_all()
                return

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._change:
            self._change.wait_for(lambda: self._stopped, max(0.0, until - time.monotonic()))

    def _next(self) -> int | str | None:
        if self._is_full():  # also while a worker writes faster than the server takes
            return "commit"
        unsent = next((number for number in self._waiting if number not in self._sent), None)
        if unsent is not None:
            return unsent
        if not self._waiting:
            self._wanted = False
            self._change.notify_all()
            return None
        return "commit" if self._wanted else None

    def _is_full(self) -> bool:
        if self._commit_bytes is None or not self._sent:
            return False
        sent = sum(self._waiting[number] for number in self._sent)
        return sent >= self._commit_bytes or len(self._sent) >= COMMIT_SHARDS_MAX

    def _is_passing(self, error: LogitcaskError) -> bool:
        if error.code in ENDED and self._upload is not None and self._restarts < RESTARTS_MAX:
            self._restarts += 1
            self._forget()
            return True
        return error.retryable

    def _forget(self) -> None:
        self._spool.note("upload", None)
        with self._change:
            self._upload, self._is_open = None, False
            self._sent.clear()

    def _open(self) -> str:
        if self._is_open:
            return self._upload
        request = self._spool.noted("request")
        noted = self._spool.noted("upload")
        if noted is None:
            given = {} if self._shared is None else {"upload": self._shared}
            body = json.dumps({**request, **given}).encode()
            state = self._transport.post(self._path, body, _document)
            self._spool.note("upload", {"upload": state["upload"]})
        else:
            self._upload = noted["upload"]
            state = self._transport.get(f"{self._path}/{self._upload}", _document)
        if state["commit"] is not None:  # what is left goes into an upload of its own
            self._shared, self._first, self._wanted = None, 0, True
            self._forget()
            return self._open()
        with self._change:
            there = {one["shard"] - self._first: one["sha256"] for one in state["shards"]}
            for number in self._waiting.keys() & there.keys():
                body = self._spool.read(number)
                if hashlib.sha256(body).hexdigest() == there[number]:
                    self._sent.add(number)
            self._upload, self._is_open = state["upload"], True
        return self._upload

    def _send(self, number: int) -> None:
        upload = self._open()
        if number in self._sent:
            return
        body = self._spool.read(number)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {"Content-Type": ARROW, "Content-Digest": f"sha-256=:{digest}:"}
        path = f"{self._path}/{upload}/shards/{self._first + number}"
        self._transport.send("PUT", path, _document, body=body, headers=headers)
        with self._change:
            self._sent.add(number)
            self._change.notify_all()

    def _commit(self) -> None:
        upload = self._open()
        with self._change:
            if self._next() != "commit":  # the upload is another one
                return
            numbers = sorted(self._sent)
        # others' shards are not known here
        document = {"shards": len(numbers)} if self._shared is None else {}
        headers = {"Content-Type": "application/json", "If-Match": "*"}
        reply = self._transport.send(
            "POST",
            f"{self._path}/{upload}/commit",
            _document,
            body=json.dumps(document).encode(),
            headers=headers,
        )
        self._spool.note("upload", None)
        self._spool.remove(numbers)
        with self._change:
            self.commits.append(reply)
            for number in numbers:
                del self._waiting[number]
            self._sent.difference_update(numbers)
            self._upload, self._is_open, self._restarts = None, False, 0
            self._wanted = self._wanted and bool(self._waiting)
            self._change.notify_all()


def _document(reply: Any) -> Mapping[str, Any]:
    document = reply.json()
    if not isinstance(document, dict):
        raise invalid_reply("recorder: the reply is no JSON object")
    return document
