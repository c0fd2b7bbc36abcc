"""One batch: an Arrow stream checked against what it announces, as numpy arrays without copies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ._columns import Columns
from ._frame import KINDS
from .errors import TruncatedReply, invalid_reply
from .frames import Targets, decode_frames, runs_of, scaled_probs, unbiased_weights

#: Columns with one item a position: the type of an item and its shape.
POSITION_LISTS = {
    "tokens": ("int32",),
    "mask": ("bool",),
    "hard_label": ("int32",),
    "geometry": ("float32", 4),
}
EMPTY = np.empty(0, np.float32)


class TargetSet(NamedTuple):
    """One teacher's targets as a batch has them.

    Attributes:
        kind: ``scaled`` or ``unbiased``; see Targets.
        codec: how they are stored.
        temperature: of the probabilities; ``temperature_exact`` is False where it was approximated.
        log_z: the extra temperatures T of the columns of ``{name}_log_z``, log Σ exp(logp / T).
        step, tau: what levels are read with; None where the set has none.
    """

    name: str
    kind: str
    codec: str
    temperature: float
    temperature_exact: bool
    log_z: tuple[float, ...]
    step: float | None
    tau: float | None


@dataclass(frozen=True)
class Batch:
    """B samples of one rank at one step; every check has passed before a Batch exists.

    Arrays of every layout: ``sample_id`` uint8 [B, 16]; ``pad`` bool [B], true for a repeated
    sample of weight 0 that fills the last step.

    Layouts ``frames`` and ``plain``, N positions and M entries in all:
        ``offsets`` int64 [B + 1], sample b has the positions [offsets[b], offsets[b + 1]);
        ``tokens`` int32 [N]; ``mask`` bool [N], position t's target concerns token t + 1;
        for each target set, ``teacher`` by default: ``teacher_offsets`` int64 [N + 1],
        ``teacher_ids`` uint32 [M], ``teacher_probs`` float32 [M], ``teacher_rest`` float32 [N],
        ``teacher_label_logprob`` float16 [N], ``teacher_log_z`` float32 [N, temperatures].

    Layout ``dense``, samples padded to L positions, k entries a position in rank order:
        ``length`` int32 [B]; ``tokens`` int32 [B, L]; ``mask`` bool [B, L];
        ``teacher_ids`` int32 [B, L, k]; ``teacher_logprobs`` float16 or float32 [B, L, k];
        ``teacher_rest``, ``teacher_label_logprob`` float32 [B, L].

    Attributes:
        layout: ``frames``, ``plain`` or ``dense``.
        rows: B, which may be 0 on some ranks of an epoch's last step.
        vocabulary: V, the size of the label space.
        target_sets: by name.
        arrays: the arrays above by name; numpy, or torch after ``torch()``.
        metadata: schema metadata as sent.
    """

    layout: str
    rows: int
    vocabulary: int
    target_sets: Mapping[str, TargetSet]
    arrays: Mapping[str, Any]
    metadata: Mapping[str, str]
    _meta: pa.Array

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    @property
    def meta(self) -> list[dict[str, Any]]:
        """The JSON object of each sample: source document, prompt, settings."""
        return [json.loads(text) for text in self._meta.to_pylist()]

    def torch(self) -> Batch:
        """The same batch with tensors that share memory with the arrays.

        torch indexes with signed integers only: uint16 becomes int32 and uint32 int64, by copy.
        """
        import torch

        wider = {"uint16": np.int32, "uint32": np.int64}
        tensors = {
            name: torch.from_numpy(
                array.astype(wider.get(array.dtype.name, array.dtype), copy=False)
            )
            for name, array in self.arrays.items()
        }
        return replace(self, arrays=tensors)


def read_batch(body: np.ndarray, echo: Mapping[str, str]) -> Batch:
    """Reads and checks a reply.

    Args:
        body: uint8, the bytes of an Arrow stream.
        echo: schema metadata that must come back as asked, without the prefix ``logitcask.``.

    Raises:
        TruncatedReply: fewer rows or batches than announced, or the stream breaks off.
        LogitcaskError: ``reply-invalid``, ``frame-damaged``.
    """
    metadata, columns = _read_stream(body)
    wrong = {key: metadata.get(f"logitcask.{key}") for key in echo}
    if wrong != echo:
        raise invalid_reply("batch: it answers another request", expected=dict(echo), got=wrong)
    known = {"logitcask.version": "1", "logitcask.alignment": "predicts-next"}
    if {key: metadata.get(key) for key in known} != known:
        raise invalid_reply("batch: this version cannot read it", expected=known, got=metadata)
    try:
        vocabulary = int(json.loads(metadata["logitcask.label_space"])["size"])
        sets = _target_sets(json.loads(metadata["logitcask.target_sets"]))
        layout = metadata["logitcask.layout"]
    except (ValueError, KeyError, TypeError) as error:
        raise invalid_reply(f"batch: its metadata is malformed ({error!r})") from error
    to_arrays = _dense if layout == "dense" else _flat
    arrays = to_arrays(columns, sets, vocabulary)
    meta = columns.texts("meta")
    return Batch(layout, columns.rows, vocabulary, sets, arrays, metadata, meta)


def _target_sets(documents: list[dict[str, Any]]) -> dict[str, TargetSet]:
    sets = {}
    for document in documents:
        fields = {**document, "log_z": tuple(document["log_z"])}
        one = TargetSet(*(fields[name] for name in TargetSet._fields))
        if one.kind not in KINDS:
            raise ValueError(f"kind {one.kind}")
        sets[one.name] = one
    return sets


def _read_stream(body: np.ndarray) -> tuple[dict[str, str], Columns]:
    try:
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            pairs = (reader.schema.metadata or {}).items()
            metadata = {key.decode(): value.decode() for key, value in pairs}
            batches = list(reader)
        for batch in batches:
            batch.validate(full=True)
        found = [Columns(batch, body) for batch in batches]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = f"batch: the Arrow stream breaks off or is damaged ({error})"
        raise TruncatedReply(detail) from error
    announced = (metadata.get("logitcask.rows"), metadata.get("logitcask.batches"))
    read = (str(sum(columns.rows for columns in found)), str(len(found)))
    if announced != read:
        raise TruncatedReply("batch: rows and batches", expected=announced, got=read)
    if len(found) != 1:
        raise invalid_reply("batch: record batches in a reply", expected=1, got=len(found))
    return metadata, found[0]


def _flat(
    columns: Columns, sets: Mapping[str, TargetSet], vocabulary: int
) -> dict[str, np.ndarray]:
    """Layouts `frames` and `plain`: positions of all samples joined."""
    offsets = columns.lists("mask", "bool").offsets.astype(np.int64)
    lengths = np.diff(offsets)
    arrays = {"offsets": offsets, **_samples(columns)}
    for name, type_ in POSITION_LISTS.items():
        if name in columns:
            arrays[name] = _joined(columns, name, type_, lengths)
    for name, one in sets.items():
        targets = _targets(columns, one, offsets, vocabulary)
        arrays[f"{name}_offsets"] = targets.offsets
        arrays[f"{name}_ids"] = targets.ids
        arrays[f"{name}_probs"] = targets.probs
        if targets.kind == "scaled":
            arrays[f"{name}_rest"] = targets.rest
        label, log_z, width = f"{name}_label_logprob", f"{name}_log_z", len(one.log_z)
        if label in columns:
            arrays[label] = _joined(columns, label, ("float16",), lengths)
        if log_z in columns:
            values = _joined(columns, log_z, ("float32",), lengths * width)
            arrays[log_z] = values.reshape(int(offsets[-1]), width)
    return arrays


def _samples(columns: Columns) -> dict[str, np.ndarray]:
    arrays = {"sample_id": columns.array("sample_id", "uint8", 16)}
    if "pad" in columns:
        arrays["pad"] = columns.array("pad", "bool")
    return arrays


def _joined(columns: Columns, name: str, type_: tuple[Any, ...], lengths: np.ndarray) -> np.ndarray:
    """The items of a list column of the given lengths."""
    column = columns.lists(name, *type_)
    if not np.array_equal(np.diff(column.offsets), lengths):
        raise invalid_reply(f"batch: column {name} has other lengths than its samples")
    return column.values


def _targets(columns: Columns, one: TargetSet, offsets: np.ndarray, vocabulary: int) -> Targets:
    name, kind = one.name, one.kind
    lengths = np.diff(offsets)
    if f"{name}_frame" in columns:
        ends, data = columns.lists(f"{name}_frame", "uint8")
        view = memoryview(data)
        frames = [view[start:end] for start, end in pairwise(ends.tolist())]
        targets = decode_frames(frames, vocabulary, lengths)
        if frames and targets.kind != kind:
            raise invalid_reply("batch: kind of the frames", expected=kind, got=targets.kind)
        return targets
    counts = _joined(columns, f"{name}_counts", ("uint32",), lengths)
    entry_offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=entry_offsets[1:])
    entries = np.diff(entry_offsets[offsets])
    ids = _joined(columns, f"{name}_ids", ("uint32",), entries)
    if ids.size > 0 and int(ids.max()) >= vocabulary:
        raise invalid_reply("batch: ids", expected=f"below {vocabulary}", got=int(ids.max()))
    if f"{name}_levels" in columns:
        levels = _joined(columns, f"{name}_levels", ("uint16",), entries)
        if kind == "unbiased":
            if one.step is None or one.tau is None:
                raise invalid_reply("batch: unbiased levels without step and tau", got=one)
            weights = unbiased_weights(levels, one.step, one.tau)
            return Targets(kind, entry_offsets, ids, weights, EMPTY, levels)
        rest = _joined(columns, f"{name}_rest", ("uint16",), lengths)
        probs, mass = scaled_probs(levels, rest, runs_of(counts.astype(np.int64)))
        return Targets(kind, entry_offsets, ids, probs, mass, levels)
    logprobs = _joined(columns, f"{name}_logprobs", ("float32",), entries)
    scaled = kind == "scaled"
    mass = _joined(columns, f"{name}_rest", ("float32",), lengths) if scaled else EMPTY
    probs = np.exp(logprobs.astype(np.float64)).astype(np.float32)
    return Targets(kind, entry_offsets, ids, probs, mass, EMPTY.astype(np.uint16))


def _dense(
    columns: Columns, sets: Mapping[str, TargetSet], vocabulary: int
) -> dict[str, np.ndarray]:
    """Layout `dense`: every column is an array already."""
    mask = columns.array("mask", "bool", None)
    longest = mask.shape[1]
    arrays = {**_samples(columns), "length": columns.array("length", "int32"), "mask": mask}
    if "tokens" in columns:
        arrays["tokens"] = columns.array("tokens", "int32", longest)
    if not np.all((arrays["length"] >= 0) & (arrays["length"] <= longest)):
        raise invalid_reply("batch: lengths", expected=f"0 … {longest}", got=arrays["length"])
    for name, one in sets.items():
        ids = columns.array(f"{name}_ids", "int32", longest, None)
        if ids.size > 0 and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
            got = (int(ids.min()), int(ids.max()))
            raise invalid_reply("batch: ids", expected=f"0 ≤ id < {vocabulary}", got=got)
        logprobs = f"{name}_logprobs"
        arrays[f"{name}_ids"] = ids
        arrays[logprobs] = columns.array(logprobs, ("float16", "float32"), *ids.shape[1:])
        if one.kind == "scaled":
            arrays[f"{name}_rest"] = columns.array(f"{name}_rest", "float32", longest)
        if f"{name}_label_logprob" in columns:
            label = columns.array(f"{name}_label_logprob", "float32", longest)
            arrays[f"{name}_label_logprob"] = label
    return arrays
