"""An epoch over a bad network, by servers that are killed and replaced, with ranks that change."""

import random
import signal
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from conftest import serve
from fake_server import FakeServer, broken_off, cut_header, ok, problem, reset, stalled, unbounded
from torch.utils.data import DataLoader

from logitcask import Client, LogitDataset, _http, order_digest

# a seed of its own: a plan is kept with the snapshot that it was first made for
SIZE = {"global_batch_size": 5, "shuffle_seed": 41, "as_torch": False}


@pytest.fixture
def no_waits(monkeypatch):
    monkeypatch.setattr(_http, "DELAY_FIRST_S", 0.001)


def ids(batches):
    return [bytes(one) for batch in batches for one in np.asarray(batch["sample_id"])]


@pytest.fixture(scope="module")
def whole(pipe):
    """The batches of an undisturbed epoch."""
    dataset = LogitDataset(pipe.url, "planes", **SIZE)
    batches = list(dataset)
    assert order_digest(batches) == dataset.digest(0) and len(batches) == 15
    return batches


def same(batches, expected):
    assert len(batches) == len(expected)
    for one, other in zip(batches, expected):
        assert one.arrays.keys() == other.arrays.keys()
        for name, array in one.arrays.items():
            np.testing.assert_array_equal(array, other[name])


@pytest.mark.parametrize("seed", range(3))
def test_resumed_at_every_step_by_other_worlds_the_order_is_that_of_one_run(pipe, whole, seed):
    """1 to 4 times in a row; ranks are stopped at the same step, as a job is."""
    rng = random.Random(seed)
    plan = whole[0].place["plan"]
    for stop in range(len(whole) + 1):
        state, received, at = {"plan": plan, "epoch": 0, "step": 0}, [], 0
        for to in [*sorted(rng.choices(range(stop, len(whole) + 1), k=rng.randint(1, 4))), None]:
            world = rng.choice([1, 2, 3, 4, 7])
            ranks = [
                LogitDataset(pipe.client, plan=plan, rank=r, world=world, as_torch=False)
                for r in range(world)
            ]
            for rank in ranks:
                rank.load_state_dict(state)
            left = (len(whole) if to is None else to) - at
            runs = [[b for _, b in zip(range(left), rank)] for rank in ranks if left > 0]
            received += [batch for step in zip(*runs) for batch in step]
            states = [rank.state_dict() for rank in ranks]
            assert all(one == states[0] for one in states)
            state, at = states[0], at + left
            if at == len(whole):
                break
        assert ids(received) == ids(whole) and state == {"plan": plan, "epoch": 1, "step": 0}


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_loader_workers_give_the_same_batches(pipe, whole, workers):
    dataset = LogitDataset(pipe.url, "planes", **SIZE)
    same(list(DataLoader(dataset, batch_size=None, num_workers=workers)), whole)


def upstream(server, url):
    """Answers as the real server does."""

    def reply(connection, released):
        asked = server.requests[-1]
        request = urllib.request.Request(url + asked["path"], method=asked["method"])
        request.data = asked["body"] or None
        for key in ("accept", "content-type", "want-repr-digest"):
            if key in asked["headers"]:
                request.add_header(key, asked["headers"][key])
        with urllib.request.urlopen(request, timeout=30) as found:
            body, digest = found.read(), found.headers.get("Repr-Digest")
        headers = {"Repr_Digest": digest} if digest else {}
        server.bodies.append(body)
        return server.spoil(body, headers)(connection, released)

    return reply


class Proxy(FakeServer):
    """In front of the real server: every k-th reply to a step is spoilt."""

    def __init__(self, url, fault, every):
        super().__init__()
        self.replies, self.bodies = [upstream(self, url)], []
        self.fault, self.every, self.steps, self.spoilt = fault, every, 0, 0
        self.lock = threading.Lock()

    def spoil(self, body, headers):
        if not body.startswith(b"\xff\xff\xff\xff"):  # not Arrow: a plan
            return ok(body, **headers)
        with self.lock:
            self.steps += 1
            spoilt = self.steps % self.every == 0
            self.spoilt += spoilt
        return self.fault(body, headers) if spoilt else ok(body, **headers)


