"""Images as a recorder writes them: their references, what each position is, record batches."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ._choose import is_torch
from ._heads import Head, Kept, logprobs_of
from ._inputs import TYPES, Field
from ._samples import invalid
from .errors import LogitcaskError

AUGMENTATION = "augmentation_"
SEED = f"{AUGMENTATION}seed"
#: Entries of a record batch, about.
BATCH_ENTRIES = 1 << 18


class Image(NamedTuple):
    """Where an image lies, and the SHA-256 (hex) of its bytes, which are not stored."""

    uri: str
    sha256: str

    @classmethod
    def of(cls, data: bytes, uri: str) -> Image:
        return cls(uri, hashlib.sha256(data).hexdigest())

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Image:
        """Of a file, which is read once."""
        whole = Path(path).resolve()
        return cls.of(whole.read_bytes(), whole.as_uri())


def reference(image: Image | Mapping[str, str]) -> str:
    """Canonical JSON, as it is stored."""
    if isinstance(image, Mapping):
        image = Image(image.get("uri"), image.get("sha256"))
    own = {"sha256": image.sha256, "uri": image.uri}
    texts = all(isinstance(text, str) for text in own.values())
    if not texts or re.fullmatch("[0-9a-f]{64}", image.sha256) is None:
        raise invalid(f"{own} is no image; expected a URI and a SHA-256 of 64 hex digits")
    return json.dumps(own, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Described(NamedTuple):
    """What a recorder knows of an augmentation pipeline."""

    digest: str | None
    parameters: Mapping[str, str]


def described(pipeline: Any) -> Described:
    """Of a ``Pipeline``, or of the file of a description, as ``build --pipeline`` is given it."""
    if pipeline is None:
        return Described(None, {})
    own = hasattr(pipeline, "digest")
    text = pipeline.text.encode() if own else Path(pipeline).read_bytes()
    try:
        parameters = json.loads(text)["parameters"]
        known = all(kind in TYPES for kind in parameters.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise invalid(f"{pipeline} is no description of a pipeline ({error!r})") from error
    if not known:
        raise invalid(f"parameters {parameters} of a pipeline; their types are {', '.join(TYPES)}")
    return Described(hashlib.sha256(text).hexdigest(), parameters)


def inputs_of(
    given: Mapping[str, Any], pipeline: Described, lead: tuple[int, ...], *, classes: int
) -> list[tuple[Field, np.ndarray]]:
    """The fields that are given, in stored order, with values of every position.

    Args:
        given: ``hard_label``, ``geometry``, ``seed`` and ``params``, each may be None.
        lead: shape of images and positions; a number alone stands for all of them.
        classes: how many hard labels may be of.
    """
    seed, params = given["seed"], given["params"] or {}
    if (seed is None) != (pipeline.digest is None):
        raise invalid("seeds go with a recorder's pipeline, and with it always")
    if params.keys() != pipeline.parameters.keys():
        declared = sorted(pipeline.parameters)
        raise invalid(f"params of {sorted(params)}, the pipeline declares {declared}")
    fields = [
        (Field("hard_label", "int32", 1), given["hard_label"]),
        (Field("geometry", "float32", 4), given["geometry"]),
        (Field(SEED, "uint64", 1), seed),
    ]
    for name, kind in pipeline.parameters.items():
        fields.append((Field(AUGMENTATION + name, kind, 1), params[name]))
    found = [(one, values_of(value, one, lead)) for one, value in fields if value is not None]
    if given["hard_label"] is not None:
        labels = found[0][1]
        wrong = labels[(labels >= classes) | ((labels < 0) & (labels != -100))]
        if wrong.size > 0:
            detail = f"recorder: the hard label {wrong[0]}; it is a class below {classes}, or -100"
            raise LogitcaskError("token-out-of-range", 422, detail)
    return found


def values_of(value: Any, field: Field, lead: tuple[int, ...]) -> np.ndarray:
    """As [*lead], or [*lead, items]."""
    array = numbers(value, field)
    item = () if field.items == 1 else (field.items,)
    shape = lead + item
    # anchors are the same in every image
    allowed = (shape, item, shape[1:]) if field.items > 1 else (shape, item)
    if array.shape not in allowed:
        raise invalid(f"{field.name} of {array.shape}, expected {shape}")
    return np.broadcast_to(array, shape)


def numbers(value: Any, field: Field) -> np.ndarray:
    """Values that the field's type holds."""
    if is_torch(value):
        value = value.detach().cpu()
        # numpy has no bfloat16
        value = (value.float() if value.is_floating_point() else value).numpy()
    kind = np.dtype(field.type)
    try:
        # a list of integers on both sides of 2^63 has no type of its own
        big = kind == np.uint64 and not isinstance(value, np.ndarray)
        array = _integers(value) if big else np.asarray(value)
    except (OverflowError, ValueError, TypeError) as error:
        raise invalid(f"{field.name} is no {kind} ({error})") from error
    if kind == np.float32:
        with np.errstate(over="ignore"):
            found = array.astype(kind) if array.dtype.kind in "fiu" else None
        if found is not None and np.isfinite(found).all():
            return found
    elif array.dtype.kind in "iub":
        found = array.astype(kind)
        # torch has seeds as int64 of the same bits
        if kind == np.uint64 or (found == array).all():
            return found
    raise invalid(f"{field.name} of {array.dtype} holds what no {field.type} is")


