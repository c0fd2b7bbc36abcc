"""A reply with a batch: an Arrow stream checked against what it announces, without copies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from ._columns import Columns, joined
from ._frame import KINDS, check_frame, damaged
from ._inputs import Field, check_image_ids, dense_inputs, fields_of, flat_inputs
from ._sample_id import check_sample_ids, start_sample_id
from .batch import Batch, TargetSet
from .errors import TruncatedReply, invalid_reply
from .frames import (
    NO_LEVELS,
    NO_REST,
    Targets,
    decode_frame,
    decode_frames,
    runs_of,
    scaled_probs,
    values_of,
)

#: What this version reads.
OF_TEXTS = {"logitcask.version": "1", "logitcask.alignment": "predicts-next"}
OF_IMAGES = {"logitcask.version": "1", "logitcask.kind": "vision"}


def read_batch(
    body: np.ndarray, echo: Mapping[str, str], also: Mapping[str, str] | None = None
) -> Batch:
    """Reads and checks a reply.

    Args:
        body: uint8, the bytes of an Arrow stream.
        echo: schema metadata that must come back as asked, without the prefix ``logitcask.``.
        also: metadata that the batch is given besides.

    Raises:
        TruncatedReply: fewer rows or batches than announced, or the stream breaks off.
        LogitcaskError: ``reply-invalid``, ``frame-damaged``.
    """
    metadata, columns = _read_stream(body)
    wrong = {key: metadata.get(f"logitcask.{key}") for key in echo}
    if wrong != echo:
        raise invalid_reply("batch: it answers another request", expected=dict(echo), got=wrong)
    known = OF_IMAGES if "logitcask.kind" in metadata else OF_TEXTS
    if {key: metadata.get(key) for key in known} != known:
        raise invalid_reply("batch: this version cannot read it", expected=known, got=metadata)
    try:
        documents = (metadata["logitcask.label_space"], metadata["logitcask.target_sets"])
        vocabulary, sets, start = _described(*documents)
        fields = fields_of(metadata)
        layout = metadata["logitcask.layout"]
    except (ValueError, KeyError, TypeError) as error:
        raise invalid_reply(f"batch: its metadata is malformed ({error!r})") from error
    to_arrays = _dense if layout == "dense" else _flat
    arrays = to_arrays(columns, sets, fields)
    meta = columns.texts("meta")
    refs = None
    if fields is not None:
        refs = columns.texts("input_ref")
        check_image_ids(arrays, fields, refs.to_pylist(), metadata)
    elif "tokens" in arrays:
        check_sample_ids(arrays, start)
    metadata |= also or {}
    return Batch(layout, columns.rows, vocabulary, dict(sets), arrays, metadata, meta, refs)


@lru_cache(maxsize=16)
def _described(space: str, sets: str) -> tuple[int, dict[str, TargetSet], bytes]:
    """V, the target sets and how sample ids begin, of JSON that a plan's batches share."""
    label_space = json.loads(space)
    named = _target_sets(json.loads(sets), label_space)
    return int(label_space["size"]), named, start_sample_id(label_space)


def _target_sets(
    documents: list[dict[str, Any]], label_space: Mapping[str, Any]
) -> dict[str, TargetSet]:
    sets = {}
    for document in documents:
        space = document.get("label_space", label_space)
        own = {"vocabulary": int(space["size"]), "classes": tuple(space.get("names", ()))}
        own["own_space"] = space != label_space
        fields = {**document, **own, "log_z": tuple(document["log_z"])}
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
    columns: Columns, sets: Mapping[str, TargetSet], fields: list[Field] | None
) -> dict[str, np.ndarray]:
    """Layouts `frames` and `plain`: positions of all samples joined."""
    offsets = columns.lists("mask", "bool").offsets.astype(np.int64)
    lengths = np.diff(offsets)
    arrays = {"offsets": offsets, **_samples(columns)}
    if "tokens" in columns:
        arrays["tokens"] = joined(columns, "tokens", ("int32",), lengths)
    arrays["mask"] = joined(columns, "mask", ("bool",), lengths)
    if fields is not None:
        arrays.update(flat_inputs(columns, fields, lengths))
    for name, one in sets.items():
        if f"{name}_frame" in columns:
            targets = _decoded(columns, one, lengths)
        else:
            targets = _plain(columns, one, offsets)
        arrays[f"{name}_offsets"] = targets.offsets
        arrays[f"{name}_ids"] = targets.ids
        arrays[f"{name}_probs"] = targets.probs
        if targets.kind == "scaled":
            arrays[f"{name}_rest"] = targets.rest
        label, log_z, width = f"{name}_label_logprob", f"{name}_log_z", len(one.log_z)
        if label in columns:
            arrays[label] = joined(columns, label, ("float16",), lengths)
        if log_z in columns:
            values = joined(columns, log_z, ("float32",), lengths * width)
            arrays[log_z] = values.reshape(int(offsets[-1]), width)
    return arrays


#: Columns with one item a sample; the last four say where a row lies in its pack, or its sample.
SAMPLE_COLUMNS = {
    "pad": "bool",
    "stream": "uint16",
    "pack": "int32",
    "offset": "int32",
    "first_position": "int32",
    "sample_positions": "int32",
}


def _samples(columns: Columns) -> dict[str, np.ndarray]:
    arrays = {"sample_id": columns.array("sample_id", "uint8", 16)}
    for name, dtype in SAMPLE_COLUMNS.items():
        if name in columns:
            arrays[name] = columns.array(name, dtype)
    return arrays


