"""From a teacher's outputs to the student's batches, and from a batch to its crops."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from logitcask import Batch, TargetSet

#: Images a batch, each with all of its crops.
SIZE = 15


def write_inputs(folder, labelled, seeds, logits, pipeline):
    """Images, the list of them with labels and seeds, the teacher's logits, the pipeline."""
    folder.mkdir(parents=True)
    lines = []
    for number, (image, label, own) in enumerate(zip(*labelled, seeds.tolist())):
        file = folder / f"{number:02}.png"
        Image.fromarray(image[0].numpy()).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append({"uri": str(file), "sha256": digest, "hard_label": int(label), "seed": own})
    (folder / "images.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (folder / "pipeline.json").write_text(pipeline.text)
    np.save(folder / "logits.npy", logits.numpy())


class Replay:
    """Crops of batches; each is made once."""

    def __init__(self, pipeline):
        self.pipeline, self.made = pipeline, {}

    def crops(self, batch):
        """uint8 [positions, 1, 8, 8], in the order of the batch's positions."""
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
    content = Path(uri).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SystemExit(f"digits: {uri} has changed since the teacher saw it")
    return torch.from_numpy(np.array(Image.open(uri)))[None]
