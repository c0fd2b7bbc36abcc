"""Images that data sets are built of: real digits, and a detector's heads of random scores."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

DIGITS = Path(__file__).parents[2] / "test" / "golden" / "vision" / "digits.npz"
SIDES = ("left", "top", "right", "bottom")


def write_digits(folder):
    """Digits and their list: [96] images of 4 views each."""
    data = dict(np.load(DIGITS))
    views = data["seeds"].shape[1]
    lines = []
    for i, image in enumerate(data["images"]):
        file = folder / f"{i}.pgm"
        file.write_bytes(b"P5 8 8 16\n" + image.tobytes())
        lines.append(
            {
                "uri": file.as_uri(),
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "hard_label": [int(data["labels"][i])] * views,
                "seed": [str(seed) for seed in data["seeds"][i]],
                "params": {
                    "dy": data["shifts"][i, :, 0].tolist(),
                    "dx": data["shifts"][i, :, 1].tolist(),
                },
            }
        )
    (folder / "digits.jsonl").write_text("\n".join(map(json.dumps, lines)))
    pipeline = folder / "pipeline.json"
    pipeline.write_text(json.dumps({"parameters": {"dy": "int32", "dx": "int32"}}))
    source = {
        "type": "vision",
        "images": str(folder / "digits.jsonl"),
        "scores": f"{DIGITS}:logits",
        "pipeline": str(pipeline),
        "classes": [str(digit) for digit in range(10)],
    }
    return SimpleNamespace(source=source, pipeline=pipeline.read_bytes(), **data)


def write_detector(folder, images=20, seed=3):
    """Heads of a detector: classes, sigmoid objectness, four sides of box bins."""
    rng = np.random.default_rng(seed)
    anchors = rng.integers(1, 9, images)
    count = int(anchors.sum())
    boxes = rng.random((count, 4), np.float32)
    mask = rng.random(count) < 0.7
    labels = rng.integers(-1, 6, count)
    labels[labels < 0] = -100
    ends = np.cumsum(anchors)
    lines = []
    for i, (end, n) in enumerate(zip(ends, anchors)):
        own = slice(end - n, end)
        lines.append(
            {
                "uri": f"s3://bucket/{i}.jpg",
                "sha256": hashlib.sha256(str(i).encode()).hexdigest(),
                "geometry": boxes[own].astype(float).tolist(),
                "hard_label": labels[own].tolist(),
                "mask": mask[own].tolist(),
                "meta": {"image": i},
            }
        )
    (folder / "detector.jsonl").write_text("\n".join(map(json.dumps, lines)))
    scores = {
        "classes": rng.normal(0, 3, (count, 6)).astype(np.float32),
        "objects": rng.normal(0, 4, (count, 5)).astype(np.float32),
        "sides": rng.normal(0, 2, (count, 4, 8)).astype(np.float32),
    }
    for name, array in scores.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "heads.npz", objects=scores["objects"])
    source = {
        "type": "vision",
        "images": str(folder / "detector.jsonl"),
        "scores": str(folder / "classes.npy"),
        "heads": [
            {
                "name": "objects",
                "scores": f"{folder / 'heads.npz'}:objects",
                "normalisation": "sigmoid",
            },
            {"name": "sides", "scores": str(folder / "sides.npy"), "parts": list(SIDES)},
        ],
    }
    return SimpleNamespace(
        source=source, ends=ends, boxes=boxes, mask=mask, labels=labels, **scores
    )


def softmax(logits):
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
