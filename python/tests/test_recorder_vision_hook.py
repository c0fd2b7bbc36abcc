"""The forward hook of a recorder of images, and what a kill leaves of a worker."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import run_cli
from image_recording import DETECTOR, read, recorder, serving

from logitcask import Head, Image, LogitcaskError

torch = pytest.importorskip("torch")
WORKER = Path(__file__).with_name("image_recorder_worker.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("images")) as place:
        yield place


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
