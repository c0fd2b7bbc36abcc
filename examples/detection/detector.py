"""A small anchor-free detector, its hard labels, its losses of those, and what it finds."""

import numpy as np
import torch
from canvases import CLASSES, SIDE
from torch import nn
from torch.nn.functional import cross_entropy

STRIDE = 4
GRID = SIDE // STRIDE
ANCHORS = GRID * GRID
BACKGROUND = CLASSES
SIDES = ("left", "top", "right", "bottom")
#: A side is a distribution over its distance from the anchor, in bins of so many pixels.
BINS, BIN = 9, 2.0

_steps = (torch.arange(GRID) + 0.5) * STRIDE
#: Pixels [ANCHORS, 2], x and y, row by row.
CENTRES = torch.stack(torch.meshgrid(_steps, _steps, indexing="xy"), -1).flatten(0, 1)


class Detector(nn.Module):
    """Logits of classes and background [B, ANCHORS, 11], and of bins [B, ANCHORS, 4, BINS]."""

    def __init__(self, width):
        super().__init__()
        layers, channels = [], 1
        for stride, after in ((2, width), (2, 2 * width), (1, 2 * width), (1, 2 * width)):
            layers.append(nn.Conv2d(channels, after, 3, padding=1, stride=stride))
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
            channels = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, CLASSES + 1 + len(SIDES) * BINS, 1)
        nn.init.constant_(self.head.bias[BACKGROUND : BACKGROUND + 1], 3.0)

    def forward(self, images):
        found = self.head(self.body(images)).flatten(2).transpose(1, 2)
        classes, boxes = found.split([CLASSES + 1, len(SIDES) * BINS], -1)
        return classes, boxes.unflatten(-1, (len(SIDES), BINS))


def assign(canvas):
    """Hard labels int [ANCHORS] and boxes float32 [ANCHORS, 4] of one canvas.

    The anchors near a digit's centre have its class and its box; all others are background, with
    their own cell for a box.
    """
    labels = np.full(ANCHORS, BACKGROUND, np.int32)
    centres = CENTRES.numpy()
    boxes = np.concatenate([centres - STRIDE / 2, centres + STRIDE / 2], 1).astype(np.float32)
    for box, label in zip(canvas.boxes, canvas.labels):
        near = (np.abs(centres - (box[:2] + box[2:]) / 2) <= 0.75 * STRIDE).all(1)
        labels[near], boxes[near] = label, box
    return labels, boxes


def hard_loss(classes, boxes, labels, truth, background_weight):
    """Weighted cross-entropy of classes, and of each side's two nearest bins where a digit is."""
    labels = labels.long()
    weights = torch.ones(CLASSES + 1).index_fill(0, torch.tensor(BACKGROUND), background_weight)
    on_digit = labels != BACKGROUND
    count = on_digit.sum().clamp(min=1)
    ce = cross_entropy(classes.flatten(0, 1), labels.flatten(), weights, reduction="sum")
    centres = CENTRES.expand(*labels.shape, 2)[on_digit]
    truth = truth[on_digit]
    distances = torch.cat([centres - truth[:, :2], truth[:, 2:] - centres], -1) / BIN
    distances = distances.clamp(0, BINS - 1.001)
    low = distances.long()
    log_q = boxes[on_digit].log_softmax(-1)
    near, far = (log_q.gather(-1, bins[..., None])[..., 0] for bins in (low, low + 1))
    share = distances - low
    return (ce - ((1 - share) * near + share * far).mean(-1).sum()) / count


@torch.no_grad()
def detect(model, images, least=0.02):
    """A list an image of (class, score, box), after non-maximum suppression at IoU 0.5."""
    classes, bins = model(images)
    probs = classes.softmax(-1)[..., :CLASSES]
    distances = bins.softmax(-1) @ (torch.arange(BINS) * BIN)
    boxes = torch.cat([CENTRES - distances[..., :2], CENTRES + distances[..., 2:]], -1)
    return [_suppress(*one, least) for one in zip(probs, boxes)]


def _suppress(probs, boxes, least):
    found = []
    for label in range(CLASSES):
        kept = []
        for anchor in probs[:, label].argsort(descending=True).tolist():
            score = probs[anchor, label].item()
            if score < least:
                break
            box = boxes[anchor].tolist()
            if all(overlap(box, other) < 0.5 for other in kept):
                kept.append(box)
                found.append((label, score, box))
    return found


def overlap(one, other):
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (area - width * height)
