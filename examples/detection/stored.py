"""From a teacher's outputs to the student's batches."""

import hashlib
import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from detector import SIDES
from PIL import Image

from logitcask import LogitDataset

CLI = Path(__file__).resolve().parents[2] / "dist" / "src" / "cli.js"
#: Images a batch.
SIZE = 8


def store(folder, dataset, canvases, assigned, classes, boxes, temperature):
    """Images, the labels and boxes of their anchors, and the teacher's logits, as a data set."""
    inputs = folder / dataset
    inputs.mkdir()
    lines = []
    for number, (canvas, (labels, geometry)) in enumerate(zip(canvases, assigned)):
        file = inputs / f"{number:04}.png"
        Image.fromarray(canvas.image).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        line = {"uri": file.as_uri(), "sha256": digest}
        lines.append({**line, "hard_label": labels.tolist(), "geometry": geometry.tolist()})
    (inputs / "images.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    np.save(inputs / "classes.npy", classes.flatten(0, 1).numpy())
    np.save(inputs / "boxes.npy", boxes.flatten(0, 1).numpy())
    source = {
        "type": "vision",
        "images": str(inputs / "images.jsonl"),
        "store_images": True,  # so that `logitcask serve` shows them, with the boxes
        "scores": str(inputs / "classes.npy"),
        "classes": [*(str(digit) for digit in range(10)), "background"],
        "heads": [{"name": "box", "scores": str(inputs / "boxes.npy"), "parts": SIDES}],
    }
    config = {"dataset": dataset, "source": source, "temperatures": [temperature]}
    file = inputs / "build.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = ["node", CLI, "build", "--config", file, "--store", folder / "store"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def serve(folder):
    command = ["node", CLI, "serve", "--store", folder / "store", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()


def batches(url, dataset, seed):
    """Without end, in an order that the seed gives."""
    stored = LogitDataset(url, dataset, batch_size=SIZE, shuffle_seed=seed, drop_last=True)
    while True:
        yield from stored


def read_image(uri, sha256):
    """Float [1, SIDE, SIDE] of an image that is what its digest says."""
    file = Path(urlsplit(uri).path)
    if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"detection: {uri} has changed since the teacher saw it")
    return torch.from_numpy(np.array(Image.open(file)))[None] / 255
