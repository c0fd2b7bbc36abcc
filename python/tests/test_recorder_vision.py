"""What a recorder of images pushes is what `logitcask build` makes of the same scores."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from conftest import CLI, run_cli, serve
from vision_data import SIDES, write_detector, write_digits

from logitcask import Client, Head, Image, ImageRecorder, LogitcaskError, LogitDataset
from logitcask._heads import choose, logprobs_of

torch = pytest.importorskip("torch")
WORKER = Path(__file__).with_name("image_recorder_worker.py")
WIDE = {"teacher": Head(300), "objects": Head(200, normalisation="sigmoid")}
DETECTOR = {
    "teacher": Head(6),
    "objects": Head(5, normalisation="sigmoid"),
    "sides": Head(8, parts=SIDES),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    assert CLI.exists(), f"{CLI} is missing: run `npm run build` first"
    folder = tmp_path_factory.mktemp("images")
    store = folder / "store"
    with serve(store) as (url, _), Client(url) as client:
        yield SimpleNamespace(url=url, folder=folder, store=store, client=client)


def recorder(place, dataset, **more):
    more = {"heads": DETECTOR, "spool": place.folder / f"spool-{dataset}", **more}
    return ImageRecorder(place.url, dataset, teacher="detector", **more)


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


def read(place, dataset, **more):
    data = LogitDataset(place.client, dataset, batch_size=7, shuffle=False, as_torch=False, **more)
    return list(data)


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
            own_scores = {name: torch.tensor(one[own]) for name, one in scores.items()}
            r.write(
                {"uri": line["uri"], "sha256": line["sha256"]},
                own_scores if half else {k: v.numpy() for k, v in own_scores.items()},
                hard_label=line["hard_label"],
                geometry=torch.from_numpy(detector.boxes[own]),
                mask=torch.from_numpy(detector.mask[own]),
                meta=line["meta"],
            )
            for one in own_scores.values():
                one.fill_(torch.nan)  # as detectors decode in place
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


class Detector(torch.nn.Module):
    """A convolution over an image, and what it says of each of its 16 places."""

    def __init__(self, form):
        super().__init__()
        self.form = form
        self.body = torch.nn.Conv2d(1, 12, 3, stride=2, padding=1)
        self.classes, self.objects = torch.nn.Linear(12, 6), torch.nn.Linear(12, 5)
        self.sides = torch.nn.Linear(12, 32)

    def forward(self, images):
        seen = self.body(images).relu().flatten(2).mT
        sides = self.sides(seen).unflatten(-1, (4, 8))
        outputs = {"teacher": self.classes(seen), "objects": self.objects(seen), "sides": sides}
        if self.form == "tuple":
            return tuple(outputs.values())
        if self.form == "object":
            return SimpleNamespace(**outputs, loss=None)
        if self.form == "raw":
            return [one.movedim(1, -1) for one in outputs.values()]
        return {**outputs, "features": seen}


@pytest.mark.parametrize("form", ["dict", "tuple", "object", "raw"])
def test_a_hook_records_what_a_module_says(place, form):
    torch.manual_seed(3)
    model = Detector(form).eval()
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.random((6, 1, 8, 8), np.float32))
    images = [Image.of(one.numpy().tobytes(), f"mem:{i}") for i, one in enumerate(pixels)]
    anchors = torch.rand(16, 4)
    scores = None
    if form == "raw":

        def scores(output):
            return dict(zip(DETECTOR, (one.movedim(-1, 1) for one in output)))

    dataset = f"hook-{form}"
    with recorder(place, dataset) as r, torch.inference_mode():
        handle = r.attach(model, scores)
        for at in (0, 4):
            r.about(images[at : at + 4], geometry=anchors, hard_label=-100)
            model(pixels[at : at + 4])
        with pytest.raises(LogitcaskError, match="before each one"):
            model(pixels)
        handle.remove()
        model(pixels)
    model.form = "dict"
    with torch.inference_mode():
        expected = model(pixels)
    at = 0
    for batch in read(place, dataset):
        assert np.array_equal(batch["geometry"].reshape(-1, 16, 4)[0], anchors.numpy())
        probs = torch.softmax(expected["teacher"].reshape(-1, 6).double(), -1).numpy()
        offsets, ids = batch["teacher_offsets"], batch["teacher_ids"].astype(int)
        rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        got = np.zeros((len(offsets) - 1, 6))
        got[rows, ids] = batch["teacher_probs"]
        assert np.abs(got - probs[at : at + len(got)]).max() < 0.03
        at += len(got)
    assert at == 6 * 16


def test_a_classifier_says_one_tensor(place):
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    pixels = torch.rand(5, 1, 8, 8)
    images = [Image.of(one.numpy().tobytes(), f"mem:{i}") for i, one in enumerate(pixels)]
    with recorder(place, "classifier", heads={"teacher": Head(10)}) as r, r.attach(model):
        r.about(images, hard_label=torch.arange(5))
        logits = model(pixels)
    (batch,) = read(place, "classifier", layout="dense")
    assert batch["hard_label"].tolist() == [[0], [1], [2], [3], [4]]
    assert batch["teacher_ids"][:, 0, 0].tolist() == logits.argmax(-1).tolist()


def test_a_killed_worker_goes_on_from_its_spool(place):
    spool = place.folder / "spool-killed"
    command = [sys.executable, WORKER, place.url, spool, "0", "200"]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    written = []
    for line in worker.stdout:
        written.append(int(line))
        if len(written) == 12:
            worker.send_signal(signal.SIGKILL)
            break
    worker.wait()
    worker.stdout.close()
    assert list(spool.glob("*.arrow")), "nothing was waiting"
    last = written[-1]
    command[-2:] = [str(last - 3), str(last + 5)]  # some of it again
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    batches = read(place, "killed")
    found = [meta["image"] for batch in batches for meta in batch.meta]
    assert len(found) == len(set(found)) and set(found) >= set(range(last + 5))
    run_cli("verify", "killed", "--store", place.store)


def pipeline_of(place, name, parameters):
    file = place.folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, "parameters": parameters}))
    return file


def test_what_a_data_set_is_not_of_is_refused(place):
    heads, image = {"teacher": Head(4)}, Image("mem:0", "1" * 64)
    one, other = (pipeline_of(place, name, {"dx": "int32"}) for name in ("one", "other"))
    more = {"heads": heads, "pipeline": one}
    with recorder(place, "of", **more) as r:
        r.write(image, np.zeros((1, 4)), seed=[2**64 - 1], params={"dx": -3}, hard_label=-100)
    (batch,) = read(place, "of")
    assert batch["augmentation_seed"].tolist() == [2**64 - 1]
    assert batch["augmentation_dx"].tolist() == [-3]
    given = {"seed": 5, "params": {"dx": 1}, "hard_label": 2}
    for index, changed in enumerate(
        (
            {"pipeline": other},
            {"heads": {"teacher": Head(5)}},
            {"heads": {"teacher": Head(4, normalisation="sigmoid")}},
            {"heads": {"teacher": Head(4, classes=["a", "b", "c", "d"])}},
            {"top_k": 3},
            {"revision": "other"},
        )
    ):
        own = {**more, **changed, "spool": place.folder / f"spool-of-{index}"}
        r = recorder(place, "of", **own)
        width = own["heads"]["teacher"].size
        r.write(image, np.zeros((1, width)), **given)
        with pytest.raises(LogitcaskError, match="conflict: push: data set `of` holds") as refused:
            r.close()
        assert refused.value.code == "conflict"
    spool = place.folder / "spool-of-0"
    with pytest.raises(LogitcaskError, match="the spool holds another teacher's"):
        recorder(place, "of", **more, spool=spool)


def test_what_is_wrong_is_refused_where_it_is_written(place):
    image, shape = Image("mem:0", "2" * 64), (2, 4)
    scores = np.zeros(shape)
    pipeline = pipeline_of(place, "types", {"dx": "uint8"})
    r = recorder(place, "wrong", heads={"teacher": Head(4)}, pipeline=pipeline)
    good = {"seed": [1, 2], "params": {"dx": [0, 255]}}
    for match, changed in {
        "the head teacher of": {"scores": np.zeros((2, 5))},
        "for the heads": {"scores": {"other": scores}},
        "for 2 images": {"images": [image, image], "scores": np.zeros((3, 4))},
        "for one image": {"scores": np.zeros((1, 2, 4))},
        "no image": {"scores": np.zeros((0, 4))},
        "seeds go with": {"seed": None},
        "the pipeline declares": {"params": {}},
        "augmentation_seed is no": {"seed": [-1, 2]},
        r"augmentation_seed of \(3,\)": {"seed": [1, 2, 3]},
        "holds what no uint8 is": {"params": {"dx": [0, 256]}},
        "hard_label of float64": {"hard_label": [0.5, 1]},
        "holds what no float32 is": {"geometry": np.full((2, 4), np.nan)},
        r"geometry of \(2, 3\)": {"geometry": np.zeros((2, 3))},
        "expected bool": {"mask": [1, 0]},
    }.items():
        call = {"images": image, "scores": scores, **good, **changed}
        with pytest.raises(LogitcaskError, match=match) as refused:
            r.write(call.pop("images"), call.pop("scores"), **call)
        assert refused.value.code == "request-invalid"
    r.write(image, scores, **good)
    with pytest.raises(LogitcaskError, match="after"):
        r.write(image, scores, **good, hard_label=1)
    other = recorder(place, "wrong-2", heads={"teacher": Head(4)})
    with pytest.raises(LogitcaskError, match="seeds go with"):
        other.write(image, scores, seed=1)
    r.close()
    for wrong in (np.nan, np.inf, -np.inf):
        for width in (4, 100):
            spool = place.folder / f"spool-wrong-{wrong}-{width}"
            r = recorder(place, "nan", heads={"teacher": Head(width)}, spool=spool)
            r.write(image, np.full((2, width), wrong))
            with pytest.raises(LogitcaskError, match="NaN") as refused:
                r.close()
            assert refused.value.code == "row-invalid"
    for width in (4, 100):
        rows = torch.zeros(2, width)
        rows[1, 0] = -torch.nan  # the least of all bits
        head = {"teacher": Head(width, normalisation="sigmoid")}
        r = recorder(place, "nan", heads=head, spool=place.folder / f"spool-sigmoid-{width}")
        r.write(image, rows)
        with pytest.raises(LogitcaskError, match="scores of 1 positions hold NaN"):
            r.close()


def test_labels_are_classes_of_the_first_head(place):
    r = recorder(place, "label", heads={"teacher": Head(4)})
    r.write(Image("mem:0", "3" * 64), np.zeros((2, 4)), hard_label=[0, 4])
    with pytest.raises(LogitcaskError, match="hard label 4") as refused:
        r.close()
    assert refused.value.code == "token-out-of-range"
