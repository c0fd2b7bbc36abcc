"""A detection set: real digits of scikit-learn on noisy canvases with clutter, drawn by seed."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

SIDE = 40
CLASSES = 10
DIGITS = load_digits()


class Canvas(NamedTuple):
    """uint8 [SIDE, SIDE]; float32 [n, 4] of left, top, right, bottom in pixels; int [n]."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def draw_canvases(seed, count, digits):
    """Canvases with 1 to 3 digits each, of those whose numbers are given."""
    rng = np.random.default_rng(seed)
    return [_draw(rng, digits) for _ in range(count)]


def pixels(canvases):
    """Float [N, 1, SIDE, SIDE] in 0 … 1: what both networks read."""
    return torch.from_numpy(np.stack([one.image for one in canvases]))[:, None] / 255


def _draw(rng, digits):
    image = rng.normal(0.25, 0.12, (SIDE, SIDE))
    for _ in range(rng.integers(2, 6)):
        height, width = rng.integers(2, 7, 2)
        top, left = rng.integers(0, SIDE - 7, 2)
        image[top : top + height, left : left + width] += rng.uniform(-0.3, 0.5)
    boxes, labels = [], []
    for _ in range(rng.integers(1, 4)):
        box = _free_box(rng, boxes)
        if box is None:
            continue
        number = int(rng.choice(digits))
        left, top, right, bottom = box
        digit = torch.from_numpy(DIGITS.images[number] / 16)[None, None]
        ink = interpolate(digit, (right - left,) * 2, mode="bilinear")[0, 0].numpy()
        patch = image[top:bottom, left:right]
        image[top:bottom, left:right] = patch * (1 - ink) + ink * rng.uniform(0.5, 1.0)
        boxes.append(box)
        labels.append(int(DIGITS.target[number]))
    image = image + rng.normal(0, 0.05, image.shape)
    image = (image.clip(0, 1) * 255).round().astype(np.uint8)
    return Canvas(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, int))


def _free_box(rng, boxes):
    """A square of 9 to 16 pixels that overlaps no other; None where none was found."""
    for _ in range(20):
        side = int(rng.integers(9, 17))
        left, top = (int(one) for one in rng.integers(0, SIDE - side + 1, 2))
        box = (left, top, left + side, top + side)
        apart = [
            box[2] <= left or right <= box[0] or box[3] <= top or bottom <= box[1]
            for left, top, right, bottom in boxes
        ]
        if all(apart):
            return box
    return None
