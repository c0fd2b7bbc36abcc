"""Several addresses of one server, and digests of replies."""

import base64
import hashlib
import threading

import pytest
import wire
from fake_server import FakeServer, ok, problem, reset

from logitcask import Client, LogitcaskError, TruncatedReply, _http

BODY = wire.step_reply()


@pytest.fixture(autouse=True)
def delays(monkeypatch):
    """Makes waiting instant and records it; the first address is the one that is taken."""
    waited = []
    monkeypatch.setattr(_http.time, "sleep", waited.append)
    monkeypatch.setattr(_http.random, "randrange", lambda _: 0)
    return waited


def steps(client, count=1):
    for _ in range(count):
        assert client.step(wire.PLAN, 0, 0).rows == 3


@pytest.mark.parametrize(
    "fault",
    [reset(), problem(503, "shutting-down", retryable=True), ok(b"", 500),
     problem(500, "shard-damaged", retryable=False), ok(b"", 502)],
    ids=["reset", "shutting down", "500", "damaged shard", "502"],
)  # fmt: skip
def test_a_failing_replica_is_left_at_once_and_for_good(fault, delays):
    with FakeServer(fault) as bad, FakeServer(ok(BODY)) as good:
        with Client([bad.url, good.url]) as client:
            steps(client, 3)
        assert (len(bad.requests), len(good.requests), delays) == (1, 3, [])


def test_a_replica_that_is_gone_is_left():
    with FakeServer(ok(BODY)) as gone:
        pass
    with FakeServer(ok(BODY)) as good, Client([gone.url, good.url]) as client:
        steps(client, 2)
        assert len(good.requests) == 2


def test_what_cannot_be_sent_counts_as_a_try_and_the_next_goes_elsewhere(delays):
    with FakeServer(ok(BODY)) as gone:
        pass
    with FakeServer(ok(BODY)) as good, Client([gone.url, good.url], attempts=2) as client:
        first, second = (client._steps(wire.PLAN)(0, 0) for _ in range(2))
        assert (first.under_way, second.under_way) == (False, True)
        assert first.finish().rows == second.finish().rows == 3
        assert delays == []


def test_what_is_given_up_is_asked_for_again_elsewhere(delays):
    with FakeServer(reset()) as bad, FakeServer(ok(BODY)) as good:
        with Client([bad.url, good.url]) as client:
            first, second = (client._steps(wire.PLAN)(0, 0) for _ in range(2))
            assert first.finish(before_retry=second.abandon).rows == 3
            assert not second.under_way and second.finish().rows == 3
        while len(bad.requests) < 2:  # what was given up is still on its way there
            threading.Event().wait(0.01)
        assert (len(bad.requests), len(good.requests), delays) == (2, 2, [])


def test_all_replicas_are_asked_before_waiting_and_again_after(delays):
    busy = problem(503, "shutting-down", retryable=True)
    with FakeServer(busy, busy, ok(BODY)) as a, FakeServer(busy) as b, FakeServer(busy) as c:
        with Client([a.url, b.url, c.url]) as client:
            steps(client)
        assert (len(a.requests), len(b.requests), len(c.requests)) == (3, 2, 2)
        assert len(delays) == 2


def test_attempts_are_those_of_all_replicas_together():
    with FakeServer(reset()) as a, FakeServer(reset()) as b:
        with Client([a.url, b.url], attempts=5) as client:
            with pytest.raises(LogitcaskError, match="server-unreachable"):
                steps(client)
        assert len(a.requests) + len(b.requests) == 5


@pytest.mark.parametrize(
    ("status", "code"), [(404, "plan-not-found"), (409, "conflict"), (429, "too-many-requests")]
)
def test_what_another_replica_would_say_too_is_not_asked_there(status, code):
    with FakeServer(problem(status, code, retryable=False)) as a, FakeServer(ok(BODY)) as b:
        with Client([a.url, b.url], attempts=2) as client:
            with pytest.raises(LogitcaskError, match=code):
                steps(client)
        assert len(b.requests) == 0


def test_a_lasting_5xx_is_raised_after_every_replica_was_asked(delays):
    bad = problem(500, "shard-damaged", retryable=False)
    with FakeServer(bad) as a, FakeServer(bad) as b, Client([a.url, b.url]) as client:
        with pytest.raises(LogitcaskError, match="shard-damaged"):
            steps(client)
        assert (len(a.requests), len(b.requests), delays) == (1, 1, [])


def test_a_connection_that_was_ended_while_idle_is_opened_again_without_a_word(delays):
    def once(connection, released):
        ok(BODY)(connection, released)
        return False  # the connection ends behind the reply, as it does after a timeout

    with FakeServer(once) as server, Client(server.url, attempts=1) as client:
        steps(client, 3)
        assert (server.connections, delays) == (3, [])


def test_ranks_spread_over_replicas(monkeypatch):
    monkeypatch.undo()
    with FakeServer(ok(BODY)) as a, FakeServer(ok(BODY)) as b:
        for _ in range(40):
            with Client([a.url, b.url]) as client:
                steps(client)
        assert len(a.requests) > 0 and len(b.requests) > 0


def test_an_address_is_needed():
    with pytest.raises(LogitcaskError, match="request-invalid"):
        Client([])


def digest_of(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def flipped():
    """A bit of a token: Arrow, metadata and frames are all as they should be."""
    at = BODY.index(b"\5\0\0\0\6\0\0\0\7\0\0\0")
    return BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]


def test_a_digest_is_asked_for_and_checked():
    good, damaged = (ok(body, Repr_Digest=digest_of(BODY)) for body in (BODY, flipped()))
    with FakeServer(damaged, good) as server, Client(server.url, verify=True) as client:
        steps(client)
        assert [one["headers"]["want-repr-digest"] for one in server.requests] == 2 * ["sha-256=1"]
    with FakeServer(damaged) as server, Client(server.url, attempts=2) as client:
        with pytest.raises(TruncatedReply, match="damaged on the way"):
            steps(client)
        assert "want-repr-digest" not in server.requests[0]["headers"]


def test_a_reply_without_the_digest_that_was_asked_for_is_refused():
    with FakeServer(ok(BODY)) as server, Client(server.url, verify=True) as client:
        with pytest.raises(LogitcaskError, match="reply-invalid"):
            steps(client)
    with FakeServer(ok(BODY)) as server, Client(server.url) as client:
        steps(client)