def _integers(value: Any) -> np.ndarray:
    if not all(hasattr(one, "__index__") for one in np.array(value, dtype=object).flat):
        raise TypeError("it holds what is no integer")
    return np.array(value, dtype=np.uint64)


class Written(NamedTuple):
    """A batch of images on the host."""

    refs: Sequence[str]
    metas: Sequence[str]
    #: bool [B, A]
    mask: np.ndarray
    #: [B, A] or [B, A, items]
    inputs: Sequence[tuple[Field, np.ndarray]]
    heads: Mapping[str, Head]
    #: By head, of B · A · parts rows.
    kept: Mapping[str, Kept]


def image_batches(written: Written) -> list[pa.RecordBatch]:
    """As a server takes them: some images each."""
    images, positions = written.mask.shape
    entries = max(kept.values.shape[-1] for kept in written.kept.values())
    size = max(1, BATCH_ENTRIES // (positions * entries))
    return [_batch(written, slice(at, at + size)) for at in range(0, images, size)]


def _batch(written: Written, own: slice) -> pa.RecordBatch:
    images, positions = written.mask[own].shape
    columns = {
        "input_ref": pa.array(written.refs[own], pa.utf8()),
        "mask": _even(written.mask[own], images),
        "meta": pa.array(written.metas[own], pa.utf8()),
    }
    for field, values in written.inputs:
        columns[field.name] = _even(values[own], images)
    for name, head in written.heads.items():
        sets = head.sets(name)
        shape = (len(written.mask), positions, len(sets))
        kept = Kept(
            *(
                None if part is None else part.reshape(*shape, *part.shape[1:])[own]
                for part in written.kept[name]
            )
        )
        for index, one in enumerate(sets):
            flat = (part if part is None else part[:, :, index] for part in kept)
            rows = Kept(*(p if p is None else p.reshape(-1, *p.shape[2:]) for p in flat))
            columns |= _target_columns(one, rows, head, images)
    return pa.RecordBatch.from_pydict(columns)


def _even(values: np.ndarray, images: int) -> pa.Array:
    """Lists of one length."""
    flat = np.ascontiguousarray(values).reshape(-1)
    ends = np.arange(images + 1, dtype=np.int32) * (len(flat) // images)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat))


def _target_columns(name: str, kept: Kept, head: Head, images: int) -> dict[str, pa.Array]:
    logprobs, rest = logprobs_of(kept, head.normalisation)
    # a server takes any order, but sorts many times slower
    order = np.argsort(-logprobs, axis=-1, kind="stable")
    ids = order if kept.ids is None else np.take_along_axis(kept.ids, order, -1)
    logprobs = np.take_along_axis(logprobs, order, -1)
    there = logprobs > -np.inf
    counts = there.sum(-1)
    ends = np.concatenate([[0], np.cumsum(counts)])[:: len(counts) // images].astype(np.int32)

    def entries(values: np.ndarray) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(values[there]))

    columns = {
        f"{name}_counts": _even(counts.astype(np.uint32), images),
        f"{name}_ids": entries(ids.astype(np.uint32)),
        f"{name}_logprobs": entries(logprobs),
    }
    return columns if rest is None else {**columns, f"{name}_rest": _even(rest, images)}
