"""What a recorder of images pushes is what `logitcask build` makes of the same scores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import run_cli
from image_recording import read, recorder, serving
from vision_data import write_detector, write_digits

from logitcask import Head, Image
from logitcask._heads import choose, logprobs_of

torch = pytest.importorskip("torch")
WIDE = {"teacher": Head(300), "objects": Head(200, normalisation="sigmoid")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("images")) as place:
        yield place


def build(place, dataset, source):
    file = place.folder / f"{dataset}.yaml"
    file.write_text(json.dumps({"dataset": dataset, "source": source}))
    run_cli("build", "--config", file, "--store", place.store)


def stored(place, dataset):
    """Rows of all shards, as they lie in the store."""
    folder = place.store / dataset / "files"
    names = [one["name"] for one in manifest(place, dataset)["files"] if one["role"] == "shard"]
    return pa.concat_tables([pa.ipc.open_file(folder / name).read_all() for name in names])


def manifest(place, dataset):
    tag = (place.store / dataset / "tags" / "latest").read_text().strip()
    return json.loads((place.store / dataset / "snapshots" / f"{tag}.json").read_text())


def lines_of(source):
    return [json.loads(line) for line in Path(source["images"]).read_text().splitlines()]


def assert_same(place, pushed, built):
    """Bit for bit: in the store, and in what the client reads."""
    one, other = stored(place, pushed), stored(place, built)
    assert one.column_names == other.column_names
    for name in one.column_names:
        assert one[name].to_pylist() == other[name].to_pylist(), name
    one, other = manifest(place, pushed), manifest(place, built)
    for key in ("kind", "label_space", "input_fields", "augmentation_pipeline", "content_id"):
        assert one.get(key) == other.get(key), key
    keys = ("name", "kind", "normalisation", "label_space", "sparsifier", "codec", "entries")
    for a, b in zip(one["target_sets"], other["target_sets"]):
        assert {key: a.get(key) for key in keys} == {key: b.get(key) for key in keys}
        assert a["fidelity"]["positions"] == b["fidelity"]["positions"]
        for measure in ("kl", "squared_error"):
            assert a["fidelity"][measure] == (
                b["fidelity"][measure] and pytest.approx(b["fidelity"][measure], abs=1e-6)
            )
    for a, b in zip(read(place, pushed), read(place, built)):
        assert a.images == b.images and a.arrays.keys() == b.arrays.keys()
        for name in a.arrays:
            assert np.array_equal(a[name], b[name]), name
    run_cli("verify", pushed, "--store", place.store)


def test_digits_are_those_of_a_build(place):
    folder = place.folder / "digits"
    folder.mkdir()
    digits = write_digits(folder)
    build(place, "digits-built", digits.source)
    lines = lines_of(digits.source)
    scores = digits.logits.reshape(-1, 4, 10)
    heads = {"teacher": Head(10, classes=[str(digit) for digit in range(10)])}
    with recorder(
        place, "digits", heads=heads, pipeline=folder / "pipeline.json", commit_bytes=2000
    ) as r:
        for at in range(0, 96, 32):
            own = slice(at, at + 32)
            seeds = torch.from_numpy(digits.seeds[own].astype(np.int64))
            shifts = {"dy": digits.shifts[own, :, 0], "dx": digits.shifts[own, :, 1]}
            images = [Image.read(folder / f"{i}.pgm") for i in range(at, at + 32)]
            r.write(
                images,
                torch.from_numpy(scores[own]),
                hard_label=np.array([line["hard_label"] for line in lines[own]]),
                seed=seeds,
                params=shifts,
            )
            r.flush()
    assert sum(reply["samples"] for reply in r.commits) == 96
    assert_same(place, "digits", "digits-built")


@pytest.mark.parametrize("half", [False, True])
def test_heads_of_a_detector_are_those_of_a_build(place, half):
    folder = place.folder / f"detector-{half}"
    folder.mkdir()
    detector = write_detector(folder)
    names = {"teacher": "classes", "objects": "objects", "sides": "sides"}
    scores = {head: getattr(detector, name) for head, name in names.items()}
    if half:
        scores = {name: one.astype(np.float16) for name, one in scores.items()}
        for name, file in names.items():
            np.save(folder / f"{file}.npy", scores[name])
        np.savez(folder / "heads.npz", objects=scores["objects"])
    built, pushed = f"detector-built-{half}", f"detector-{half}"
    build(place, built, detector.source)
    with recorder(place, pushed) as r:
        for line, end in zip(lines_of(detector.source), detector.ends):
            own = slice(end - len(line["mask"]), end)
            own_scores = {name: torch.from_numpy(one[own]) for name, one in scores.items()}
            r.write(
                {"uri": line["uri"], "sha256": line["sha256"]},
                own_scores if half else {k: v.numpy() for k, v in own_scores.items()},
                hard_label=line["hard_label"],
                geometry=torch.from_numpy(detector.boxes[own]),
                mask=torch.from_numpy(detector.mask[own]),
                meta=line["meta"],
            )
    assert_same(place, pushed, built)
    # the same again is known, and a part of it comes beside something else
    with recorder(place, pushed) as r:
        for label in (1, 2):
            r.write(
                Image("s3://bucket/new.jpg", "0" * 64),
                {name: one[:1] for name, one in scores.items()},
                hard_label=[label],
                geometry=np.zeros((1, 4)),
            )
        line = lines_of(detector.source)[0]
        first = slice(0, detector.ends[0])
        r.write(
            Image("file:///moved.jpg", line["sha256"]),
            {name: one[first] for name, one in scores.items()},
            hard_label=line["hard_label"],
            geometry=detector.boxes[first],
            mask=detector.mask[first],
        )
    assert (r.commits[0]["samples"], r.commits[0]["duplicates"]) == (2, 1)
    assert sum(batch.rows for batch in read(place, pushed)) == 22


def wide_scores(rng, images=24, positions=9):
    """Float16, so that equal scores are many; a class that is masked."""
    found = {
        name: rng.normal(0, 3, (images, positions, head.size)).astype(np.float16)
        for name, head in WIDE.items()
    }
    found["teacher"][:, :, 7] = found["objects"][:, :, 9] = -np.inf
    return {name: one.astype(np.float32) for name, one in found.items()}


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_wide_heads_are_those_of_a_build_but_for_rounding(place, kind):
    folder = place.folder / f"wide-{kind}"
    folder.mkdir()
    scores = wide_scores(np.random.default_rng(5))
    images = [Image(f"s3://b/{i}", hashlib.sha256(bytes([i])).hexdigest()) for i in range(24)]
    lines = [{**image._asdict(), "positions": 9} for image in images]
    (folder / "images.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for name, one in scores.items():
        np.save(folder / f"{name}.npy", one.reshape(-1, one.shape[-1]))
    objects = {
        "name": "objects",
        "scores": str(folder / "objects.npy"),
        "normalisation": "sigmoid",
    }
    source = {
        "type": "vision",
        "images": str(folder / "images.jsonl"),
        "scores": str(folder / "teacher.npy"),
        "heads": [objects],
    }
    build(place, f"wide-built-{kind}", source)
    with recorder(place, f"wide-{kind}", heads=WIDE) as r:
        given = scores
        if kind == "torch":
            given = {name: torch.from_numpy(one) for name, one in scores.items()}
        r.write(images, given)
    one, other = stored(place, f"wide-{kind}"), stored(place, f"wide-built-{kind}")
    for name in ("sample_id", "input_ref", "input_frame", "mask", "meta", "objects_frame"):
        assert one[name].to_pylist() == other[name].to_pylist(), name
    for a, b in zip(read(place, f"wide-{kind}"), read(place, f"wide-built-{kind}")):
        step = a.target_sets["teacher"].step
        assert np.array_equal(a["teacher_offsets"], b["teacher_offsets"])
        assert np.array_equal(a["teacher_ids"], b["teacher_ids"])
        # a log-sum-exp differs by 1e-6 at most: one level, one of 2,048 steps of ln(rest)
        assert np.abs(np.sqrt(a["teacher_probs"]) - np.sqrt(b["teacher_probs"])).max() < step
        assert np.abs(a["teacher_probs"] - b["teacher_probs"]).mean() < 1e-6
        assert np.abs(np.log(a["teacher_rest"] / b["teacher_rest"])).max() < 1.5 / 2048


@pytest.mark.parametrize("normalisation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("size", [5, 64, 65, 700])
def test_numpy_chooses_as_torch_does(normalisation, size):
    rng = np.random.default_rng(size)
    rows = np.round(rng.normal(0, 4, (50, size)), 1).astype(np.float32)
    rows[:, ::5] = -np.inf
    rows[3] = rows[3, 1]  # all are equal: the lower ids are kept
    head = Head(size, normalisation=normalisation)
    own = choose(rows, head, 64)
    other = choose(torch.from_numpy(rows), head, 64)
    other = type(other)(*(None if part is None else part.numpy() for part in other))
    ids = [
        np.broadcast_to(np.arange(size), rows.shape) if one.ids is None else one.ids
        for one in (own, other)
    ]
    found = []
    for one, of in zip((own, other), ids):
        logprobs, rest = logprobs_of(one, normalisation)
        order = np.argsort(of, -1)
        found.append((np.take_along_axis(of, order, -1), np.take_along_axis(logprobs, order, -1)))
        exact = rows.astype(np.float64)
        with np.errstate(over="ignore"):
            if normalisation == "softmax":
                exact = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
                kept = np.take_along_axis(exact, of.astype(np.int64), -1)
                outside = np.exp(exact).sum(-1) - np.exp(kept).sum(-1)
                np.testing.assert_allclose(rest, outside, rtol=1e-5, atol=1e-12)
            else:
                exact = -np.log1p(np.exp(-exact))
                assert rest is None
        kept = np.take_along_axis(exact, of.astype(np.int64), -1)
        np.testing.assert_allclose(logprobs, kept, rtol=1e-6, atol=3e-7)
    assert np.array_equal(found[0][0], found[1][0])
    least = np.sort(rows, -1)[:, -min(64, size)]
    for t, of in enumerate(found[0][0]):
        expected = np.lexsort((np.arange(size), -rows[t]))[: min(64, size)]
        assert set(of) == set(expected.tolist()), (t, least[t])


def test_zeros_of_either_sign_are_equal():
    rows = np.full((1, 90), np.float32(0))
    rows[:, :40] = -0.0
    for scores in (rows, torch.from_numpy(rows)):
        kept = choose(scores, Head(90), 64)
        assert sorted(np.asarray(kept.ids)[0].tolist()) == list(range(64))


def test_inputs_may_be_of_a_device_type_that_numpy_lacks(place):
    boxes = torch.tensor([[0.5, 1, 2, 4]], dtype=torch.bfloat16)
    with recorder(place, "bfloat16", heads={"teacher": Head(5)}) as r:
        r.write(Image("mem:0", "1" * 64), torch.zeros(1, 5, dtype=torch.bfloat16), geometry=boxes)
    (batch,) = read(place, "bfloat16")
    assert batch["geometry"].tolist() == [[0.5, 1, 2, 4]]


@pytest.mark.parametrize("size", [5, 100])
def test_scores_may_be_changed_once_they_are_written(size):
    """As detectors decode in place; the encoder may come later."""
    for scores in (torch.zeros(3, size), np.zeros((3, size), np.float32)):
        kept = choose(scores, Head(size), 64)
        scores[:] = 1
        assert (kept.values == 0).all()
