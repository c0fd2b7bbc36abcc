"""Which entries of whole distributions a recorder keeps, chosen where the logits are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

#: Values that are worked on at a time: few enough to stay in cache, or small beside a GPU's memory.
CHUNK_HOST = 1 << 18
CHUNK_DEVICE = 1 << 24


class Chosen(NamedTuple):
    """Entries of N rows, on the host; ``finish`` makes log-probs of them."""

    #: int32 [N, k], or flattened where ``counts`` is given.
    ids: np.ndarray
    #: float32 logits of the same shape; log-weights where ``counts`` is given.
    values: np.ndarray
    #: float32 [N]: log Σ exp of all logits.
    lse: np.ndarray
    #: float32 [N]: logits of the next tokens.
    labels: np.ndarray
    #: int32 [N]: entries drawn, or None: k of each.
    counts: np.ndarray | None


def log_tau(tau: float) -> float:
    """Log of τ as a float32, as the server keeps it."""
    return float(np.float32(math.log(np.float32(tau))))


def is_torch(array: Any) -> bool:
    return type(array).__module__.split(".")[0] == "torch"


def start_draws(sample_id: bytes, count: int) -> np.ndarray:
    """Where the draws of each position begin, in [0, 1): keyed, so that a rerun draws the same."""
    key = np.frombuffer(sample_id, dtype="<u4")
    a, b, c = (np.full(count, word, dtype=np.uint32) for word in key[:3])
    counter = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + key[3]
    out = a
    for _ in range(16):  # sfc32: fifteen rounds of warm-up, then the number
        out = a + b + counter
        counter = counter + np.uint32(1)
        a = b ^ (b >> np.uint32(9))
        b = c + (c << np.uint32(3))
        c = ((c << np.uint32(21)) | (c >> np.uint32(11))) + out
    return out / 2.0**32


def top_k(logits: Any, labels: Any, k: int) -> tuple[Any, ...]:
    """Of rows [N, V]: ids, logits, log-sum-exp and the labels' logits, still on the device."""
    if not is_torch(logits):
        return _top_k_numpy(np.asarray(logits, dtype=np.float32), labels, k)
    import torch

    parts = []
    for rows, own in _chunks(logits, labels):
        values, ids = torch.topk(rows, k)
        lse = torch.logsumexp(rows.float(), -1)
        picked = rows.gather(-1, own[:, None])[:, 0]
        parts.append((ids.int(), values.float(), lse, picked.float()))
    return tuple(torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts))


def draw(logits: Any, labels: Any, tau: float, starts: np.ndarray) -> tuple[Any, ...]:
    """Every p ≥ τ, and systematic draws of weight τ from the rest, docs/sparsifiers.md."""
    if not is_torch(logits):
        return _draw_numpy(np.asarray(logits, dtype=np.float32), labels, tau, starts)
    import torch

    begins = torch.from_numpy(starts).to(logits.device)
    parts, at = [], 0
    for rows, own in _chunks(logits, labels):
        start = begins[at : at + len(rows), None]
        at += len(rows)
        rows = rows.float()
        lse = torch.logsumexp(rows, -1)
        logprobs = rows - lse[:, None]
        head = logprobs >= log_tau(tau)
        mass = torch.where(head, 0.0, logprobs.exp()).double().cumsum(-1) / float(np.float32(tau))
        points = torch.ceil(mass - start).clamp(min=0)
        before = torch.nn.functional.pad(points[:, :-1], (1, 0))
        kept = head | (points > before)
        ids = kept.nonzero()[:, 1]
        weights = torch.where(head, logprobs, log_tau(tau))[kept]
        picked = rows.gather(-1, own[:, None])[:, 0]
        parts.append((ids.int(), weights, lse, picked, kept.sum(-1).int()))
    return tuple(torch.cat(part) for part in zip(*parts))


def _chunks(logits: Any, labels: Any):
    most = CHUNK_HOST if logits.device.type == "cpu" else CHUNK_DEVICE
    size = max(1, most // logits.shape[1])
    return zip(logits.split(size), labels.split(size))


def _lse(rows: np.ndarray) -> np.ndarray:
    most = rows.max(-1, keepdims=True)
    return (np.log(np.exp(rows - most).sum(-1)) + most[:, 0]).astype(np.float32)


def _top_k_numpy(rows: np.ndarray, labels: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    found = np.argpartition(-rows, k - 1, axis=-1)[:, :k]
    values = np.take_along_axis(rows, found, -1)
    order = np.argsort(-values, axis=-1, kind="stable")
    ids = np.take_along_axis(found, order, -1).astype(np.int32)
    picked = np.take_along_axis(rows, labels[:, None], -1)[:, 0]
    return ids, np.take_along_axis(values, order, -1), _lse(rows), picked


def _draw_numpy(
    rows: np.ndarray, labels: np.ndarray, tau: float, starts: np.ndarray
) -> tuple[np.ndarray, ...]:
    lse = _lse(rows)
    logprobs = rows - lse[:, None]
    head = logprobs >= log_tau(tau)
    mass = np.where(head, 0, np.exp(logprobs, dtype=np.float64)).cumsum(-1) / np.float32(tau)
    points = np.ceil(mass - starts[:, None]).clip(min=0)
    kept = head | (np.diff(points, axis=-1, prepend=0) > 0)
    ids = kept.nonzero()[1].astype(np.int32)
    weights = np.where(head, logprobs, np.float32(log_tau(tau)))[kept]
    picked = np.take_along_axis(rows, labels[:, None], -1)[:, 0]
    return ids, weights, lse, picked, kept.sum(-1).astype(np.int32)
