"""A student detector, with hard labels and with its teacher's: everything, on a CPU, in minutes.

    npm ci && npm run build
    python -m pip install ./python torch scikit-learn pillow pycocotools
    python examples/detection/run.py --seeds 5

A teacher learns from many canvases. What it says at every anchor of the student's few goes through
`logitcask build` and `serve`; the student learns from batches over HTTP. Hard labels are tried at
several weights of the background and numbers of steps, and the best on a validation set is what
soft labels are compared with, on a test set that both meet once.
"""

import argparse
import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from canvases import DIGITS, draw_canvases, pixels
from detector import ANCHORS, BACKGROUND, SIDES, Detector, assign, detect, hard_loss
from precision import mean_average_precision
from stored import batches, read_image, serve, store

from logitcask.losses import foreground_weights, kd_loss
from logitcask.losses_detection import box_kl_loss

RATE = 1e-2
TEMPERATURE = 2.0
#: Share of the hard labels in the student's loss.
ALPHA = 0.2
TEACHER, STUDENT = 20, 8
BACKGROUND_WEIGHTS = (0.1, 0.3, 1.0)
#: Two-sided 95 % of Student's t, by seeds − 1.
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--teacher-steps", type=int, default=900)
    parser.add_argument("--steps", type=int, default=600, help="of the student")
    parser.add_argument("--images", type=int, default=240, help="that the student learns from")
    parser.add_argument("--judged", type=int, default=150, help="canvases of the test set")
    parser.add_argument("--json", action="store_true", help="a line a seed")
    return parser.parse_args()


def train(model, steps, losses):
    """`losses` gives the loss of the model, a step each."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.2)
    model.train()
    for _, loss in zip(range(steps), losses(model)):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def train_teacher(canvases, steps, seed):
    images, assigned = pixels(canvases), [assign(one) for one in canvases]
    labels, truth = (torch.from_numpy(np.stack(one)) for one in zip(*assigned))
    rng = torch.Generator().manual_seed(seed)

    def losses(model):
        while True:
            rows = torch.randint(len(images), (16,), generator=rng)
            yield hard_loss(*model(images[rows]), labels[rows], truth[rows], 0.3)

    torch.manual_seed(seed)
    return train(Detector(TEACHER), steps, losses)


def soft_loss(classes, boxes, batch):
    """Anchors weigh what the teacher sees of a digit: most see background, and say nothing."""
    weights = foreground_weights(batch, BACKGROUND, temperature=TEMPERATURE, target_set="teacher")
    options = {"temperature": TEMPERATURE, "position_weights": weights}
    return kd_loss(classes, batch, target_set="teacher", **options) + box_kl_loss(
        boxes, batch, SIDES, **options
    )


def train_student(url, steps, seed, *, alpha, background_weight):
    """Hard labels alone where alpha is 1."""
    read = functools.cache(read_image)

    def losses(model):
        for batch in batches(url, f"canvases-{seed}", seed):
            classes, boxes = model(torch.stack([read(**one) for one in batch.images]))
            labels = batch["hard_label"].view(batch.rows, ANCHORS)
            truth = batch["geometry"].view(batch.rows, ANCHORS, 4)
            loss = alpha * hard_loss(classes, boxes, labels, truth, background_weight)
            if alpha < 1:
                loss = loss + (1 - alpha) * soft_loss(classes, boxes, batch)
            yield loss

    torch.manual_seed(1000 + seed)
    return train(Detector(STUDENT), steps, losses)


def judge(model, canvases):
    return mean_average_precision(detect(model, pixels(canvases)), canvases)


def digits_of(seed):
    """Numbers of the digits that the teacher, student, validation and test set are made of."""
    return np.split(np.random.default_rng(seed).permutation(len(DIGITS.target)), [900, 1100, 1400])


def teach(folder, seed, options):
    """Trains the seed's teacher, and stores what it says of the student's canvases."""
    for_teacher, for_student, *_ = digits_of(seed)
    teacher = train_teacher(draw_canvases([seed, 0], 900, for_teacher), options.teacher_steps, seed)
    canvases = draw_canvases([seed, 1], options.images, for_student)
    with torch.no_grad():
        outputs = teacher(pixels(canvases))
    assigned = [assign(one) for one in canvases]
    store(folder, f"canvases-{seed}", canvases, assigned, *outputs, TEMPERATURE)
    return teacher


def run_seed(url, teacher, seed, options):
    """mAP@0.5 and mAP@0.5:0.95 on the test set, by student."""
    *_, for_validation, for_test = digits_of(seed)
    validation = draw_canvases([seed, 2], options.judged, for_validation)
    test = draw_canvases([seed, 3], options.judged, for_test)
    tried = {}
    for steps in (options.steps // 2, options.steps):
        for weight in BACKGROUND_WEIGHTS:
            own = train_student(url, steps, seed, alpha=1, background_weight=weight)
            tried[judge(own, validation)[0], weight, steps] = own
    best = max(tried)
    soft = train_student(url, options.steps, seed, alpha=ALPHA, background_weight=0.3)
    found = {"teacher": teacher, "hard labels": tried[best], "soft labels": soft}
    return {"seed": seed, "best": best, **{name: judge(one, test) for name, one in found.items()}}


def table(found):
    lines = ["| student | mAP@0.5, by seed | mean | mAP@0.5:0.95 |", "|---|---|--:|--:|"]
    for name in ("teacher", "hard labels", "soft labels"):
        values = np.array([one[name] for one in found])
        by_seed = " / ".join(f"{value:.3f}" for value in values[:, 0])
        lines.append(
            f"| {name} | {by_seed} | {values[:, 0].mean():.3f} | {values[:, 1].mean():.3f} |"
        )
    if len(found) > 1:
        for i, name in enumerate(("mAP@0.5", "mAP@0.5:0.95")):
            gain, half = gain_of([one["soft labels"][i] - one["hard labels"][i] for one in found])
            lines.append(f"\n{name}: {100 * gain:+.1f} ± {100 * half:.1f} points (95 %, paired)")
    return "\n".join(lines)


def gain_of(differences):
    """Mean, and half of its 95 % interval."""
    count = len(differences)
    half = T95.get(count - 1, 2.0) * np.std(differences, ddof=1) / count**0.5
    return np.mean(differences), half


def main():
    options = read_arguments()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        teachers = [teach(Path(folder), seed, options) for seed in range(options.seeds)]
        with serve(Path(folder)) as url:
            for seed, teacher in enumerate(teachers):
                found.append(run_seed(url, teacher, seed, options))
                if options.json:
                    print(json.dumps(found[-1]), flush=True)
    if not options.json:
        print(table(found))


if __name__ == "__main__":
    main()
