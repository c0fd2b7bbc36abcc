"""HTTP/1.1: kept connections, one buffer a reply, bounded retries, replicas.

A third of the code of a general client and five to ten times less CPU per megabyte; the price is
no proxies, redirects or content encodings, which are refused by name.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ._connections import Begun, Request, Server
from ._receive import Received, words
from .errors import LogitcaskError, TruncatedReply, invalid_reply

T = TypeVar("T")

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"

DELAY_FIRST_S = 0.1
DELAY_MAX_S = 5.0
RETRY_AFTER_MAX_S = 60.0

#: Worth another try whatever the body says, also where a proxy answers in the server's place.
RETRIED = (408, 425, 429, 502, 503, 504)


class Reply(NamedTuple):
    #: By names in lower case.
    headers: Mapping[str, str]
    #: uint8, writable, not shared with any other reply.
    body: np.ndarray

    def json(self) -> Any:
        try:
            return json.loads(self.body.tobytes())
        except ValueError as error:
            raise invalid_reply(f"http: the reply is not JSON ({error})") from error


class Sent(NamedTuple):
    """The number of a server, and what was sent to it, or why it could not be."""

    at: int
    begun: Begun | None
    error: LogitcaskError | None = None


class Pending(Generic[T]):
    """A request on its way; others may be sent before its reply is read."""

    def __init__(self, transport: Transport, request: Request, parse: Callable[[Reply], T]) -> None:
        self._transport, self._request, self._parse = transport, request, parse
        self._sent = transport.send_first(request)

    @property
    def under_way(self) -> bool:
        return self._sent is not None and self._sent.begun is not None

    def finish(self, before_retry: Callable[[], None] = lambda: None) -> T:
        """What the reply says; a failure is tried again here, after `before_retry`."""
        sent, self._sent = self._sent, None
        return self._transport.fetch(self._request, self._parse, sent, before_retry)

    def abandon(self) -> None:
        """Gives up the reply; ``finish`` would ask again."""
        sent, self._sent = self._sent, None
        if sent is not None and sent.begun is not None:
            sent.begun.end()


class Transport:
    """Connections to the replicas of one server, shared by threads; a forked child opens its own.

    Args:
        urls: addresses of replicas. One is chosen at random, so that ranks spread over them, and
            kept until it fails.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        token: str | None,
        timeout_s: float,
        attempts: int,
    ) -> None:
        self._servers: list[Server] = []  # for __del__, should an address be wrong
        self._servers = [Server(url, timeout_s) for url in urls]
        if not self._servers:
            raise LogitcaskError("request-invalid", 400, "http: no address of a server is given")
        self._current = random.randrange(len(self._servers))
        self._pid = os.getpid()
        self._attempts = attempts
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "logitcask-python"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def __del__(self) -> None:
        self.close()

    def begin(
        self,
        path: str,
        parse: Callable[[Reply], T],
        *,
        accept: str = JSON,
        verify: bool = False,
    ) -> Pending[T]:
        """With `verify` the body's digest is asked for, and a reply without it refused."""
        wanted = {"Want-Repr-Digest": "sha-256=1"} if verify else {}
        headers = {**self._headers, "Accept": accept, **wanted}
        return Pending(self, Request("GET", path, headers), parse)

    def get(self, path: str, parse: Callable[[Reply], T], *, accept: str = JSON) -> T:
        return self.begin(path, parse, accept=accept).finish()

    def post(
        self,
        path: str,
        body: bytes,
        parse: Callable[[Reply], T],
        *,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> T:
        """Idempotent posts only: they are retried like reads."""
        headers = {"Accept": accept, "Content-Type": content_type}
        return self.send("POST", path, parse, body=body, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        parse: Callable[[Reply], T],
        *,
        body: bytes,
        headers: Mapping[str, str],
    ) -> T:
        """Idempotent requests only: they are retried like reads."""
        all_headers = {**self._headers, "Accept": JSON, **headers}
        return self.fetch(Request(method, path, all_headers, body), parse)

    def close(self) -> None:
        for server in self._servers:
            while server.idle:
                server.idle.pop().close()

    def send_first(self, request: Request) -> Sent:
        """A failure counts as the first try of ``fetch``."""
        self._leave_parent()
        at = self._current
        try:
            return Sent(at, self._servers[at].begin(request))
        except (OSError, http.client.HTTPException) as error:
            self._leave(at)
            return Sent(at, None, _unreachable(self._servers[at], error))

    def fetch(
        self,
        request: Request,
        parse: Callable[[Reply], T],
        sent: Sent | None = None,
        before_retry: Callable[[], None] = lambda: None,
    ) -> T:
        """Replicas are tried one after the other without waiting, then all again after a while."""
        if self._leave_parent():
            sent = None
        others = len(self._servers) - 1
        untried, waits = others, 0
        for attempt in range(1, self._attempts + 1):
            at, begun, error = sent or Sent(self._current, None)
            sent = None
            try:
                if error is not None:
                    raise error
                return parse(self._once(self._servers[at], request, begun))
            except LogitcaskError as error:
                of_server = error.status >= 500
                passing = error.retryable and (of_server or error.status in RETRIED)
                elsewhere = of_server and untried > 0
                if attempt == self._attempts or not (passing or elsewhere):
                    raise
                if of_server:
                    self._leave(at)
                before_retry()
                if elsewhere:
                    untried -= 1
                    continue
                untried, waits = others, waits + 1
                time.sleep(delay_s(waits, error))
        raise AssertionError("attempts is at least 1")

    def _leave(self, at: int) -> None:
        if self._current == at:  # no other request has left it already
            self._current = (at + 1) % len(self._servers)

    def _leave_parent(self) -> bool:
        """In a forked child: sockets of the parent process are not ours to speak on."""
        if self._pid == os.getpid():
            return False
        self.close()
        self._pid = os.getpid()
        return True

    def _once(self, server: Server, request: Request, begun: Begun | None) -> Reply:
        try:
            received = server.finish(request, begun or server.begin(request))
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(server, error) from error
        if received.status not in (200, 201):
            raise _problem(received)
        _check_digest(received, wanted="Want-Repr-Digest" in request.headers)
        return Reply(received.headers, received.body)


def _unreachable(server: Server, error: Exception) -> LogitcaskError:
    detail = f"http: no answer from {server.url} ({words(error)}), is the server running?"
    return LogitcaskError("server-unreachable", 503, detail, True)


def _check_digest(received: Received, *, wanted: bool) -> None:
    announced = received.headers.get("repr-digest")
    if announced is None:
        if wanted:
            detail = "http: the reply has no digest, ask a server that sends it or no verify"
            raise invalid_reply(detail, expected="Repr-Digest")
        return
    actual = f"sha-256=:{base64.b64encode(hashlib.sha256(received.body).digest()).decode()}:"
    if announced != actual:
        detail = "http: the reply was damaged on the way"
        raise TruncatedReply(detail, expected=announced, got=actual)


def _problem(received: Received) -> LogitcaskError:
    status, headers = received.status, received.headers
    error = LogitcaskError(
        "reply-invalid", status, f"http: status {status} without an explanation", status in RETRIED
    )
    if headers.get("content-type", "").startswith("application/problem+json"):
        try:
            problem = json.loads(received.body.tobytes())
            error = LogitcaskError(
                str(problem["code"]),
                status,
                str(problem["detail"]),
                bool(problem["retryable"]),
                expected=problem.get("expected"),
                got=problem.get("got"),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            error.detail = f"http: status {status} with a malformed explanation"
    error.retry_after_s = _seconds(headers.get("retry-after"))
    return error


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isascii() and text.isdigit() else 0.0


def delay_s(attempt: int, error: LogitcaskError) -> float:
    """Full jitter, so that the ranks of a job that fail together do not come back together."""
    longest = min(DELAY_MAX_S, DELAY_FIRST_S * 2 ** (attempt - 1))
    return min(RETRY_AFTER_MAX_S, error.retry_after_s) + random.uniform(0, longest)
