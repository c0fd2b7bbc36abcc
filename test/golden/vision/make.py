"""Writes digits.npz: real digits, four shifted views of each, and a teacher's logits of those.

The images are scikit-learn's digits (8 x 8 pixels, UCI ML hand-written digits, CC BY 4.0), the
last 96 of 1,797; the teacher is a logistic regression over the first 1,500.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

VIEWS = 4

digits = load_digits()
teacher = LogisticRegression(max_iter=2000, C=0.01)
teacher.fit(digits.data[:1500], digits.target[:1500])
images, labels = digits.images[-96:].astype(np.uint8), digits.target[-96:]
rng = np.random.default_rng(7)
seeds = rng.integers(0, 1 << 64, (len(images), VIEWS), np.uint64)
shifts = rng.integers(-1, 2, (len(images), VIEWS, 2)).astype(np.int32)
views = np.stack([
    [np.roll(image, shift, (0, 1)).reshape(-1) for shift in own]
    for image, own in zip(images, shifts)
])
logits = teacher.decision_function(views.reshape(-1, 64)).astype(np.float16)
np.savez(
    Path(__file__).with_name("digits.npz"),
    images=images,
    labels=labels.astype(np.int32),
    seeds=seeds,
    shifts=shifts,
    logits=logits,
)
