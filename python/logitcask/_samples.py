"""Sequences of a padded batch, and their record batches as a server takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ._choose import Chosen
from .errors import LogitcaskError


class Sample(NamedTuple):
    #: Row of the batch, and the positions of it that are no padding.
    row: int
    start: int
    stop: int
    tokens: np.ndarray
    mask: np.ndarray


def invalid(detail: str) -> LogitcaskError:
    return LogitcaskError("request-invalid", 400, f"recorder: {detail}")


def meta_texts(meta: Sequence[Any] | None, count: int) -> list[str]:
    """JSON objects as texts; empty ones where there are none."""
    if meta is None:
        return ["{}"] * count
    if isinstance(meta, Mapping) or len(meta) != count:
        raise invalid(f"{len(meta)} meta for {count} samples; a list has one of each")
    try:
        if all(isinstance(one, Mapping) for one in meta):
            return [json.dumps(one, allow_nan=False) for one in meta]
        error = "another type"
    except (TypeError, ValueError) as raised:
        error = str(raised)
    raise invalid(f"meta that is no JSON object ({error})")


def samples_of(
    tokens: np.ndarray, attention: np.ndarray | None, prompt: np.ndarray | None
) -> list[Sample]:
    """Of [B, L]: each row's run of tokens, learned from its last prompt token on."""
    found = []
    for row, ids in enumerate(tokens):
        places = np.arange(len(ids)) if attention is None else np.flatnonzero(attention[row])
        if len(places) == 0:
            continue
        start, stop = int(places[0]), int(places[-1]) + 1
        if stop - start != len(places):
            raise invalid(f"padding within sequence {row}; pad on one side")
        own = ids[start:stop].astype(np.int32)
        mask = np.ones(len(own), dtype=bool)
        if prompt is not None:
            mask[:-1] = ~prompt[row, start + 1 : stop].astype(bool)
        mask[-1] = False
        found.append(Sample(row, start, stop, own, mask))
    return found


def record_batch(
    samples: Sequence[Sample],
    chosen: Chosen,
    *,
    width: int,
    set_name: str,
    meta: Sequence[str],
) -> pa.RecordBatch:
    """`chosen` is of all B·L rows, `width` is L; `meta` are JSON texts."""
    rows = np.concatenate([np.arange(s.start, s.stop) + s.row * width for s in samples])
    ends = np.cumsum([0] + [len(s.tokens) for s in samples], dtype=np.int32)
    lse, labels = chosen.lse[rows], chosen.labels[rows]
    if not np.isfinite(lse).all():
        detail = "recorder: logits hold NaN or +inf, or a row has no finite entry"
        raise LogitcaskError("row-invalid", 422, detail)
    label_logprob = labels - lse
    label_logprob[ends[1:] - 1] = np.nan  # what follows the last token is not known
    ids, logprobs, counts, rest = _entries(chosen, rows, lse)
    entry_ends = np.concatenate([[0], np.cumsum(counts)])[ends].astype(np.int32)

    def lists(values: np.ndarray, offsets: np.ndarray) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))

    columns = {
        "tokens": lists(np.concatenate([s.tokens for s in samples]), ends),
        "mask": lists(np.concatenate([s.mask for s in samples]), ends),
        "meta": pa.array(meta, pa.utf8()),
        f"{set_name}_counts": lists(counts.astype(np.uint32), ends),
        f"{set_name}_ids": lists(ids.astype(np.uint32), entry_ends),
        f"{set_name}_logprobs": lists(logprobs, entry_ends),
        f"{set_name}_label_logprob": lists(label_logprob.astype(np.float32), ends),
    }
    if rest is not None:
        columns[f"{set_name}_rest"] = lists(rest, ends)
    return pa.RecordBatch.from_pydict(columns)


def _entries(
    chosen: Chosen, rows: np.ndarray, lse: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    if chosen.counts is None:
        logprobs = np.minimum(chosen.values[rows] - lse[:, None], np.float32(0))
        rest = np.maximum(1 - np.exp(logprobs, dtype=np.float64).sum(-1), 0).astype(np.float32)
        counts = np.full(len(rows), logprobs.shape[1], dtype=np.int64)
        return chosen.ids[rows].reshape(-1), logprobs.reshape(-1), counts, rest
    starts = np.cumsum(chosen.counts, dtype=np.int64) - chosen.counts
    counts = chosen.counts[rows].astype(np.int64)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.repeat(starts[rows], counts) + within
    return chosen.ids[at], np.minimum(chosen.values[at], np.float32(0)), counts, None


def cut(batch: pa.RecordBatch, bytes_max: int) -> list[pa.RecordBatch]:
    """Runs of rows of about so many bytes, one row at least."""
    pieces = -(-batch.nbytes // bytes_max)
    size = max(1, batch.num_rows // pieces)
    return [batch.slice(at, size) for at in range(0, batch.num_rows, size)]
