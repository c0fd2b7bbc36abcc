"""Order, identity and refusals of a real server, as Python sees them."""

import hashlib
import json
import struct
from itertools import pairwise

import numpy as np
import pytest
from conftest import BUILDS
from pipe_reader import stored_batch

from logitcask import Client, LogitcaskError, LogitDataset

TAILS = {"short": {}, "pad": {"pad_last": True}, "drop": {"drop_last": True}}


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("tail", TAILS)
def test_every_sample_comes_exactly_once_over_any_world(pipe, world, tail):
    with Client(pipe.url) as client:
        options = {"global_batch_size": 7, "shuffle_seed": 3, "as_torch": False, **TAILS[tail]}
        ranks = [
            LogitDataset(client, "planes", rank=rank, world=world, **options)
            for rank in range(world)
        ]
        steps = [[(b["sample_id"], b["pad"]) for b in dataset] for dataset in ranks]
    assert len({len(own) for own in steps}) == 1 and len(steps[0]) == len(ranks[0])
    received = [
        bytes(id_)
        for own in steps
        for ids, pad in own
        for id_, padded in zip(ids, pad)
        if not padded
    ]
    known = [bytes(id_) for id_ in stored_batch(pipe, "planes", "frames")["sample_id"]]
    whole = len(known) // 7 * 7
    assert len(received) == (whole if tail == "drop" else len(known))
    assert set(received) <= set(known) and len(set(received)) == len(received)
    if tail == "pad":
        assert sum(len(ids) for own in steps for ids, _ in own) == 7 * len(steps[0])


def test_the_order_does_not_depend_on_the_world_and_changes_with_epoch_and_seed(pipe):
    def order(world, seed=3, epoch=0):
        options = {"global_batch_size": 7, "shuffle_seed": seed, "as_torch": False}
        ranks = [
            LogitDataset(pipe.client, "planes", rank=r, world=world, **options)
            for r in range(world)
        ]
        for dataset in ranks:
            dataset.set_epoch(epoch)
        return [bytes(i) for step in zip(*ranks) for batch in step for i in batch["sample_id"]]

    assert order(1) == order(2) == order(5)
    assert len({tuple(order(1, seed, epoch)) for seed, epoch in ((3, 0), (3, 1), (4, 0))}) == 3


def test_a_state_resumes_on_another_world(pipe):
    options = {"dataset": "raw", "global_batch_size": 5, "layout": "dense"}
    whole = [bytes(i.numpy()) for b in LogitDataset(pipe.client, **options) for i in b["sample_id"]]
    first = LogitDataset(pipe.client, **options)
    received = [b for _, b in zip(range(2), first)]
    rest = [LogitDataset(pipe.client, **options, rank=r, world=3) for r in range(3)]
    for dataset in rest:
        dataset.load_state_dict(first.state_dict())
    received += [batch for step in zip(*rest) for batch in step]
    assert [bytes(i.numpy()) for batch in received for i in batch["sample_id"]] == whole


@pytest.mark.parametrize("name", BUILDS)
def test_ids_are_what_the_format_says(pipe, fetch, name):
    body = fetch(f"/v1/datasets/{name}/snapshots/latest")
    id_, manifest = pipe.client.manifest(name)
    assert id_ == hashlib.sha256(body).hexdigest()
    assert {"name": name, "tags": {"latest": id_}} in pipe.client.datasets()
    space = json.dumps(manifest["label_space"], sort_keys=True, separators=(",", ":"))
    batch, ids = stored_batch(pipe, name, "plain"), []
    for first, last in pairwise(batch["offsets"]):
        digest = hashlib.sha256()
        for field in (
            b"logitcask/sample/1",
            b"text",
            hashlib.sha256(space.encode()).digest(),
            batch["tokens"][first:last].astype("<i4").tobytes(),
            batch["mask"][first:last].astype(np.uint8).tobytes(),
        ):
            digest.update(struct.pack("<I", len(field)) + field)
        ids.append(digest.digest()[:16])
    assert [bytes(one) for one in batch["sample_id"]] == ids
    assert manifest["content_id"] == hashlib.sha256(b"".join(ids)).hexdigest()


def test_rows_give_the_samples_of_a_range(pipe):
    whole, part = (
        stored_batch(pipe, "planes", "plain"),
        pipe.client.rows("planes", offset=3, length=4),
    )
    np.testing.assert_array_equal(part["sample_id"], whole["sample_id"][3:7])
    first, last = whole["offsets"][[3, 7]]
    np.testing.assert_array_equal(part["tokens"], whole["tokens"][first:last])
    assert part.meta == whole.meta[3:7]


def test_the_servers_refusals_arrive_with_their_codes(pipe):
    plan = pipe.client.create_plan("raw", global_batch=7, seed=100)
    cases = {
        "dataset-not-found": lambda: pipe.client.manifest("none"),
        "snapshot-not-found": lambda: pipe.client.manifest("raw", "none"),
        "plan-not-found": lambda: pipe.client.plan("0" * 64),
        "step-out-of-range": lambda: pipe.client.step(plan.id, 0, plan.steps_per_epoch),
        "rank-out-of-range": lambda: pipe.client.step(plan.id, 0, 0, rank=2, world=2),
        "not-acceptable": lambda: pipe.client.step(plan.id, 0, 0, layout="frames"),
        "request-invalid": lambda: pipe.client.step(plan.id, 0, 0, layout="dense", pad_to=3),
    }
    for code, call in cases.items():
        with pytest.raises(LogitcaskError) as caught:
            call()
        assert (caught.value.code, caught.value.retryable) == (code, False)
