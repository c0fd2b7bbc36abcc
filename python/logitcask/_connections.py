"""Requests sent on kept connections to one address, and the heads of their replies."""

from __future__ import annotations

import http.client
import socket
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .errors import LogitcaskError


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


class Begun(NamedTuple):
    """A request that is sent."""

    connection: http.client.HTTPConnection
    #: Whether it was idle before: the server may have ended it.
    kept: bool

    def end(self) -> None:
        """Also where a forked child has the socket too."""
        if self.connection.sock is not None:
            with suppress(OSError):
                self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class Server:
    """One address, and the connections to it that are idle."""

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise LogitcaskError("request-invalid", 400, f"http: {url} is not an http(s) address")
        self.url = url.rstrip("/")
        self.idle: list[http.client.HTTPConnection] = []
        self._prefix = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        secure = parts.scheme == "https"
        self._connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._timeout_s = timeout_s

    def __getstate__(self) -> dict[str, Any]:
        """Connections stay behind: another process opens its own."""
        return {**self.__dict__, "idle": []}

    def begin(self, request: Request) -> Begun:
        """Sends it, on an idle connection where one still takes it."""
        while self.idle:
            try:
                connection = self.idle.pop()
            except IndexError:  # another thread was faster
                break
            try:
                self._send(connection, request)
                return Begun(connection, kept=True)
            except ConnectionError:
                pass  # closed: the server ended it while it was idle, which is no failure
        connection = self._connection(self._host, self._port, timeout=self._timeout_s)
        self._send(connection, request)
        return Begun(connection, kept=False)

    def answer(
        self, request: Request, begun: Begun
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The head of the reply; the request is sent again where an idle connection had ended."""
        while True:
            connection, kept = begun
            try:
                return connection, connection.getresponse()
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
                if not kept:
                    raise
            except BaseException:
                connection.close()
                raise
            begun = self.begin(request)

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> None:
        method, path, headers, body = request
        try:
            connection.request(method, self._prefix + path, body=body, headers=headers)
        except BaseException:
            connection.close()
            raise
