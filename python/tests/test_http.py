"""Replies that break off, stall, lie or refuse: retried where it helps, never half accepted."""

import os
import threading

import numpy as np
import pytest
import wire
from fake_server import (
    FakeServer,
    broken_off,
    chunked,
    cut_header,
    ok,
    problem,
    reset,
    stalled,
    unbounded,
)

from logitcask import Client, LogitcaskError, TruncatedReply, _http

BODY = wire.step_reply()


@pytest.fixture(autouse=True)
def delays(monkeypatch):
    """Makes waiting instant and records it."""
    waited = []
    monkeypatch.setattr(_http.time, "sleep", waited.append)
    return waited


def step(server, **options):
    with Client(server.url, timeout=0.3, **options) as client:
        return client.step(wire.PLAN, 0, 0)


def failure(server, **options):
    with pytest.raises(LogitcaskError) as caught:
        step(server, attempts=3, **options)
    return caught.value


def test_a_step_is_asked_for_by_its_address():
    with FakeServer(ok(BODY)) as server:
        with Client(server.url + "/behind/", token="secret") as client:
            client.step(wire.PLAN, 0, 0, layout="frames", k=None)
    (request,) = server.requests
    assert (
        request["path"]
        == f"/behind/v1/plans/{wire.PLAN}/epochs/0/steps/0?rank=0&world=1&layout=frames"
    )
    assert request["headers"]["authorization"] == "Bearer secret"
    assert request["headers"]["accept"] == "application/vnd.apache.arrow.stream"
    assert request["headers"]["accept-encoding"] == "identity"


def test_one_connection_serves_many_requests():
    with FakeServer(ok(BODY)) as server, Client(server.url) as client:
        for _ in range(5):
            client.step(wire.PLAN, 0, 0)
        assert server.connections == 1


def test_threads_do_not_share_a_connection_at_the_same_time():
    with FakeServer(ok(BODY)) as server, Client(server.url) as client:
        failures = []

        def work():
            try:
                for _ in range(20):
                    assert client.step(wire.PLAN, 0, 0).rows == 3
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == [] and server.connections <= 4


def test_a_forked_process_opens_its_own_connection(monkeypatch):
    with FakeServer(ok(BODY)) as server, Client(server.url) as client:
        client.step(wire.PLAN, 0, 0)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        client.step(wire.PLAN, 0, 0)
        assert server.connections == 2


FAULTS = {
    "clean early end": broken_off(BODY, len(BODY) // 2),
    "no body": broken_off(BODY, 0),
    "last byte missing": broken_off(BODY, len(BODY) - 1),
    "reset at once": reset(),
    "reset in the body": reset(BODY, 1000),
    "stall in the body": stalled(BODY, 1000),
    "cut header": cut_header,
    "chunks cut": chunked(BODY, whole=False),
    "Arrow cut at a message": ok(wire.stream(wire.frames_columns(), count=0)),
    "busy": problem(429, "too-many-requests", retryable=True),
    "timeout": problem(408, "request-timeout", retryable=True),
    "shutting down": problem(503, "shutting-down", retryable=True),
    "store full": problem(507, "store-full", retryable=True),
    "too early": ok(b"", 425),
    "proxy without server": ok(b"<html>bad gateway</html>", 502, Content_Type="text/html"),
}


@pytest.mark.usefixtures("each_reader")
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_passing_fault_a_retry_gives_the_same_batch(fault):
    with FakeServer(ok(BODY)) as server:
        expected = step(server)
    with FakeServer(FAULTS[fault], FAULTS[fault], ok(BODY)) as server:
        got = step(server)
        assert len(server.requests) == 3
    assert got.arrays.keys() == expected.arrays.keys()
    for name, array in got.arrays.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.usefixtures("each_reader")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_is_raised_after_a_bounded_number_of_attempts(fault, delays):
    with FakeServer(FAULTS[fault]) as server:
        error = failure(server)
        assert error.retryable and len(delays) == 2
        assert len(server.requests) == 3


@pytest.mark.usefixtures("each_reader")
@pytest.mark.parametrize(
    "fault",
    ["clean early end", "no body", "last byte missing", "reset in the body", "stall in the body",
     "chunks cut", "Arrow cut at a message"],
)  # fmt: skip
def test_a_reply_that_stays_short_is_a_truncated_reply(fault):
    with FakeServer(FAULTS[fault]) as server:
        error = failure(server)
    assert isinstance(error, TruncatedReply) and error.code == "reply-truncated"


def test_a_closed_port_is_an_unreachable_server():
    server = FakeServer(ok(BODY))
    with server:
        pass
    error = failure(server)
    assert (error.code, error.status) == ("server-unreachable", 503)


def test_a_frame_damaged_on_the_way_is_fetched_again():
    frames = wire.frames()
    frames[0] = frames[0][:-1] + bytes([frames[0][-1] ^ 8])
    damaged = ok(wire.stream(wire.frames_columns(frames)))
    with FakeServer(damaged, ok(BODY)) as server:
        assert step(server).rows == 3
    with FakeServer(damaged) as server:
        assert failure(server).code == "frame-damaged"
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "request-invalid"),
        (401, "unauthorized"),
        (404, "plan-not-found"),
        (406, "not-acceptable"),
        (409, "conflict"),
        (422, "rank-out-of-range"),
        (500, "frame-damaged"),
    ],
)
def test_a_refusal_is_raised_at_once_with_the_servers_words(status, code):
    with FakeServer(problem(status, code, retryable=False)) as server:
        error = failure(server)
        assert len(server.requests) == 1
    assert (error.code, error.status, error.retryable) == (code, status, False)
    assert (error.detail, error.got) == (f"test: {code}", 3)
    assert str(error) == f"{code}: test: {code} (expected None, got 3)"


