"""The body of a reply: in few calls, into memory that is used again."""

from __future__ import annotations

import http.client
import os
import socket
import struct

import numpy as np

from ._memory import take
from .errors import TruncatedReply, invalid_reply

REPLY_BYTES_MAX = 1 << 32


def words(error: Exception) -> str:
    return str(error) or type(error).__name__


def read_body(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection
) -> np.ndarray:
    """The whole body, exactly as long as announced."""
    encoding = response.getheader("Content-Encoding", "identity")
    if encoding != "identity":
        raise invalid_reply("http: something on the way encodes replies", got=encoding)
    length = response.length
    if response.chunked:
        try:
            return np.frombuffer(bytearray(response.read()), np.uint8)
        except (OSError, http.client.HTTPException) as error:
            raise TruncatedReply(f"http: the reply broke off ({words(error)})") from error
    if length is None:  # http.client takes a header that breaks off as a whole one
        raise TruncatedReply("http: the reply announces no length, or its header broke off")
    if length > REPLY_BYTES_MAX:
        raise invalid_reply("http: the reply is too long", expected=REPLY_BYTES_MAX, got=length)
    body = take(length)
    view, at = memoryview(body), 0
    while at < length:
        try:
            count = _receive(response, connection, view[at:])
        except (OSError, http.client.HTTPException) as error:
            detail = f"http: the reply broke off ({words(error)})"
            raise TruncatedReply(detail, expected=f"{length} bytes", got=at) from error
        if count == 0:
            raise TruncatedReply("http: the reply ended early", expected=f"{length} bytes", got=at)
        at += count
    return body


def _receive(
    response: http.client.HTTPResponse, connection: http.client.HTTPConnection, view: memoryview
) -> int:
    """Fills as much of a body as comes."""
    held = len(view) < response.length  # nothing behind the first piece is in a buffer
    if held and os.name == "posix" and type(connection.sock) is socket.socket:
        return _receive_all(connection.sock, view)
    return response.fp.readinto1(view)


def _receive_all(sock: socket.socket, view: memoryview) -> int:
    """The system fills the view: piece by piece the interpreter's lock is taken each time.

    Python's own timeout asks for each piece that has arrived; the system's also sees none.
    """
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
