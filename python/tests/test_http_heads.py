"""Heads of replies: ordinary ones are read straight from the socket, others by http.client."""

import pytest
import wire
from fake_server import FakeServer, pieces

from logitcask import Client

BODY = wire.step_reply()

HEADS = {
    "ordinary": b"HTTP/1.1 200 OK\r\ncontent-length:%d\r\nConnection: keep-alive\r\n\r\n",
    "no reason": b"HTTP/1.1 200 \r\nContent-Length: %d  \r\nX-Empty:\r\n\r\n",
    "twice the same name": b"HTTP/1.1 200 OK\r\nVary: A\r\nContent-Length: %d\r\nVary: B\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nVary: A,\r\n B\r\nContent-Length: %d\r\n\r\n",
    "other letters": b"HTTP/1.1 200 OK\r\nServer: \xe9\r\nContent-Length: %d\r\n\r\n",
    "long": b"HTTP/1.1 200 OK\r\nServer: " + 9000 * b"a" + b"\r\nContent-Length: %d\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
    "ending": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("at", [None, 7, 40, -2])
def test_heads_of_all_kinds_and_in_pieces_are_read(name, at):
    head = HEADS[name] % len(BODY)
    with FakeServer(pieces(head, BODY, at)) as server, Client(server.url) as client:
        for _ in range(3):
            assert client.step(wire.PLAN, 0, 0).rows == 3
        assert server.connections == (3 if name in ("ending", "old") else 1)


@pytest.mark.parametrize("surplus", [b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"])
@pytest.mark.usefixtures("each_reader")
def test_what_lies_behind_a_reply_is_not_taken_for_the_next(surplus):
    def bodies(client):
        return [client._http.get("/", lambda reply: bytes(reply.body)) for _ in range(2)]

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    with FakeServer(pieces(head, b"{}" + surplus), pieces(head, b"[]")) as server:
        with Client(server.url, attempts=1) as client:
            assert bodies(client) == [b"{}", b"[]"]


def test_a_length_beside_chunks_is_not_believed():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
    with FakeServer(pieces(head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))) as server:
        with Client(server.url) as client:
            assert client.step(wire.PLAN, 0, 0).rows == 3


@pytest.mark.usefixtures("each_reader")
def test_headers_are_known_by_the_first_of_each_name():
    lines = b"HTTP/1.1 201 Created\r\nX-One: 1\r\nx-two: a b\r\nContent-Length: 2\r\n"
    for more in (b"", b"x-one: 3\r\n"):
        with FakeServer(pieces(lines + more + b"\r\n", b"{}")) as server:
            with Client(server.url) as client:
                headers = client._http.get("/", lambda reply: reply.headers)
        assert headers == {"x-one": "1", "x-two": "a b", "content-length": "2"}
