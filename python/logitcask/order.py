"""Proof of an order: what was received, line by line, and its digest as the server computes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .batch import Batch


def record_line(batch: Batch) -> dict[str, Any]:
    """What one rank received at one step: ``{plan, epoch, step, rank, world, replicate, ids}``.

    ``ids`` are the sample ids (hex) of the rows that do not only pad; of packs ``parts`` has
    ``[first position, positions]`` of each row.
    """
    arrays, kept = batch.arrays, _kept(batch)
    ids = np.asarray(arrays["sample_id"])[kept]
    line = {**batch.place, "ids": [one.tobytes().hex() for one in ids]}
    if "first_position" in arrays:
        first = np.asarray(arrays["first_position"])[kept].tolist()
        line["parts"] = [list(part) for part in zip(first, _lengths(batch)[kept].tolist())]
    return line


def append_record(path: str | Path, batch: Batch) -> None:
    """Adds a batch's line to a file, as ``record=`` of a LogitDataset does."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record_line(batch), separators=(",", ":")) + "\n")


def order_digest(received: Iterable[Batch | Mapping[str, Any]]) -> str:
    """SHA-256 (hex) over batches, or lines of records, in the order given; docs/plan.md, "Proof".

    Of one rank's batches it equals ``LogitDataset.digest`` for the same steps. Of a run of several
    ranks it equals the whole order's, given lines sorted by epoch, step and rank, of replicas one
    each.
    """
    digest = hashlib.sha256()
    for one in received:
        line = record_line(one) if isinstance(one, Batch) else one
        parts = line.get("parts") or [[]] * len(line["ids"])
        for id_, part in zip(line["ids"], parts):
            digest.update(bytes.fromhex(id_))
            digest.update(np.array(part, "<u4").tobytes())
    return digest.hexdigest()


def _kept(batch: Batch) -> np.ndarray:
    """Rows that do not only pad."""
    if "pad" not in batch.arrays:
        return np.arange(batch.rows)
    return np.flatnonzero(~np.asarray(batch["pad"]))


def _lengths(batch: Batch) -> np.ndarray:
    """Positions of each row."""
    if batch.layout == "dense":
        return np.asarray(batch["length"])
    return np.diff(np.asarray(batch["offsets"]))
