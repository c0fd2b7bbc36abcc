"""Batches as models take them: rows of packs, and the inputs of Hugging Face models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .batch import Batch
from .errors import LogitcaskError, invalid_reply

IGNORED = -100

#: Arrays of a target set that have one item a position (and what stands where there is none).
FILLS = {"rest": 1, "label_logprob": np.nan, "log_z": 0, "ids": 0, "logprobs": -np.inf}


def to_packs(batch: Batch) -> Batch:
    """Lays the rows of a packed plan's batch into P packs of L positions.

    Arrays: ``tokens`` int32, ``mask`` bool, ``document_ids`` int32 (documents count from 1 in each
    pack; 0: nothing lies here), ``position_ids`` int32 (from 0 in each document), all [P, L]; the
    targets in the same order: ``teacher_offsets`` int64 [P · L + 1], where a position without a
    document has no entries and a rest of 1, and the others as in `Batch` with N = P · L. Of layout
    ``dense`` the targets are [P, L, …]. The mask is false where nothing lies, in packs that only
    pad, and at a seam's last position: no target depends on another document.
    """
    if "pack" not in batch.arrays:
        detail = "batch: its plan has no packs, make one with packing"
        raise LogitcaskError("request-invalid", 400, detail, got=sorted(batch.arrays))
    source = _Source(batch)
    arrays, shape = source.arrays, source.shape
    n = shape[0] * shape[1]
    row = np.repeat(np.arange(batch.rows), source.lengths)
    pad = arrays["pad"][row] if "pad" in arrays else np.zeros(len(row), np.bool_)
    found = {
        "tokens": source.lay(arrays["tokens"], 0).reshape(shape),
        "mask": source.lay(source.flat(arrays["mask"]) & ~pad, False, flat=True).reshape(shape),
        "document_ids": source.lay(source.documents[row], 0, flat=True).reshape(shape),
        "position_ids": source.lay(source.positions, 0, flat=True).reshape(shape),
    }
    for name in batch.target_sets:
        for part, fill in FILLS.items():
            key = f"{name}_{part}"
            if key in arrays and (source.dense or part not in ("ids", "logprobs")):
                laid = source.lay(arrays[key], fill)
                found[key] = laid.reshape(*shape, *laid.shape[1:]) if source.dense else laid
        if not source.dense:
            counts = np.zeros(n + 1, np.int64)
            counts[1:][source.places] = np.diff(arrays[f"{name}_offsets"])
            found[f"{name}_offsets"] = np.cumsum(counts, out=counts)
            # rows lie in the order of their packs, and so do their entries
            found |= {f"{name}_{part}": arrays[f"{name}_{part}"] for part in ("ids", "probs")}
    if source.dense:
        found["length"] = np.full(shape[0], shape[1], np.int32)
    else:
        found["offsets"] = np.arange(shape[0] + 1, dtype=np.int64) * shape[1]
    layout = "dense" if source.dense else "packs"
    packed = replace(batch, layout=layout, rows=shape[0], arrays=found)
    return packed.torch() if source.torch else packed


class _Source:
    """Where each position of a batch's rows goes in its packs."""

    def __init__(self, batch: Batch) -> None:
        self.arrays, self.torch = _numpy(batch)
        self.dense = batch.layout == "dense"
        arrays = self.arrays
        length = int(batch.metadata.get("logitcask.pack_length", 0))
        self.lengths = arrays["length"] if self.dense else np.diff(arrays["offsets"])
        pack, offset = arrays["pack"].astype(np.int64), arrays["offset"].astype(np.int64)
        count = int(pack[-1]) + 1 if len(pack) > 0 else 0
        ends = offset + self.lengths
        steps = np.diff(pack)
        follows = np.where(steps == 0, offset[1:] >= ends[:-1], steps == 1)
        inside = np.all((offset >= 0) & (ends <= length)) and not np.any(pack[:1])
        if not (inside and np.all(follows)):
            got = {"pack": pack, "offset": offset, "positions": self.lengths}
            detail = "batch: rows do not lie one behind the other in packs"
            raise invalid_reply(detail, expected=f"packs of {length} positions", got=got)
        self.shape = (count, length)
        firsts = np.searchsorted(pack, pack)
        self.documents = (np.arange(len(pack)) - firsts + 1).astype(np.int32)
        starts = np.cumsum(self.lengths) - self.lengths
        within = np.arange(int(self.lengths.sum())) - np.repeat(starts, self.lengths)
        self.positions = within.astype(np.int32)
        self.places = np.repeat(pack * length + offset, self.lengths) + within

    def flat(self, array: np.ndarray) -> np.ndarray:
        """Items of the positions that rows hold, without a dense row's padding."""
        if not self.dense:
            return array
        return array[np.arange(array.shape[1]) < self.lengths[:, None]]

    def lay(self, array: np.ndarray, fill: Any, *, flat: bool = False) -> np.ndarray:
        values = array if flat else self.flat(array)
        laid = np.full((self.shape[0] * self.shape[1], *values.shape[1:]), fill, values.dtype)
        laid[self.places] = values
        return laid


