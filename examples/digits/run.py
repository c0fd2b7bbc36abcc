"""60 labelled images, and a teacher's opinion of each crop: everything, on a CPU, in minutes.

    npm ci && npm run build && python -m pip install ./python torch scikit-learn pillow
    python examples/digits/run.py --seeds 10

A teacher learns from 940 of scikit-learn's digits. What it says of 16 crops of each of 60 others
goes through `logitcask build` and `serve`, with a seed a crop; the student learns from batches over
HTTP, and makes the crops again from their seeds. Hard labels are tried at several rates and numbers
of steps, on crops and on whole images, and the best on a validation set is what soft labels are
compared with, on a test set that both meet once.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from stored import Replay, batches, serve, store
from students import accuracy, network, train, train_teacher
from torch.nn.functional import cross_entropy

from logitcask.augment import Pipeline
from logitcask.losses import kd_loss

ALPHA, TEMPERATURE = 0.5, 2.0
STUDENT, RATE = 8, 3e-3
RATES = (1e-3, 3e-3, 1e-2)
CROPS = 16
PIPELINE = Pipeline(
    {
        "format": "logitcask/augmentation/1",
        "parameters": {},
        "steps": [
            {
                "type": "resized-crop",
                "height": 8,
                "width": 8,
                "area_per_mille": [600, 1000],
                "ratio_per_mille": [833, 1200],
            },
            {
                "type": "colour",
                "brightness_per_mille": [800, 1200],
                "contrast_per_mille": [800, 1200],
                "saturation_per_mille": [1000, 1000],
            },
        ],
    }
)
#: Two-sided 95 % of Student's t, by seeds − 1.
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=480, help="of a student")
    parser.add_argument("--json", action="store_true", help="a line a seed")
    return parser.parse_args()


def crops_of(images, count, first_seed):
    """`count` crops of each image, and their seeds [N, count]."""
    seeds = first_seed + torch.arange(len(images) * count).view(-1, count)
    crops = [
        PIPELINE.view(image, PIPELINE.sample(seed, image.shape[1:]))
        for image, own in zip(images, seeds.tolist())
        for seed in own
    ]
    return torch.stack(crops), seeds


def train_on_batches(url, replay, *, steps, rate, seed, alpha):
    """On crops, made again from their seeds; hard labels alone where alpha is 1."""

    def losses(model):
        for batch in batches(url, f"digits-{seed}", seed):
            logits = model(replay.crops(batch) / 255)
            yield kd_loss(logits, batch, alpha=alpha, temperature=TEMPERATURE if alpha < 1 else 1)

    torch.manual_seed(1000 + seed)
    return train(network(STUDENT), losses, steps=steps, rate=rate)


def train_on_images(images, labels, *, steps, rate, seed):
    """Hard labels of whole images, which some students learn more from than from crops."""
    rng = torch.Generator().manual_seed(seed)

    def losses(model):
        while True:
            rows = torch.randperm(len(images), generator=rng)[:30]
            yield cross_entropy(model(images[rows] / 255), labels[rows])

    torch.manual_seed(1000 + seed)
    return train(network(STUDENT), losses, steps=steps, rate=rate)


def best_hard(url, replay, images, labels, validation, *, steps, seed):
    """The student of hard labels that is best on the validation set, and how it was trained."""
    tried = {}
    for rate in RATES:
        for count in (steps // 2, steps):
            own = {"steps": count, "rate": rate, "seed": seed}
            for name, model in (
                ("crops", train_on_batches(url, replay, alpha=1, **own)),
                ("images", train_on_images(images, labels, **own)),
            ):
                tried[accuracy(model, *validation), name, rate, count] = model
    best = max(tried)
    return tried[best], best


def split(seed):
    """Images uint8 [n, 1, 8, 8] and labels: of the student, teacher, validation and test."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images = torch.from_numpy((digits.images[order] * 15).astype(np.uint8))[:, None]
    labels = torch.from_numpy(digits.target[order])
    parts = [60, 940, 300, len(order) - 1300]
    return list(zip(images.split(parts), labels.split(parts)))


def teach(folder, seed):
    """Trains the seed's teacher, and stores what it says of the student's crops."""
    own, (images, labels), *_ = split(seed)
    crops, _ = crops_of(images, 4, seed << 32)
    labels = torch.cat([labels, labels.repeat_interleave(4)])
    teacher = train_teacher(torch.cat([images, crops]), labels, steps=500, seed=seed)
    crops, seeds = crops_of(own[0], CROPS, (seed << 32) + (1 << 31))
    with torch.no_grad():
        logits = teacher(crops / 255)
    store(folder, f"digits-{seed}", own, seeds, logits, PIPELINE, TEMPERATURE)
    return teacher


def run_seed(url, teacher, seed, steps):
    own, _, validation, test = split(seed)
    replay = Replay(PIPELINE)
    hard, best = best_hard(url, replay, *own, validation, steps=steps, seed=seed)
    soft = train_on_batches(url, replay, steps=steps, rate=RATE, seed=seed, alpha=ALPHA)
    found = {"teacher": teacher, "hard labels": hard, "soft labels": soft}
    return {"seed": seed, "best": best, **{k: accuracy(v, *test) for k, v in found.items()}}


def table(found):
    lines = ["| student | accuracy, by seed | mean |", "|---|---|--:|"]
    for name in ("teacher", "hard labels", "soft labels"):
        values = [100 * one[name] for one in found]
        by_seed = " / ".join(f"{value:.1f}" for value in values)
        lines.append(f"| {name} | {by_seed} | {np.mean(values):.1f} |")
    if len(found) > 1:
        gains = [100 * (one["soft labels"] - one["hard labels"]) for one in found]
        half = T95.get(len(found) - 1, 2.0) * np.std(gains, ddof=1) / len(found) ** 0.5
        lines.append(f"\n{np.mean(gains):+.1f} ± {half:.1f} points (95 %, paired)")
    return "\n".join(lines)


def main():
    options = read_arguments()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        teachers = [teach(Path(folder), seed) for seed in range(options.seeds)]
        with serve(Path(folder)) as url:
            for seed, teacher in enumerate(teachers):
                found.append(run_seed(url, teacher, seed, options.steps))
                if options.json:
                    print(json.dumps(found[-1]), flush=True)
    if not options.json:
        print(table(found))


if __name__ == "__main__":
    main()
