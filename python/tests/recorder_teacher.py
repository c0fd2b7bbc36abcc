"""A teacher that is known: the distribution after a token depends on it alone."""

from __future__ import annotations

import numpy as np

V = 500
TABLE = (3 * np.random.default_rng(11).normal(size=(V, V))).astype(np.float32)
PROBS = np.exp(TABLE.astype(np.float64))
PROBS /= PROBS.sum(1, keepdims=True)


def logits_of(tokens):
    return TABLE[tokens]


def sequence(seed, length=None):
    """Tokens drawn from the teacher itself, so that alignment holds, and its logits."""
    rng = np.random.default_rng(seed)
    tokens = [int(rng.integers(V))]
    for _ in range((length or 30 + seed % 7) - 1):
        tokens.append(int(rng.choice(V, p=PROBS[tokens[-1]])))
    tokens = np.array(tokens, dtype=np.int32)
    return tokens, logits_of(tokens)


def batch(seeds):
    """Padded on the right: tokens, logits, attention mask."""
    all_tokens = [sequence(seed)[0] for seed in seeds]
    longest = max(map(len, all_tokens))
    tokens = np.zeros((len(all_tokens), longest), dtype=np.int64)
    attention = np.zeros_like(tokens)
    for row, own in enumerate(all_tokens):
        tokens[row, : len(own)] = own
        attention[row, : len(own)] = 1
    return tokens, logits_of(tokens), attention
