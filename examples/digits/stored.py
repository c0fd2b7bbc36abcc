"""From a teacher's outputs to the student's batches, and from a batch to its crops."""

import hashlib
import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image

from logitcask import LogitDataset

CLI = Path(__file__).resolve().parents[2] / "dist" / "src" / "cli.js"
#: Images a batch, each with all of its crops.
SIZE = 15


def store(folder, dataset, labelled, seeds, logits, pipeline, temperature):
    """Images, their labels and seeds, and the teacher's logits of every crop, as a data set."""
    inputs = folder / dataset
    inputs.mkdir()
    lines = []
    for number, (image, label, own) in enumerate(zip(*labelled, seeds.tolist())):
        file = inputs / f"{number:02}.png"
        Image.fromarray(image[0].numpy()).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        line = {"uri": file.as_uri(), "sha256": digest}
        lines.append({**line, "hard_label": int(label), "seed": [str(seed) for seed in own]})
    (inputs / "images.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (inputs / "pipeline.json").write_text(pipeline.text)
    np.save(inputs / "logits.npy", logits.numpy())
    source = {
        "type": "vision",
        "images": str(inputs / "images.jsonl"),
        "scores": str(inputs / "logits.npy"),
        "pipeline": str(inputs / "pipeline.json"),
        "classes": [str(digit) for digit in range(10)],
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


class Replay:
    """Crops of batches; each is made once. Batches of another pipeline are refused."""

    def __init__(self, pipeline):
        self.pipeline, self.made = pipeline, {}

    def crops(self, batch):
        """uint8 [positions, 1, 8, 8], in the order of the batch's positions."""
        self.pipeline.check(batch.augmentation_pipeline)
        seeds = batch["augmentation_seed"].view(batch.rows, -1).tolist()
        found = []
        for image, own in zip(batch.images, seeds):
            key = image["sha256"], tuple(own)
            if key not in self.made:
                self.made[key] = self._make(read_image(**image), own)
            found += self.made[key]
        return torch.stack(found)

    def _make(self, image, seeds):
        # torch has uint64 as the int64 of the same bits
        drawn = [self.pipeline.sample(seed % (1 << 64), image.shape[1:]) for seed in seeds]
        return [self.pipeline.view(image, params) for params in drawn]


def read_image(uri, sha256):
    """uint8 [1, H, W] of an image that is what its digest says."""
    file = Path(urlsplit(uri).path)
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SystemExit(f"digits: {uri} has changed since the teacher saw it")
    return torch.from_numpy(np.array(Image.open(file)))[None]
