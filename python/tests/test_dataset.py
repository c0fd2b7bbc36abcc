"""A data set gives every step once, in order, one fetched ahead, and resumes to the step."""

import hashlib
import json
import re
import threading

import pytest
import torch
import wire
from fake_server import FakeServer, ok, ok_json, reset

from logitcask import Client, Dataset, LogitcaskError, _http

STEPS = 3
IDENTITY = {"algorithm": "test", "global_batch": 3, "seed": "5", "packing": None}
PLAN = hashlib.sha256(
    json.dumps(IDENTITY, sort_keys=True, separators=(",", ":")).encode()
).hexdigest()


def plan_reply(**changes):
    reply = {"plan": PLAN, "identity": IDENTITY, "steps_per_epoch": STEPS, "items_per_epoch": 9}
    streams = [{"dataset": "d", "snapshot": wire.SNAPSHOT, "samples": 9}]
    return ok_json({**reply, "streams": streams, **changes})


class PlanServer(FakeServer):
    """Answers the plan and each step with a batch that says which one it is."""

    def __init__(self, faults=(), snapshot=wire.SNAPSHOT):
        super().__init__(self._answer)
        self._faults = list(faults)
        self._snapshot = snapshot
        self._lock = threading.Lock()

    def _answer(self, connection, released):
        path = self.requests[-1]["path"]
        if "/epochs/" not in path:
            return plan_reply()(connection, released)
        with self._lock:
            fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            return fault(connection, released)
        epoch, step, rank, world = re.search(
            r"epochs/(\d+)/steps/(\d+)\?rank=(\d+)&world=(\d+)", path
        ).groups()
        place = {"epoch": epoch, "step": step, "rank": rank, "world": world}
        body = wire.step_reply(plan=PLAN, snapshot=self._snapshot, **place)
        return ok(body)(connection, released)


def place(batch):
    return tuple(int(batch.metadata[f"logitcask.{key}"]) for key in ("epoch", "step"))


@pytest.fixture
def server():
    with PlanServer() as server:
        yield server


def open_dataset(server, **options):
    return Dataset(server.url, plan=PLAN, **options)


def test_an_epoch_gives_every_step_in_order_and_the_next_goes_on(server):
    dataset = open_dataset(server)
    assert len(dataset) == STEPS
    assert [place(batch) for batch in dataset] == [(0, 0), (0, 1), (0, 2)]
    assert [place(batch) for batch in dataset] == [(1, 0), (1, 1), (1, 2)]


def test_the_state_counts_what_the_loop_received_not_what_was_fetched(server):
    dataset = open_dataset(server, epoch=4)
    seen = [dataset.state_dict()]
    for _ in dataset:
        seen.append(dataset.state_dict())
    expected = [(4, 0), (4, 1), (4, 2), (5, 0)]
    assert seen == [{"plan": PLAN, "epoch": epoch, "step": step} for epoch, step in expected]


@pytest.mark.parametrize("stop", range(STEPS + 1))
def test_a_run_resumed_at_any_step_gives_what_an_uninterrupted_one_gives(server, stop):
    first = open_dataset(server)
    received = [place(batch) for _, batch in zip(range(stop), first)]
    second = open_dataset(server, rank=1, world=4)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    received += [place(batch) for batch in second]
    if stop == STEPS:  # the epoch was over: a whole new one
        assert received[STEPS:] == [(1, 0), (1, 1), (1, 2)]
    assert received[:STEPS] == [(0, 0), (0, 1), (0, 2)]


def test_a_loop_left_early_goes_on_behind_the_last_batch_received(server):
    dataset = open_dataset(server)
    for _ in dataset:
        break
    assert [place(batch) for batch in dataset] == [(0, 1), (0, 2)]


