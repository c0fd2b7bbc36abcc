"""Replies: ordinary ones in few calls, into memory that is used again; others by http.client.

http.client reads heads with the parser of e-mail, which takes a third as long as a batch's body.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple

import numpy as np

from ._memory import take
from .errors import TruncatedReply, invalid_reply

REPLY_BYTES_MAX = 1 << 32
#: Longer heads are left to http.client.
HEAD_BYTES_MAX = 8192
#: What the system is asked to fill; less comes in a call or two.
LONG = 64 * 1024
#: The whole head of a reply that has a body, every line of it as RFC 9110 has them.
HEAD = re.compile(
    rb"HTTP/1\.1 (20[01]) [\t -~]*\r\n((?:[0-9A-Za-z!#$%&'*+.^_`|~-]+:[\t -~]*\r\n)+)\r\n"
)
LENGTH = re.compile(r"[0-9]{1,15}")


class Received(NamedTuple):
    status: int
    #: By names in lower case.
    headers: Mapping[str, str]
    #: The whole body.
    body: np.ndarray
    #: Whether the connection takes another request.
    kept: bool


def words(error: Exception) -> str:
    return str(error) or type(error).__name__


def receive(sock: socket.socket) -> Received:
    """The reply to anything but HEAD; OSError and HTTPException say that no head came."""
    if os.name == "posix" and type(sock) is socket.socket:
        received = _receive_ordinary(sock)
        if received is not None:
            return received
    with HTTPResponse(sock) as response:
        response.begin()
        headers = {name.lower(): text for name, text in reversed(response.headers.items())}
        body = _read_body(response)
        return Received(response.status, headers, body, not response.will_close)


def _receive_ordinary(sock: socket.socket) -> Received | None:
    """None, with all of it still to be read, where anything about the head is special."""
    seen = sock.recv(HEAD_BYTES_MAX, socket.MSG_PEEK)
    found = HEAD.match(seen)
    if found is None:
        return None
    lines = found[2].decode().splitlines()
    fields = [line.split(":", 1) for line in lines]
    headers = {name.lower(): text.strip() for name, text in fields}
    length = LENGTH.fullmatch(headers.get("content-length", ""))
    kept = headers.get("connection", "keep-alive").lower() == "keep-alive"
    coded = "transfer-encoding" in headers or "content-encoding" in headers
    if length is None or coded or len(headers) < len(lines):
        return None
    sock.recv(found.end())
    body = _take(int(length[0]))
    _fill(body, partial(_receive_some, sock))
    answers_nothing = len(seen) > found.end() + len(body)  # what lies behind it
    return Received(int(found[1]), headers, body, kept and not answers_nothing)


def _read_body(response: HTTPResponse) -> np.ndarray:
    encoding = response.getheader("Content-Encoding", "identity")
    if encoding != "identity":
        raise invalid_reply("http: something on the way encodes replies", got=encoding)
    if response.chunked:
        try:
            return np.frombuffer(bytearray(response.read()), np.uint8)
        except (OSError, HTTPException) as error:
            raise TruncatedReply(f"http: the reply broke off ({words(error)})") from error
    if response.length is None:  # http.client takes a header that breaks off as a whole one
        raise TruncatedReply("http: the reply announces no length, or its header broke off")
    body = _take(response.length)
    _fill(body, response.fp.readinto1)
    return body


def _take(length: int) -> np.ndarray:
    if length > REPLY_BYTES_MAX:
        raise invalid_reply("http: the reply is too long", expected=REPLY_BYTES_MAX, got=length)
    return take(length)


def _fill(body: np.ndarray, more: Callable[[memoryview], int]) -> None:
    """By `more`, which fills as much of a view as comes; what is announced must come."""
    view, at, expected = memoryview(body), 0, f"{len(body)} bytes"
    while at < len(body):
        try:
            count = more(view[at:])
        except (OSError, HTTPException) as error:
            detail = f"http: the reply broke off ({words(error)})"
            raise TruncatedReply(detail, expected=expected, got=at) from error
        if count == 0:
            raise TruncatedReply("http: the reply ended early", expected=expected, got=at)
        at += count


def _receive_some(sock: socket.socket, view: memoryview) -> int:
    """The system fills a long view: piece by piece the interpreter's lock is taken each time.

    Python's own timeout asks for each piece that has arrived; the system's also sees none, but
    begins again where a signal comes.
    """
    if len(view) < LONG:
        return sock.recv_into(view)
    timeout_s = sock.gettimeout()
    micros = 0 if timeout_s is None else max(1, round(timeout_s * 1_000_000))
    timeout = struct.pack("ll", *divmod(micros, 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    sock.settimeout(None)
    try:
        return sock.recv_into(view, 0, socket.MSG_WAITALL)
    except BlockingIOError as error:
        raise TimeoutError("timed out") from error
    finally:
        sock.settimeout(timeout_s)
