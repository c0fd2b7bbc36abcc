"""A data set gives every step once, in order, one fetched ahead, and resumes to the step."""

import hashlib
import json
import re
import threading

import pytest
import torch
import wire
from fake_server import FakeServer, ok, ok_json, reset

from logitcask import (
    Client,
    LogitcaskError,
    LogitDataset,
    _http,
    order_digest,
    record_line,
)

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

    def __init__(self, faults=(), snapshot=wire.SNAPSHOT, steps=STEPS):
        super().__init__(self._answer)
        self._faults = list(faults)
        self._snapshot = snapshot
        self._steps = steps
        self._lock = threading.Lock()

    def _answer(self, connection, released):
        path = self.requests[-1]["path"]
        if "/epochs/" not in path:
            return plan_reply(steps_per_epoch=self._steps)(connection, released)
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
    return LogitDataset(server.url, plan=PLAN, as_torch=False, **options)


def test_an_epoch_gives_every_step_in_order_and_the_next_goes_on(server):
    dataset = open_dataset(server)
    assert len(dataset) == STEPS
    assert [place(batch) for batch in dataset] == [(0, 0), (0, 1), (0, 2)]
    assert [place(batch) for batch in dataset] == [(1, 0), (1, 1), (1, 2)]


def test_the_state_counts_what_the_loop_received_not_what_was_fetched(server):
    dataset = open_dataset(server)
    dataset.set_epoch(4)
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


@pytest.mark.parametrize("prefetch", [1, 2])
def test_so_many_steps_are_fetched_ahead(server, prefetch):
    dataset = open_dataset(server, prefetch=prefetch)
    batches = iter(dataset)
    next(batches)
    view = f"rank=0&world=1&layout=frames&snapshot={wire.SNAPSHOT}"
    wanted = {f"/v1/plans/{PLAN}/epochs/0/steps/{step}?{view}" for step in range(prefetch + 1)}
    for _ in range(200):
        if len(server.requests) == prefetch + 2:
            break
        threading.Event().wait(0.01)
    threading.Event().wait(0.05)
    assert {one["path"] for one in server.requests[1:]} == wanted
    assert dataset.state_dict()["step"] == 1
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
    with PlanServer([None, *3 * [reset()]]) as server:  # a kept connection that breaks is no try
        dataset = LogitDataset(Client(server.url, attempts=2), plan=PLAN, prefetch=1)
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


def test_tensors_are_given_by_default(server):
    (batch, *_) = LogitDataset(server.url, plan=PLAN)
    assert isinstance(batch["teacher_probs"], torch.Tensor)


def requested(*arguments, **options):
    """What is asked for to make a plan."""
    with PlanServer() as server:
        LogitDataset(server.url, *arguments, **options)
    (request,) = server.requests
    assert (request["method"], request["path"]) == ("POST", "/v1/plans")
    return json.loads(request["body"])


def test_a_dataset_makes_its_plan_from_a_request():
    request = requested("d", snapshot="v1", shuffle_seed=2**64 - 1, batch_size=3, pad_last=True)
    assert request == {
        "streams": [{"dataset": "d", "snapshot": "v1"}],
        "seed": "18446744073709551615",
        "global_batch": 3,
        "shuffle": {"mode": "global"},
        "tail": "pad",
    }


def test_all_of_a_plan_can_be_named():
    streams = [{"dataset": "a", "proportion": 3}, {"dataset": "b", "proportion": 1}]
    rules = {"packing": {"length": 64, "window": 8}, "filter": {"positions": {"min": 2}}}
    sizes = {"epoch_size": 99, "stop": "first"}
    request = requested(streams=streams, shuffle_block_size=512, drop_last=True, **sizes, **rules)
    assert request == {
        "streams": streams,
        "seed": "0",
        "global_batch": 8,
        "shuffle": {"mode": "block", "block": 512},
        "tail": "drop",
        **sizes,
        **rules,
    }
    assert requested("d", shuffle=False)["shuffle"] == {"mode": "none"}
    assert requested(streams=["a", "b"])["streams"] == [{"dataset": "a"}, {"dataset": "b"}]


