"""Documents and files are what their digests say, or they are refused."""

import hashlib
import json

import pytest
from fake_server import FakeServer, ok, ok_json, problem

from logitcask import Client, LogitcaskError, _http


@pytest.fixture(autouse=True)
def no_delays(monkeypatch):
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)


def manifest_reply(document, **headers):
    body = json.dumps(document).encode()
    named = {"Logitcask_Snapshot": hashlib.sha256(body).hexdigest(), **headers}
    return named["Logitcask_Snapshot"], ok(body, **named)


GOOD = {"format": "logitcask", "version": 1, "features": [], "files": []}


def test_a_manifest_must_have_the_digest_that_names_it():
    id_, reply = manifest_reply(GOOD)
    with FakeServer(reply) as server, Client(server.url) as client:
        assert client.manifest("d") == (id_, GOOD) == client.manifest("d", id_)
        assert server.requests[0]["path"] == "/v1/datasets/d/snapshots/latest"
        with pytest.raises(LogitcaskError, match="digest"):
            client.manifest("d", "00" * 32)
    _, lie = manifest_reply(GOOD, Logitcask_Snapshot="00" * 32)
    with FakeServer(lie) as server, Client(server.url) as client:
        with pytest.raises(LogitcaskError, match="digest"):
            client.manifest("d")


@pytest.mark.parametrize("change", [{"version": 2}, {"features": ["new"]}])
def test_a_manifest_of_a_later_version_is_refused(change):
    _, reply = manifest_reply({**GOOD, **change})
    with FakeServer(reply) as server, Client(server.url) as client:
        with pytest.raises(LogitcaskError, match="manifest-unsupported"):
            client.manifest("d")


def test_a_shard_must_have_the_manifests_digest():
    data = b"a shard"
    file = {"name": "s.arrow", "bytes": 7, "sha256": hashlib.sha256(data).hexdigest()}
    id_, manifest = manifest_reply({**GOOD, "files": [file]})
    with FakeServer(manifest, ok(b"a shart"), ok(data)) as server, Client(server.url) as client:
        assert client.shard("d", "s.arrow").tobytes() == data
        assert server.requests[2]["path"] == f"/v1/datasets/d/snapshots/{id_}/shards/s.arrow"
    with FakeServer(manifest) as server, Client(server.url) as client:
        with pytest.raises(LogitcaskError, match="file-not-found"):
            client.shard("d", "other")


def test_listings_are_read_to_the_last_page():
    first = ok_json({"datasets": [{"name": "a", "tags": {}}], "next": "x y"})
    last = ok_json({"datasets": [{"name": "b", "tags": {}}], "next": None})
    with FakeServer(first, last) as server, Client(server.url) as client:
        assert [one["name"] for one in client.datasets()] == ["a", "b"]
        assert [one["path"] for one in server.requests] == [
            "/v1/datasets",
            "/v1/datasets?cursor=x+y",
        ]


def test_names_never_leave_their_path_segment():
    with FakeServer(problem(404, "dataset-not-found", retryable=False)) as server:
        with Client(server.url) as client, pytest.raises(LogitcaskError):
            client.manifest("../a/b", "c?d")
        assert server.requests[0]["path"] == "/v1/datasets/..%2Fa%2Fb/snapshots/c%3Fd"


@pytest.mark.parametrize("changes", [{}, {"epoch": 0}, {"from": 1}, {"to": 6}, {"plan": "0"}])
def test_a_digest_of_other_steps_is_refused(changes):
    plan = "ab" * 32
    reply = {"plan": plan, "epoch": 1, "from": 2, "to": 5, "rows": 9, "digest": "ab"}
    with FakeServer(ok_json({**reply, **changes})) as server:
        client = Client(server.url)
        if not changes:
            assert client.digest(plan, 1, 2, 5) == client.digest(plan, 1, 2) == "ab"
            return
        with pytest.raises(LogitcaskError, match="reply-invalid"):
            client.digest(plan, 1, 2, 5)