def flip(body, headers):
    """A bit of the targets, or with digests of anything."""
    at = random.Random(len(body)).randrange(len(body)) if headers else body.index(b"LCFR") + 50
    return ok(body[:at] + bytes([body[at] ^ 16]) + body[at + 1 :], **headers)


def silent(connection, released):
    """No answer, with the connection open."""
    released.wait(10)
    return False


FAULTS = {
    "H1 broken off in a frame": lambda body, _: broken_off(body, len(body) // 2),
    "H1 broken off at a message": lambda body, _: broken_off(body, body.index(b"LCFR") // 8 * 8),
    "H1 broken off in the header": lambda *_: cut_header,
    "H2 ended cleanly, too early": lambda body, _: unbounded(body[: len(body) // 2]),
    "H4 a bit flipped": flip,
    "H6 reset": lambda *_: reset(),
    "H7 stalled in the body": lambda body, _: stalled(body, 1000),
    "H7 no answer": lambda *_: silent,
    "busy": lambda *_: problem(429, "too-many-requests", retryable=True),
    "bad gateway": lambda *_: ok(b"<html>", 502),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_epoch_over_a_bad_network_is_the_same(pipe, whole, fault, no_waits):
    with Proxy(pipe.url, FAULTS[fault], every=3) as proxy:
        dataset = LogitDataset(proxy.url, "planes", **SIZE, timeout=0.5)
        same(list(dataset), whole)
        # each time one more may be on its way, which is asked for again in its turn
        least = len(whole) + proxy.spoilt
        assert proxy.spoilt >= 5 and least <= proxy.steps <= least + proxy.spoilt


def test_with_digests_no_flipped_bit_is_believed(pipe, whole, no_waits):
    with Proxy(pipe.url, flip, every=2) as proxy:
        dataset = LogitDataset(proxy.url, "planes", **SIZE, verify=True)
        same(list(dataset), whole)
        assert proxy.spoilt >= 10


@pytest.mark.parametrize("every", range(1, 21))
def test_resets_of_every_kth_request_leave_the_digest_as_it_is(pipe, whole, every, no_waits):
    def fault(body, headers):  # with every = 1 a reply must get through now and then
        through = every == 1 and proxy.steps % 3 == 0
        return ok(body, **headers) if through else reset()

    with Proxy(pipe.url, fault, every) as proxy:
        received = list(LogitDataset(proxy.url, "planes", **SIZE))
    assert order_digest(received) == order_digest(whole)


def test_a_retry_gives_the_same_bytes(pipe, whole, no_waits):
    with Proxy(pipe.url, FAULTS["H1 broken off in a frame"], every=2) as proxy:
        list(LogitDataset(proxy.url, "planes", **SIZE, prefetch=1))
        arrow = [body for body in proxy.bodies if body.startswith(b"\xff\xff\xff\xff")]
    assert len(arrow) > len(set(arrow)) == len(whole)


def test_a_rolling_restart_of_two_replicas_is_not_noticed(pipe, whole):
    """Each is killed, or asked to end, while an epoch is read, and comes back at its address."""
    with serve(pipe.store) as (first, one), serve(pipe.store) as (second, other):
        dataset = LogitDataset([first, second], "planes", **SIZE)
        batches = iter(dataset)
        received = [next(batches) for _ in range(4)]
        one.send_signal(signal.SIGKILL)
        one.wait()
        received += [next(batches) for _ in range(4)]
        with serve(pipe.store, port=int(first.rsplit(":", 1)[1])):
            other.send_signal(signal.SIGTERM)
            received += list(batches)
            other.wait(20)
    same(received, whole)


def test_a_server_that_comes_back_is_waited_for(pipe, whole):
    with serve(pipe.store) as (url, server):
        client = Client(url, attempts=20)
        dataset = LogitDataset(client, "planes", **SIZE)
        batches = iter(dataset)
        received = [next(batches)]
        server.send_signal(signal.SIGKILL)
        server.wait()
        with serve(pipe.store, port=int(url.rsplit(":", 1)[1])):
            received += list(batches)
    same(received, whole)
