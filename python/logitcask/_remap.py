"""A teacher's ids as a student's, where the tokenizers differ in added tokens only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ._tokenizer import Comparison
from .batch import Batch
from .errors import LogitcaskError


class Remap:
    """Batches in the student's ids.

    What the student does not have is left out of the targets, its mass goes to the rest where the
    targets have one; a sample that holds such a token is refused.
    """

    def __init__(self, comparison: Comparison) -> None:
        teacher, student = comparison.teacher_ids, comparison.student_ids
        self._names = {id_: content for content, id_ in teacher.items()}
        #: Ids from here on are padding, or the teacher's alone: the server need not send them.
        self.vocab_size = 1 + max((id_ for c, id_ in teacher.items() if c in student), default=0)
        self._size = 1 + max(student.values(), default=0)
        self._table = np.full(self.vocab_size, -1, np.int64)
        for content, id_ in teacher.items():
            if content in student:
                self._table[id_] = student[content]

    def apply(self, batch: Batch) -> Batch:
        arrays = dict(batch.arrays)
        arrays["tokens"] = self._tokens(batch)
        change = _dense if batch.layout == "dense" else _flat
        for name in batch.target_sets:
            ids = self._map(arrays[f"{name}_ids"])
            arrays |= change(name, arrays, ids)
        return replace(batch, arrays=arrays, vocabulary=self._size)

    def _map(self, ids: np.ndarray) -> np.ndarray:
        inside = ids < len(self._table)
        return np.where(inside, self._table[np.where(inside, ids, 0)], -1)

    def _tokens(self, batch: Batch) -> np.ndarray:
        tokens = batch["tokens"]
        mapped = self._map(tokens)
        if batch.layout == "dense":
            padding = np.arange(tokens.shape[1]) >= np.asarray(batch["length"])[:, None]
            mapped[padding] = 0
        for place in np.argwhere(mapped < 0)[:1]:
            at = tuple(place)
            offsets = batch.arrays.get("offsets")
            row = at[0] if offsets is None else np.searchsorted(offsets, at[0], "right") - 1
            token = int(tokens[at])
            sample = batch["sample_id"][row].tobytes().hex()
            detail = (
                f"dataset: sample {sample} holds {self._names.get(token, 'an id without a token')} "
                f"({token}), which the student's tokenizer does not have; leave it out of the plan"
            )
            raise LogitcaskError("conflict", 409, detail, got=token)
        return mapped.astype(tokens.dtype)


def _dense(name: str, arrays: Mapping[str, Any], ids: np.ndarray) -> dict[str, np.ndarray]:
    logprobs = arrays[f"{name}_logprobs"]
    gone = (ids < 0) & (logprobs > -np.inf)
    out = {f"{name}_ids": np.where(ids < 0, 0, ids).astype(np.int32)}
    if not gone.any():
        return out
    mass = np.where(gone, np.exp(logprobs.astype(np.float32)), 0).sum(-1)
    order = np.argsort(gone, axis=-1, kind="stable")  # padding lies behind what is kept
    out[f"{name}_ids"] = np.take_along_axis(out[f"{name}_ids"], order, -1)
    kept = np.where(gone, -np.inf, logprobs).astype(logprobs.dtype)
    out[f"{name}_logprobs"] = np.take_along_axis(kept, order, -1)
    if f"{name}_rest" in arrays:
        out[f"{name}_rest"] = (arrays[f"{name}_rest"] + mass).astype(np.float32)
    return out


def _flat(name: str, arrays: Mapping[str, Any], ids: np.ndarray) -> dict[str, np.ndarray]:
    keep = ids >= 0
    out = {f"{name}_ids": ids[keep].astype(np.uint32)}
    if keep.all():
        return out
    offsets, probs, rest = (arrays[f"{name}_{part}"] for part in ("offsets", "probs", "rest"))
    out[f"{name}_offsets"] = np.concatenate([[0], np.cumsum(keep)])[offsets]
    out[f"{name}_probs"] = probs[keep]
    if rest.size > 0:
        position = np.searchsorted(offsets, np.flatnonzero(~keep), "right") - 1
        mass = np.bincount(position, weights=probs[~keep], minlength=rest.size)
        out[f"{name}_rest"] = (rest + mass).astype(np.float32)
    return out