def _decoded(columns: Columns, one: TargetSet, lengths: np.ndarray) -> Targets:
    """Targets of frames; of a sample's frame only the positions that the row holds."""
    ends, data = columns.lists(f"{one.name}_frame", "uint8")
    view = memoryview(data)
    frames = [view[start:end] for start, end in pairwise(ends.tolist())]
    if "first_position" not in columns:
        targets = decode_frames(frames, one.vocabulary, lengths, levels=False)
    else:
        first = columns.array("first_position", "int32")
        whole = columns.array("sample_positions", "int32")
        if not np.all((first >= 0) & (first <= whole - lengths)):
            got = {"first_position": first, "positions": lengths}
            raise invalid_reply("batch: rows end outside their samples", expected=whole, got=got)
        targets = _joined_runs(frames, first, lengths, whole, one.vocabulary)
    if frames and targets.kind != one.kind:
        raise invalid_reply("batch: kind of the frames", expected=one.kind, got=targets.kind)
    return targets


def _joined_runs(
    frames: list[memoryview],
    first: np.ndarray,
    lengths: np.ndarray,
    whole: np.ndarray,
    vocabulary: int,
) -> Targets:
    """Whole samples are decoded together, the others one by one."""
    found = []
    for cut, rows in groupby(range(len(frames)), lambda row: lengths[row] < whole[row]):
        own = list(rows)
        if not cut:
            found.append(decode_frames([frames[i] for i in own], vocabulary, whole[own]))
            continue
        for i in own:
            _check_positions(frames[i], int(whole[i]))
            part = range(int(first[i]), int(first[i] + lengths[i]))
            found.append(decode_frame(frames[i], vocabulary, np.array(part, np.int64)))
    if len(found) < 2:
        return found[0] if found else decode_frames([], vocabulary)
    if len({one.kind for one in found}) > 1:
        raise invalid_reply("batch: frames of one target set differ in kind")
    _, offsets, *arrays = (list(column) for column in zip(*found))
    counts = np.concatenate([np.diff(one) for one in offsets])
    joined = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=joined[1:])
    return Targets(found[0].kind, joined, *(np.concatenate(column) for column in arrays))


def _check_positions(frame: memoryview, positions: int) -> None:
    got = check_frame(frame).positions
    if got != positions:
        raise damaged("its sample has another number of positions", positions, got)


def _plain(columns: Columns, one: TargetSet, offsets: np.ndarray) -> Targets:
    name, kind, vocabulary = one.name, one.kind, one.vocabulary
    lengths = np.diff(offsets)
    counts = joined(columns, f"{name}_counts", ("uint32",), lengths)
    entry_offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=entry_offsets[1:])
    entries = np.diff(entry_offsets[offsets])
    ids = joined(columns, f"{name}_ids", ("uint32",), entries)
    if ids.size > 0 and int(ids.max()) >= vocabulary:
        raise invalid_reply("batch: ids", expected=f"below {vocabulary}", got=int(ids.max()))
    if f"{name}_levels" in columns:
        levels = joined(columns, f"{name}_levels", ("uint16",), entries)
        if kind != "scaled":
            if one.step is None or (one.tau is None and kind == "unbiased"):
                raise invalid_reply("batch: levels without their step, or without tau", got=one)
            values = values_of(kind, levels, one.step, one.tau or 0)
            return Targets(kind, entry_offsets, ids, values, NO_REST, levels)
        rest = joined(columns, f"{name}_rest", ("uint16",), lengths)
        probs, mass = scaled_probs(levels, rest, runs_of(counts.astype(np.int64)))
        return Targets(kind, entry_offsets, ids, probs, mass, levels)
    logprobs = joined(columns, f"{name}_logprobs", ("float32",), entries)
    scaled = kind == "scaled"
    mass = joined(columns, f"{name}_rest", ("float32",), lengths) if scaled else NO_REST
    probs = np.exp(logprobs.astype(np.float64)).astype(np.float32)
    return Targets(kind, entry_offsets, ids, probs, mass, NO_LEVELS)


def _dense(
    columns: Columns, sets: Mapping[str, TargetSet], fields: list[Field] | None
) -> dict[str, np.ndarray]:
    """Layout `dense`: every column is an array already."""
    mask = columns.array("mask", "bool", None)
    longest = mask.shape[1]
    arrays = {**_samples(columns), "length": columns.array("length", "int32"), "mask": mask}
    if "tokens" in columns:
        arrays["tokens"] = columns.array("tokens", "int32", longest)
    if fields is not None:
        arrays.update(dense_inputs(columns, fields, longest))
    if _most(arrays["length"]) > longest:
        raise invalid_reply("batch: lengths", expected=f"0 … {longest}", got=arrays["length"])
    for name, one in sets.items():
        ids = columns.array(f"{name}_ids", "int32", longest, None)
        if ids.size > 0 and _most(ids) >= min(one.vocabulary, 1 << 31):
            got = (int(ids.min()), int(ids.max()))
            raise invalid_reply("batch: ids", expected=f"0 ≤ id < {one.vocabulary}", got=got)
        logprobs = f"{name}_logprobs"
        arrays[f"{name}_ids"] = ids
        arrays[logprobs] = columns.array(logprobs, ("float16", "float32"), *ids.shape[1:])
        if one.kind == "scaled":
            arrays[f"{name}_rest"] = columns.array(f"{name}_rest", "float32", longest)
        if f"{name}_label_logprob" in columns:
            label = columns.array(f"{name}_label_logprob", "float32", longest)
            arrays[f"{name}_label_logprob"] = label
    return arrays


def _most(numbers: np.ndarray) -> int:
    """Of int32; negative ones are above all others without their sign."""
    return int(numbers.view(np.uint32).max(initial=0))
