"""A recorder for teacher workers: what a model says goes to a server, and survives a crash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _choose
from ._choose import Chosen, is_torch
from ._encoder import SHARD_BYTES, Item, copied, on_host, to_host, to_numpy
from ._hook import attach
from ._recording import Recording
from ._sample_id import start_sample_id, text_sample_id
from ._samples import Sample, cut, invalid, meta_texts, record_batch, samples_of


class Recorder(Recording):
    """Records what a teacher says about sequences, as a data set of a server.

    ``write`` chooses entries where the logits are and returns; a thread encodes them into a local
    spool, another one sends it. After ``flush`` all that was written is durable: a worker or a
    server that dies then loses nothing, and the next recorder with the same spool goes on.
    ``close`` commits one snapshot.

    Args:
        url: address of the server (``logitcask serve``).
        dataset: data set to add to.
        teacher: name of the model.
        revision: changes whenever its distributions may.
        tokenizer: path of its tokenizer.json, or the file's SHA-256 in hex; None where unknown.
        top_k: entries of a position.
        tau: draw entries without bias instead, ``threshold`` of docs/sparsifiers.md.
        upload: a name shared by several workers, whose shards become one snapshot: one of them
            calls ``commit`` when all are done.
        worker: this worker's number among them.
        spool: folder of what waits for the server; one a worker.
        commit_bytes: committed as soon as the server has so much. None: only at the end.
        spool_bytes_max: writing fails when so much waits for a server that does not answer.
    """

    def __init__(
        self,
        url: str,
        dataset: str,
        *,
        teacher: str,
        revision: str = "unknown",
        tokenizer: str | PathLike[str] | None = None,
        target_set: str = "teacher",
        top_k: int = 64,
        tau: float | None = None,
        licence: str = "unknown",
        upload: str | None = None,
        worker: int = 0,
        spool: str | PathLike[str] | None = None,
        commit_bytes: int | None = 1 << 30,
        spool_bytes_max: int = 16 << 30,
        token: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._top_k, self._tau, self._set = top_k, tau, target_set
        request = {
            "teacher": {"name": teacher, "revision": revision},
            "tokenizer": _digest(tokenizer),
            "target_set": target_set,
            "sparsifier": {"type": "top-k", "k": top_k}
            if tau is None
            else {"type": "threshold", "tau": tau},
            "licence": licence,
        }
        super().__init__(
            url,
            dataset,
            request=request,
            late="vocabulary",
            upload=upload,
            worker=worker,
            spool=spool,
            commit_bytes=commit_bytes,
            spool_bytes_max=spool_bytes_max,
            token=token,
            timeout_s=timeout_s,
        )

    def write(
        self,
        tokens: Any,
        logits: Any,
        *,
        attention_mask: Any = None,
        prompt_mask: Any = None,
        meta: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Records one sequence, ``[L]`` and ``[L, V]``, or a padded batch, ``[B, L]`` and so on.

        Args:
            logits: position t's are about token t + 1, as models return them.
            attention_mask: 1 where there are tokens, 0 where there is padding, on either side.
            prompt_mask: 1 on tokens of the prompt; what follows them is learned. None: everything.
            meta: a JSON object a sequence, kept beside it.
        """
        self._raise()
        if not is_torch(logits):
            logits, tokens = np.asarray(logits), np.asarray(tokens)
        if logits.ndim == 2:
            logits, tokens = logits[None], tokens[None]
            attention_mask = None if attention_mask is None else attention_mask[None]
            prompt_mask = None if prompt_mask is None else prompt_mask[None]
            meta = None if meta is None else [meta]
        for name, array in (("attention_mask", attention_mask), ("prompt_mask", prompt_mask)):
            if array is not None and tuple(array.shape) != tuple(logits.shape[:2]):
                raise invalid(f"{name} of {tuple(array.shape)} for logits of {logits.shape}")
        if logits.ndim != 3 or tuple(tokens.shape) != tuple(logits.shape[:2]):
            raise invalid(f"tokens of {tuple(tokens.shape)} for logits of {tuple(logits.shape)}")
        metas = meta_texts(meta, len(tokens))
        self._begin(logits.shape[2], f"logits of {logits.shape[2]} ids after those of")
        self._encoder.put(self._item(tokens, logits, attention_mask, prompt_mask, metas))

    def attach(self, model: Any) -> Any:
        """Records every forward of a Hugging Face model, until ``remove()`` of what it returns."""
        return attach(self, model)

    def _item(
        self, tokens: Any, logits: Any, attention: Any, prompt: Any, metas: list[str]
    ) -> Item:
        flat = logits.reshape(-1, logits.shape[2])
        if is_torch(flat):
            import torch

            flat = flat.detach()
            tokens = torch.as_tensor(tokens)
            labels = torch.roll(tokens.to(flat.device, torch.int64), -1, 1).reshape(-1)
            labels = labels.clamp(0, flat.shape[1] - 1)
        else:
            labels = np.roll(tokens, -1, 1).reshape(-1).astype(np.int64)
            labels = labels.clip(0, flat.shape[1] - 1)
        samples = None
        if self._tau is None:
            found = _choose.top_k(flat, labels, min(self._top_k, flat.shape[1]))
        else:
            arrays = [on_host(array) for array in (tokens, attention, prompt)]
            samples = samples_of(*arrays)
            found = _choose.draw(flat, labels, self._tau, self._starts(samples, tokens.shape))
        # the caller may go on to change these in place
        own = [copied(array) for array in (tokens, attention, prompt)]
        arrays, arrived = to_host((*own, *found))
        size = sum(array.nbytes for array in arrays if array is not None)
        held = Held(*arrays[:3], metas, samples, tuple(arrays[3:]), arrived)
        return Item(partial(_batches, held, self._set), size)

    def _starts(self, samples: Sequence[Sample], shape: Sequence[int]) -> np.ndarray:
        space = {"kind": "vocabulary", "size": self._decided}
        begun = start_sample_id({**space, "tokenizer": self._request["tokenizer"]})
        starts = np.zeros(tuple(shape))
        for row, start, stop, own, mask in samples:
            sample_id = text_sample_id(begun, own, mask)
            starts[row, start:stop] = _choose.start_draws(sample_id, stop - start)
        return starts.reshape(-1)


class Held(NamedTuple):
    """A batch whose entries may still be on their way to the host."""

    tokens: np.ndarray | Any
    attention: np.ndarray | Any | None
    prompt: np.ndarray | Any | None
    metas: Sequence[str]
    samples: list[Sample] | None
    chosen: tuple[Any, ...]
    arrived: Callable[[], object]


def _batches(held: Held, set_name: str) -> list[Any]:
    held.arrived()
    tokens, attention, prompt = (to_numpy(a) for a in held[:3])
    samples = held.samples if held.samples is not None else samples_of(tokens, attention, prompt)
    if not samples:
        return []
    chosen = Chosen(*(to_numpy(a) for a in held.chosen), *([None] * (5 - len(held.chosen))))
    meta = [held.metas[sample.row] for sample in samples]
    whole = record_batch(samples, chosen, width=tokens.shape[1], set_name=set_name, meta=meta)
    return cut(whole, SHARD_BYTES)


def _digest(tokenizer: str | PathLike[str] | None) -> str | None:
    if tokenizer is None or re.fullmatch("[0-9a-f]{64}", str(tokenizer)):
        return tokenizer and str(tokenizer)
    return hashlib.sha256(Path(tokenizer).read_bytes()).hexdigest()
