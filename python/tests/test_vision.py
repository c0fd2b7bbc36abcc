"""Images from `logitcask build` through the server into batches, against the teacher's scores."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import run_cli, serve
from vision_data import SIDES, softmax, write_detector, write_digits

from logitcask import Client, LogitcaskError, LogitDataset
from logitcask.losses import cross_entropy, kd_loss

LAYOUTS = ("frames", "plain", "dense")


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vision")
    digits, detector = write_digits(folder), write_detector(folder)
    for name, data in {"digits": digits, "detector": detector}.items():
        shard = {"bytes_max": 65_536, "batch_bytes_max": 4096}
        config = {"dataset": name, "source": data.source, "shard": shard}
        file = folder / f"{name}.yaml"
        file.write_text(json.dumps(config))
        run_cli("build", "--config", file, "--store", folder / "store")
    store = folder / "store"
    with serve(store) as (url, _), Client(url) as client:
        yield SimpleNamespace(
            client=client, url=url, digits=digits, detector=detector, folder=folder, store=store
        )


def dense_of(targets, width, count):
    """Probabilities [count, width] of ragged entries."""
    offsets, ids, probs = targets
    out = np.zeros((count, width))
    rows = np.repeat(np.arange(count), np.diff(offsets))
    out[rows, ids.astype(int)] = probs
    return out


def batches_of(vision, dataset, **options):
    data = LogitDataset(
        vision.client, dataset, batch_size=7, shuffle=False, as_torch=False, **options
    )
    return list(data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_digits_come_back_as_they_were(vision, layout):
    digits = vision.digits
    batches = batches_of(vision, "digits", layout=layout)
    expected = softmax(digits.logits.reshape(-1, 10))
    first = 0
    for batch in batches:
        own = slice(first, first + batch.rows)
        assert [image["uri"][-4:] for image in batch.images] == [".pgm"] * batch.rows
        flat = {name: np.asarray(array).reshape(-1) for name, array in batch.arrays.items()}
        assert np.array_equal(flat["augmentation_seed"], digits.seeds[own].reshape(-1))
        assert np.array_equal(flat["augmentation_dy"], digits.shifts[own, :, 0].reshape(-1))
        assert np.array_equal(flat["augmentation_dx"], digits.shifts[own, :, 1].reshape(-1))
        assert np.array_equal(flat["hard_label"], np.repeat(digits.labels[own], 4))
        assert flat["mask"].all()
        assert batch.augmentation_pipeline == hashlib.sha256(digits.pipeline).hexdigest()
        assert batch.target_sets["teacher"].classes == tuple("0123456789")
        positions = slice(4 * first, 4 * (first + batch.rows))
        if layout == "dense":
            probs = np.exp(batch["teacher_logprobs"].astype(float)).reshape(-1, 10)
            got = np.zeros_like(probs)
            ids = batch["teacher_ids"].reshape(-1, 10)
            np.add.at(got, (np.arange(len(ids))[:, None], ids), probs)  # padding adds 0 to class 0
        else:
            targets = [batch[f"teacher_{part}"] for part in ("offsets", "ids", "probs")]
            got = dense_of(targets, 10, 4 * batch.rows)
        assert np.abs(got - expected[positions]).max() < 0.03
        assert batch["teacher_rest"].max() < 0.01
        first += batch.rows
    assert first == 96


@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_every_head_of_a_detector_is_a_target_set(vision, layout):
    detector = vision.detector
    first, at = 0, 0
    for batch in batches_of(vision, "detector", layout=layout):
        count = len(batch["mask"])
        own = slice(at, at + count)
        assert list(batch.target_sets) == ["teacher", "objects", *SIDES]
        assert np.array_equal(batch["geometry"], detector.boxes[own])
        assert np.array_equal(batch["hard_label"], detector.labels[own])
        assert np.array_equal(batch["mask"], detector.mask[own])
        assert [meta["image"] for meta in batch.meta] == list(range(first, first + batch.rows))
        heads = {
            "teacher": softmax(detector.classes),
            "objects": 1 / (1 + np.exp(-detector.objects)),
        }
        heads |= {side: softmax(detector.sides[:, i]) for i, side in enumerate(SIDES)}
        for name, expected in heads.items():
            one = batch.target_sets[name]
            assert one.vocabulary == expected.shape[1]
            assert one.kind == ("independent" if name == "objects" else "scaled")
            assert one.own_space == (name != "teacher")
            assert (f"{name}_rest" in batch.arrays) == (name != "objects")
            targets = [batch[f"{name}_{part}"] for part in ("offsets", "ids", "probs")]
            got = dense_of(targets, expected.shape[1], count)
            # a step s on √p moves p by √p · s at most, and near 1 by as little as near 0
            step = one.step
            room = 1.01 * step * np.sqrt(np.minimum(expected, 1 - expected)) + step**2
            if name != "objects":
                room = room + 2 * step
            assert np.all(np.abs(got - expected[own]) <= room[own])
        at, first = at + count, first + batch.rows
    assert first == len(detector.ends)


def test_one_head_comes_dense(vision):
    detector = vision.detector
    for batch in batches_of(vision, "detector", layout="dense", target_set="objects"):
        rows, longest, k = batch["objects_ids"].shape
        assert k == 5 and batch["geometry"].shape == (rows, longest, 4)
        assert "objects_rest" not in batch.arrays
    batch = batches_of(vision, "detector", layout="dense", target_set="objects")[0]
    probs = np.exp(batch["objects_logprobs"][0].astype(float))
    n = int(batch["length"][0])
    expected = 1 / (1 + np.exp(-detector.objects[:n].astype(float)))
    assert np.abs(np.sort(probs[:n], -1) - np.sort(expected, -1)).max() < 0.03


def test_what_needs_texts_refuses_images(vision):
    import torch

    batch = batches_of(vision, "digits")[0]
    with pytest.raises(LogitcaskError, match="of text"):
        batch.model_inputs()
    with pytest.raises(LogitcaskError, match="pack"):
        batch.packs()
    assert kd_loss(torch.zeros(len(batch["mask"]), 10), batch, alpha=0.5).isfinite()
    heads = batches_of(vision, "detector")[0]
    with pytest.raises(LogitcaskError, match="no distribution"):
        kd_loss(torch.zeros(len(heads["mask"]), 5), heads, target_set="objects")
    sides = torch.zeros(len(heads["mask"]), 8)
    assert kd_loss(sides, heads, target_set="left").isfinite()
    with pytest.raises(LogitcaskError, match="no classes of left"):
        kd_loss(sides, heads, target_set="left", alpha=0.5)
    assert cross_entropy(sides[:, :6], heads, target_set="teacher").isfinite()
    with pytest.raises(LogitcaskError):
        vision.client.create_plan(
            [{"dataset": "digits"}], global_batch=2, packing={"length": 8, "window": 4}
        )


def test_a_changed_input_does_not_pass(vision, monkeypatch):
    """The sample id proves labels, boxes, seeds and parameters."""
    from logitcask import _inputs

    whole = _inputs.decode_inputs

    def changed(frame, fields, positions):
        values = [part.copy() for part in whole(frame, fields, positions)]
        values[0][0] ^= 1
        return values

    plan = vision.client.create_plan([{"dataset": "digits"}], global_batch=4)
    monkeypatch.setattr(_inputs, "decode_inputs", changed)
    with pytest.raises(LogitcaskError, match="sample id"):
        vision.client.step(plan.id, 0, 0)


def test_plans_shuffle_and_filter_images(vision):
    client = vision.client
    plan = client.create_plan(
        [{"dataset": "detector"}],
        global_batch=3,
        shuffle={"mode": "block", "block": 4},
        filter={"positions": {"min": 3}},
    )
    lengths = np.diff(np.r_[0, vision.detector.ends])
    batches = [client.step(plan.id, 0, step) for step in range(plan.steps_per_epoch)]
    found = np.concatenate([np.diff(batch["offsets"]) for batch in batches])
    assert sorted(found) == sorted(lengths[lengths >= 3])


def test_other_programs_read_images_in_parquet(vision):
    import pyarrow.parquet as pq

    out = vision.folder / "parquet"
    run_cli("export", "detector", "--out", out, "--store", vision.store, "--format", "parquet")
    files = sorted(out.rglob("*.parquet"))
    tables = [pq.read_table(file) for file in files]
    flat = {
        name: np.concatenate([table[name].combine_chunks().flatten() for table in tables])
        for name in ("geometry", "hard_label", "mask")
    }
    assert np.array_equal(flat["geometry"].reshape(-1, 4), vision.detector.boxes)
    assert np.array_equal(flat["hard_label"], vision.detector.labels)
    assert np.array_equal(flat["mask"], vision.detector.mask)
