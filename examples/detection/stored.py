"""From a teacher's outputs to the student's batches."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from detector import SIDES
from PIL import Image

from logitcask import Batch, TargetSet

SIZE = 8


def write_inputs(folder, canvases, assigned, classes, boxes):
    """Images, the list of them with their hard labels and boxes, and the teacher's logits."""
    folder.mkdir(parents=True)
    lines = []
    for number, (canvas, (labels, geometry)) in enumerate(zip(canvases, assigned)):
        file = folder / f"{number:04}.png"
        Image.fromarray(canvas.image).save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        line = {"uri": str(file), "sha256": digest}
        lines.append({**line, "hard_label": labels.tolist(), "geometry": geometry.tolist()})
    (folder / "images.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    np.save(folder / "classes.npy", classes.flatten(0, 1).numpy())
    np.save(folder / "boxes.npy", boxes.flatten(0, 1).numpy())


def read_image(uri, digest):
    """Float [1, SIDE, SIDE] of an image that is what its digest says."""
    file = Path(uri)
    if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        raise SystemExit(f"detection: {uri} has changed since the teacher saw it")
    return torch.from_numpy(np.array(Image.open(file)))[None] / 255


def batches(folder, seed, temperature):
    """Endless batches, in memory: to be had from `LogitDataset` once `build` reads these files."""
    lines = [json.loads(line) for line in (folder / "images.jsonl").open()]
    count = len(lines)
    scores = {"teacher": np.load(folder / "classes.npy").reshape(count, -1, 11)}
    boxes = np.load(folder / "boxes.npy").reshape(count, -1, len(SIDES), 9)
    scores.update({side: boxes[:, :, i] for i, side in enumerate(SIDES)})
    arrays = {
        "hard_label": torch.tensor([line["hard_label"] for line in lines]),
        "geometry": torch.tensor([line["geometry"] for line in lines]),
    }
    arrays["mask"] = torch.ones(arrays["hard_label"].shape, dtype=torch.bool)
    for name, logits in scores.items():
        logp = (torch.from_numpy(logits) / temperature).log_softmax(-1)
        arrays[f"{name}_logprobs"] = logp
        arrays[f"{name}_ids"] = torch.arange(logp.shape[-1]).expand(logp.shape)
        arrays[f"{name}_rest"] = torch.zeros(logp.shape[:-1])
    sets = {
        name: TargetSet(name, "scaled", "raw", temperature, True, (), None, None) for name in scores
    }
    rng = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=rng)
        for rows in order[: count // SIZE * SIZE].view(-1, SIZE):
            own = {name: array[rows] for name, array in arrays.items()}
            refs = [(lines[i]["uri"], lines[i]["sha256"]) for i in rows.tolist()]
            yield Batch("dense", SIZE, 11, sets, own, {}, None), refs