def model_inputs(batch: Batch, pad_to: int | None = None, pad_token: int = 0) -> dict[str, Any]:
    """``input_ids``, ``labels``, ``attention_mask``, ``position_ids`` int64 [B, L], or of packs.

    Labels are not shifted, as these models expect: that of position t is token t where it is to be
    learned, which the mask of position t − 1 says, else −100. Rows are padded on the right, to the
    longest or `pad_to`; logits [B, L, V] of them go into a loss as they are. Of packs there
    is no ``attention_mask``: position ids that start again tell these models where a document
    begins. Inputs of packs come from ``batch.packs()``.
    """
    arrays, as_torch = _numpy(batch)
    if "tokens" not in arrays or "pack" in arrays:
        detail = "batch: model inputs are of text, and of packs after packs()"
        raise LogitcaskError("request-invalid", 400, detail, got=sorted(arrays))
    packed = "position_ids" in arrays
    tokens, mask, lengths = _padded(arrays, pad_to)
    present = np.arange(tokens.shape[1]) < lengths[:, None]
    if packed:
        present = arrays["document_ids"] > 0
    if "pad" in arrays:
        mask = mask & ~arrays["pad"][:, None]
    learned = np.zeros_like(mask)
    learned[:, 1:] = mask[:, :-1]
    inputs = {
        "input_ids": np.where(present, tokens, pad_token).astype(np.int64),
        "labels": np.where(learned, tokens, IGNORED).astype(np.int64),
    }
    if packed:
        inputs["position_ids"] = arrays["position_ids"].astype(np.int64)
    else:
        inputs["attention_mask"] = present.astype(np.int64)
        every = np.arange(tokens.shape[1], dtype=np.int64)
        inputs["position_ids"] = np.broadcast_to(every, tokens.shape).copy()
    if not as_torch:
        return inputs
    import torch

    return {name: torch.from_numpy(array) for name, array in inputs.items()}


def _padded(
    arrays: Mapping[str, np.ndarray], pad_to: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens and mask [B, L], and the length of each row."""
    tokens, mask = arrays["tokens"], arrays["mask"]
    if tokens.ndim == 2:
        lengths = arrays.get("length", np.full(len(tokens), tokens.shape[1]))
        if pad_to not in (None, tokens.shape[1]):
            detail = "batch: its rows have a length already, ask the server for pad_to"
            raise LogitcaskError("request-invalid", 400, detail, expected=pad_to, got=tokens.shape)
        return tokens, mask, lengths
    lengths = np.diff(arrays["offsets"])
    longest = int(lengths.max(initial=0))
    width = longest if pad_to is None else pad_to
    if longest > width:
        detail = "batch: a sample is longer than pad_to"
        raise LogitcaskError("request-invalid", 400, detail, expected=width, got=longest)
    held = np.arange(width) < lengths[:, None]
    padded = np.zeros((2, *held.shape), np.int32)
    padded[0][held], padded[1][held] = tokens, mask
    return padded[0], padded[1].astype(np.bool_), lengths


def _numpy(batch: Batch) -> tuple[dict[str, np.ndarray], bool]:
    """A batch's arrays in numpy, and whether they were tensors (in main memory)."""
    as_torch = not all(isinstance(array, np.ndarray) for array in batch.arrays.values())
    return {name: np.asarray(array) for name, array in batch.arrays.items()}, as_torch