def test_a_batch_size_is_that_of_a_rank_and_a_global_one_that_of_all():
    place = {"rank": 1, "world": 6}
    assert requested("d", batch_size=4, **place)["global_batch"] == 24
    assert requested("d", batch_size=4, replicate=2, **place)["global_batch"] == 12
    assert requested("d", global_batch_size=4, **place)["global_batch"] == 4
    assert requested("d", **place)["global_batch"] == 48


def test_rank_and_world_are_those_of_the_launcher(server, monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert requested("d", batch_size=1)["global_batch"] == 3
    (batch, *_) = open_dataset(server)
    assert batch.place == {
        "plan": PLAN, "epoch": 0, "step": 0, "rank": 2, "world": 3, "replicate": 1
    }  # fmt: skip


def test_a_replicated_rank_says_so(server):
    (batch, *_) = open_dataset(server, rank=1, world=2, replicate=2)
    assert "replicate=2" in server.requests[-1]["path"]
    assert record_line(batch)["replicate"] == 2


def test_set_epoch_goes_forward_and_never_out_of_an_epoch(server):
    dataset = open_dataset(server)
    for _ in dataset:
        break
    dataset.set_epoch(0)
    assert dataset.state_dict()["step"] == 1
    dataset.set_epoch(2)
    assert [place(batch) for batch in dataset] == [(2, 0), (2, 1), (2, 2)]
    with pytest.raises(LogitcaskError, match="conflict"):
        dataset.set_epoch(0)


def test_a_cursor_is_the_state_behind_a_batch(server):
    dataset = open_dataset(server)
    for batch in dataset:
        dataset.load_state_dict(batch.cursor)
        saved = dataset.state_dict()
        assert (saved["epoch"], saved["step"]) == (
            (1, 0) if place(batch)[1] == 2 else (0, place(batch)[1] + 1)
        )


def test_a_record_has_a_line_for_each_batch_received(server, tmp_path):
    file = tmp_path / "run.jsonl"
    dataset = open_dataset(server, record=file)
    received = [batch for _, batch in zip(range(2), dataset)]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == [record_line(batch) for batch in received]
    assert [(one["epoch"], one["step"]) for one in lines] == [(0, 0), (0, 1)]
    # the third row only pads
    first, second, _ = wire.sample_ids()
    assert lines[0]["ids"] == [first.hex(), second.hex()]
    assert order_digest(lines) == order_digest(received)
    assert order_digest(lines) == hashlib.sha256(2 * (first + second)).hexdigest()


@pytest.mark.parametrize("changes", [{"plan": "00" * 32}, {"identity": {}}])
def test_a_plan_whose_id_is_not_its_digest_is_refused(changes):
    with FakeServer(plan_reply(**changes)) as server:
        with pytest.raises(LogitcaskError, match="reply-invalid"):
            open_dataset(server)


def test_batches_of_another_snapshot_of_the_same_samples_are_refused():
    with PlanServer(snapshot="ef" * 32) as server:
        with pytest.raises(LogitcaskError, match="answers another request"):
            next(iter(open_dataset(server)))


@pytest.mark.parametrize(
    "options", [{}, {"plan": PLAN, "dataset": "d"}, {"dataset": "d", "streams": ["d"]}]
)
def test_either_a_plan_or_a_data_set_is_named(options):
    with pytest.raises(LogitcaskError, match="request-invalid"):
        LogitDataset("http://localhost", **options)


@pytest.mark.parametrize(("rank", "world"), [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_lies_inside_the_world(rank, world):
    with pytest.raises(LogitcaskError, match="rank-out-of-range"):
        LogitDataset("http://localhost", plan=PLAN, rank=rank, world=world)
