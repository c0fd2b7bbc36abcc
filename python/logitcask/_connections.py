"""Requests sent on kept connections to one address, and their replies."""

from __future__ import annotations

import http.client
import re
import socket
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ._receive import Received, receive
from .errors import LogitcaskError

TARGET = re.compile(r"[!-~]+")
VALUES = re.compile(r"[ -~]*")


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


class Begun(NamedTuple):
    """A request that is sent."""

    sock: socket.socket
    #: Whether the connection was idle before: the server may have ended it.
    kept: bool

    def end(self) -> None:
        """Also where a forked child has the socket too."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class Server:
    """One address, and the connections to it that are idle."""

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise LogitcaskError("request-invalid", 400, f"http: {url} is not an http(s) address")
        self.url = url.rstrip("/")
        self.idle: list[socket.socket] = []
        self._prefix = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        named = parts.netloc.rpartition("@")[2]
        self._named = named if named.isascii() else named.encode("idna").decode()
        secure = parts.scheme == "https"
        self._connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._timeout_s = timeout_s

    def __getstate__(self) -> dict[str, Any]:
        """Connections stay behind: another process opens its own."""
        return {**self.__dict__, "idle": []}

    def begin(self, request: Request) -> Begun:
        """Sends it, on an idle connection where one still takes it."""
        head = self._head(request)
        while self.idle:
            try:
                sock = self.idle.pop()
            except IndexError:  # another thread was faster
                break
            try:
                _send(sock, head, request.body)
                return Begun(sock, kept=True)
            except ConnectionError:
                pass  # closed: the server ended it while it was idle, which is no failure
        connection = self._connection(self._host, self._port, timeout=self._timeout_s)
        connection.connect()
        _send(connection.sock, head, request.body)
        return Begun(connection.sock, kept=False)

    def finish(self, request: Request, begun: Begun) -> Received:
        """The reply; the request is sent again where an idle connection had ended."""
        while True:
            sock, kept = begun
            try:
                received = receive(sock)
            except (ConnectionError, http.client.BadStatusLine):
                sock.close()
                if not kept:
                    raise
            except BaseException:
                sock.close()
                raise
            else:
                if received.kept:
                    self.idle.append(sock)
                else:
                    sock.close()
                return received
            begun = self.begin(request)

    def _head(self, request: Request) -> bytes:
        method, path, headers, body = request
        target, named = self._prefix + path, {"Host": self._named, **headers}
        if body is not None:
            named["Content-Length"] = str(len(body))
        if not (TARGET.fullmatch(target) and VALUES.fullmatch("".join(named.values()))):
            detail = "http: the address or the token has characters that no request may have"
            raise LogitcaskError("request-invalid", 400, detail)
        fields = "".join([f"{name}: {text}\r\n" for name, text in named.items()])
        return f"{method} {target} HTTP/1.1\r\n{fields}\r\n".encode("ascii")


def _send(sock: socket.socket, head: bytes, body: bytes | None) -> None:
    try:
        sock.sendall(head)
        if body:
            sock.sendall(body)
    except BaseException:
        sock.close()
        raise
