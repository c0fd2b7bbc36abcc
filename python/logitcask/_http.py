"""HTTP/1.1 over http.client: kept connections, one buffer a reply, bounded retries.

A third of the code of a general client and five to ten times less CPU per megabyte; the price is
no proxies, redirects or content encodings, which are refused by name.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import numpy as np

from .errors import LogitcaskError, TruncatedReply, invalid_reply

T = TypeVar("T")

REPLY_BYTES_MAX = 1 << 32
DELAY_FIRST_S = 0.1
DELAY_MAX_S = 5.0
RETRY_AFTER_MAX_S = 60.0

#: Worth another try whatever the body says, also where a proxy answers in the server's place.
RETRIED = (408, 425, 429, 502, 503, 504)


class Reply(NamedTuple):
    headers: http.client.HTTPMessage
    #: uint8, writable, not shared with any other reply.
    body: np.ndarray

    def json(self) -> Any:
        try:
            return json.loads(self.body.tobytes())
        except ValueError as error:
            raise invalid_reply(f"http: the reply is not JSON ({error})") from error


class Transport:
    """Connections to one server, shared by threads; a forked child opens its own."""

    def __init__(self, url: str, *, token: str | None, timeout_s: float, attempts: int) -> None:
        self._idle: list[http.client.HTTPConnection] = []
        self._pid = os.getpid()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise LogitcaskError("request-invalid", 400, f"http: {url} is not an http(s) address")
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        secure = parts.scheme == "https"
        self._open = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "logitcask-python"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def __del__(self) -> None:
        self.close()

    def get(self, path: str, parse: Callable[[Reply], T], *, accept: str = "application/json") -> T:
        return self._fetch("GET", path, parse, headers={"Accept": accept}, body=None)

    def post(self, path: str, document: object, parse: Callable[[Reply], T]) -> T:
        """Idempotent posts only: they are retried like reads."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = json.dumps(document).encode()
        return self._fetch("POST", path, parse, headers=headers, body=body)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _fetch(
        self,
        method: str,
        path: str,
        parse: Callable[[Reply], T],
        *,
        headers: dict[str, str],
        body: bytes | None,
    ) -> T:
        for attempt in range(1, self._attempts + 1):
            try:
                return parse(self._once(method, self._prefix + path, headers, body))
            except LogitcaskError as error:
                retried = error.status in RETRIED or error.status >= 500
                if not (error.retryable and retried) or attempt == self._attempts:
                    raise
                time.sleep(_delay_s(attempt, error))
        raise AssertionError("attempts is at least 1")

    def _once(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Reply:
        connection = self._take()
        try:
            with self._answer(connection, method, path, headers, body) as response:
                data = _read(response)
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        if response.status not in (200, 201):
            raise _problem(response, data)
        return Reply(response.headers, data)

    def _take(self) -> http.client.HTTPConnection:
        if self._pid != os.getpid():  # sockets of the parent process: not ours to speak on
            self.close()
            self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open(self._host, self._port, timeout=self._timeout_s)

    def _answer(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, path, body=body, headers={**self._headers, **headers})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            detail = f"http: no answer from {self.url} ({_words(error)}), is the server running?"
            raise LogitcaskError("server-unreachable", 503, detail, True) from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _read(response: http.client.HTTPResponse) -> np.ndarray:
    """The whole body, exactly as long as announced."""
    encoding = response.getheader("Content-Encoding", "identity")
    if encoding != "identity":
        raise invalid_reply("http: something on the way encodes replies", got=encoding)
    length = response.length
    if response.chunked:
        try:
            return np.frombuffer(bytearray(response.read()), np.uint8)
        except (OSError, http.client.HTTPException) as error:
            raise TruncatedReply(f"http: the reply broke off ({_words(error)})") from error
    if length is None:  # http.client takes a header that breaks off as a whole one
        raise TruncatedReply("http: the reply announces no length, or its header broke off")
    if length > REPLY_BYTES_MAX:
        raise invalid_reply("http: the reply is too long", expected=REPLY_BYTES_MAX, got=length)
    body = np.empty(length, np.uint8)
    view, at = memoryview(body), 0
    while at < length:
        try:
            count = response.readinto(view[at:])
        except (OSError, http.client.HTTPException) as error:
            detail = f"http: the reply broke off ({_words(error)})"
            raise TruncatedReply(detail, expected=f"{length} bytes", got=at) from error
        if count == 0:
            raise TruncatedReply("http: the reply ended early", expected=f"{length} bytes", got=at)
        at += count
    return body


def _problem(response: http.client.HTTPResponse, body: np.ndarray) -> LogitcaskError:
    status = response.status
    error = LogitcaskError(
        "reply-invalid", status, f"http: status {status} without an explanation", status in RETRIED
    )
    if response.getheader("Content-Type", "").startswith("application/problem+json"):
        try:
            problem = json.loads(body.tobytes())
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
    error.retry_after_s = _seconds(response.getheader("Retry-After"))
    return error


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isascii() and text.isdigit() else 0.0


def _delay_s(attempt: int, error: LogitcaskError) -> float:
    """Full jitter, so that the ranks of a job that fail together do not come back together."""
    longest = min(DELAY_MAX_S, DELAY_FIRST_S * 2 ** (attempt - 1))
    return min(RETRY_AFTER_MAX_S, error.retry_after_s) + random.uniform(0, longest)