def test_one_step_is_fetched_ahead(server):
    dataset = open_dataset(server)
    batches = iter(dataset)
    next(batches)
    view = f"rank=0&world=1&snapshot={wire.SNAPSHOT}&layout=frames"
    wanted = f"/v1/plans/{PLAN}/epochs/0/steps/1?{view}"
    for _ in range(200):
        if server.requests[-1]["path"] == wanted:
            break
        threading.Event().wait(0.01)
    assert server.requests[-1]["path"] == wanted
    batches.close()


@pytest.mark.parametrize("every", [2, 3, 5])
def test_resets_of_every_kth_request_leave_the_order_as_it_is(every, monkeypatch):
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    faults = [reset() if i % every == 0 else None for i in range(20)]
    with PlanServer(faults) as server:
        dataset = open_dataset(server)
        assert [place(batch) for batch in dataset] == [(0, 0), (0, 1), (0, 2)]


def test_a_failure_is_raised_at_its_step_and_a_later_loop_goes_on_there(monkeypatch):
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    with PlanServer([None, reset(), reset()]) as server:
        dataset = Dataset(Client(server.url, attempts=2), plan=PLAN)
        received = []
        with pytest.raises(LogitcaskError, match="server-unreachable"):
            received += (place(batch) for batch in dataset)
        assert dataset.state_dict()["step"] == 1
        assert [place(batch) for batch in dataset] == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"plan": "00" * 32, "epoch": 0, "step": 1}, "conflict"),
        ({"plan": PLAN, "epoch": 0, "step": STEPS + 1}, "step-out-of-range"),
        ({"plan": PLAN, "epoch": 0, "step": -1}, "step-out-of-range"),
        ({"plan": PLAN, "epoch": -1, "step": 0}, "step-out-of-range"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(server, state, code):
    dataset = open_dataset(server)
    with pytest.raises(LogitcaskError) as caught:
        dataset.load_state_dict(state)
    assert caught.value.code == code
    assert dataset.state_dict()["step"] == 0


def test_the_step_behind_the_last_is_the_next_epochs_first(server):
    dataset = open_dataset(server)
    dataset.load_state_dict({"plan": PLAN, "epoch": 2, "step": STEPS})
    assert dataset.state_dict() == {"plan": PLAN, "epoch": 3, "step": 0}


def test_tensors_are_given_where_asked_for(server):
    batch = next(iter(open_dataset(server, as_torch=True)))
    assert isinstance(batch["teacher_probs"], torch.Tensor)


def test_a_dataset_makes_its_plan_from_a_request():
    with PlanServer() as server:
        Dataset(server.url, dataset="d", snapshot="v1", seed=2**64 - 1, batch_size=3, tail="pad")
    (request,) = server.requests
    assert (request["method"], request["path"]) == ("POST", "/v1/plans")
    assert json.loads(request["body"]) == {
        "streams": [{"dataset": "d", "snapshot": "v1"}],
        "seed": "18446744073709551615",
        "global_batch": 3,
        "shuffle": {"mode": "global"},
        "tail": "pad",
    }


@pytest.mark.parametrize("changes", [{"plan": "00" * 32}, {"identity": {}}])
def test_a_plan_whose_id_is_not_its_digest_is_refused(changes):
    with FakeServer(plan_reply(**changes)) as server:
        with pytest.raises(LogitcaskError, match="reply-invalid"):
            open_dataset(server)


def test_batches_of_another_snapshot_of_the_same_samples_are_refused():
    with PlanServer(snapshot="ef" * 32) as server:
        with pytest.raises(LogitcaskError, match="answers another request"):
            next(iter(open_dataset(server)))


@pytest.mark.parametrize("options", [{}, {"plan": PLAN, "dataset": "d"}])
def test_either_a_plan_or_a_data_set_is_named(options):
    with pytest.raises(LogitcaskError, match="request-invalid"):
        Dataset("http://localhost", **options)


@pytest.mark.parametrize(("rank", "world"), [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_lies_inside_the_world(rank, world):
    with pytest.raises(LogitcaskError, match="rank-out-of-range"):
        Dataset("http://localhost", plan=PLAN, rank=rank, world=world)
