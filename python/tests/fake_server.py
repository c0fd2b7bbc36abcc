"""A socket server that misbehaves on demand: each request takes the next reply of a script."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time


class FakeServer:
    """Replies are functions of the socket that tell whether the connection is kept."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open = []
        self._released = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._released.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        try:
            while request := _read_request(stream):
                self.requests.append(request)
                # the last reply of the script stands for all that follow
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not reply(connection, self._released):
                    return
        except OSError:
            pass
        finally:
            stream.close()
            connection.close()


def _read_request(stream):
    line = stream.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers = {}
    while (header := stream.readline().decode().strip()) != "":
        key, value = header.split(": ", 1)
        headers[key.lower()] = value
    body = stream.read(int(headers.get("content-length", 0)))
    return {"method": method, "path": path, "headers": headers, "body": body}


def head(status, headers):
    lines = [f"HTTP/1.1 {status} Status", *(f"{key}: {value}" for key, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ok(body, status=200, **headers):
    named = {key.replace("_", "-"): value for key, value in headers.items()}

    def reply(connection, _):
        connection.sendall(head(status, {"Content-Length": len(body), **named}) + body)
        return True

    return reply


def ok_json(document, **headers):
    return ok(json.dumps(document).encode(), Content_Type="application/json", **headers)


def problem(status, code, *, retryable, **headers):
    document = {"code": code, "detail": f"test: {code}", "retryable": retryable, "got": 3}
    body = json.dumps(document).encode()
    return ok(body, status, Content_Type="application/problem+json; charset=utf-8", **headers)


def pieces(head, body, at=None):
    """A head as it is given, in two pieces where `at` says where it is cut."""

    def reply(connection, _):
        if at is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(head[:at])
            time.sleep(0.01)
        connection.sendall((head if at is None else head[at:]) + body)
        return True

    return reply


def broken_off(body, length):
    """Announces the whole body and closes the connection cleanly after `length` bytes of it."""

    def reply(connection, _):
        connection.sendall(head(200, {"Content-Length": len(body)}) + body[:length])
        return False

    return reply


def reset(body=b"", length=0):
    """Sends a part, if any, and resets the connection."""

    def reply(connection, _):
        if body:
            connection.sendall(head(200, {"Content-Length": len(body)}) + body[:length])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return reply


def cut_header(connection, _):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    return False


def stalled(body, length):
    """Sends a part and then nothing, with the connection open."""

    def reply(connection, released):
        connection.sendall(head(200, {"Content-Length": len(body)}) + body[:length])
        released.wait(10)
        return False

    return reply


def chunked(body, *, whole=True):
    def reply(connection, _):
        connection.sendall(head(200, {"Transfer-Encoding": "chunked"}))
        middle = len(body) // 2
        parts = [body[:middle], body[middle:]] if whole else [body[:middle]]
        for part in parts:
            connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if whole:
            connection.sendall(b"0\r\n\r\n")
        return whole

    return reply


def unbounded(body):
    """Neither a length nor chunks: the end of the connection is the end of the reply."""

    def reply(connection, _):
        connection.sendall(head(200, {}) + body)
        return False

    return reply