def test_a_conflict_that_may_pass_is_left_to_the_caller():
    with FakeServer(problem(409, "build-running", retryable=True)) as server:
        assert failure(server).retryable
        assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"no json", b'{"code":1}'])
def test_a_malformed_problem_is_still_an_error(body):
    with FakeServer(ok(body, 404, Content_Type="application/problem+json")) as server:
        error = failure(server)
    assert (error.code, error.status) == ("reply-invalid", 404)


@pytest.mark.parametrize("status", [204, 301, 304, 500])
def test_unexplained_statuses_are_refused(status):
    with FakeServer(ok(b"", status)) as server:
        assert failure(server).status == status
        assert len(server.requests) == 1


def test_waits_grow_with_jitter_and_honour_the_server(delays, monkeypatch):
    monkeypatch.setattr(_http.random, "uniform", lambda low, high: low + high / 2)
    busy = problem(503, "shutting-down", retryable=True)
    later = problem(429, "too-many-requests", retryable=True, Retry_After="7")
    forever = problem(429, "too-many-requests", retryable=True, Retry_After="99999")
    with FakeServer(busy, busy, later, forever, busy, busy, busy, ok(BODY)) as server:
        step(server)
    assert delays == [0.05, 0.1, 7.2, 60.4, 0.8, 1.6, 2.5]


def test_whole_chunked_replies_are_read():
    with FakeServer(chunked(BODY)) as server:
        assert step(server).rows == 3


def test_a_reply_without_a_length_is_refused():
    with FakeServer(unbounded(BODY)) as server:
        assert failure(server).code == "reply-truncated"


def test_what_no_request_may_hold_is_not_sent():
    with FakeServer(ok(BODY)) as server:
        for url, token in [(server.url, "a\r\nX-Other: b"), (f"{server.url}/a b", None)]:
            with Client(url, token=token) as client:
                with pytest.raises(LogitcaskError, match="request-invalid"):
                    client.step(wire.PLAN, 0, 0)
        assert server.requests == []


def test_an_encoded_reply_is_refused_by_name():
    with FakeServer(ok(BODY, Content_Encoding="gzip")) as server:
        error = failure(server)
    assert (error.code, error.got) == ("reply-invalid", "gzip")


def test_an_absurd_length_is_refused_before_memory_is_taken():
    with FakeServer(ok(b"", Content_Length=str(1 << 40))) as server:
        assert failure(server).code == "reply-invalid"


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://host", "http://"])
def test_an_address_must_be_http(url):
    with pytest.raises(LogitcaskError, match="request-invalid"):
        Client(url)
