"""A recorder for teacher workers: what a model says goes to a server, and survives a crash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from . import _choose
from ._choose import is_torch
from ._encoder import Encoder, Item, on_host, to_host
from ._hook import attach
from ._http import Transport
from ._sample_id import start_sample_id, text_sample_id
from ._samples import Sample, invalid, samples_of
from ._sender import Sender
from ._spool import Spool
from .errors import LogitcaskError


class Recorder:
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
        self._top_k, self._tau = top_k, tau
        self._shared, self._spool_bytes_max = upload is not None, spool_bytes_max
        self._request = {
            "teacher": {"name": teacher, "revision": revision},
            "tokenizer": _digest(tokenizer),
            "target_set": target_set,
            "sparsifier": {"type": "top-k", "k": top_k}
            if tau is None
            else {"type": "threshold", "tau": tau},
            "licence": licence,
        }
        folder = Path("logitcask-spool", dataset, str(worker)) if spool is None else Path(spool)
        self._spool = Spool(folder)
        self._vocabulary: int | None = None
        noted = self._spool.noted("request")
        if noted is not None:
            self._check(noted, noted["vocabulary"])
        self._closed = False
        self._transport = Transport([url], token=token, timeout_s=timeout_s, attempts=1)
        self._sender = Sender(
            self._transport,
            self._spool,
            dataset=dataset,
            upload=upload,
            worker=worker,
            commit_bytes=None if upload is not None else commit_bytes,
        )
        self._encoder = Encoder(self._spool, target_set, self._sender.add)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # what was written stays in the spool
            self._end()

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
        if meta is not None and len(meta) != len(tokens):
            raise invalid(f"{len(meta)} meta for {len(tokens)} sequences")
        self._begin(logits.shape[2])
        self._encoder.put(self._item(tokens, logits, attention_mask, prompt_mask, meta))

    def flush(self) -> None:
        """Returns when all that was written is durable in the spool."""
        self._encoder.flush()

    def commit(self, timeout_s: float | None = None) -> Mapping[str, Any] | None:
        """Sends all, and makes a snapshot of it: the server's reply, None where nothing waited."""
        self.flush()
        before = len(self._sender.commits)
        self._sender.wait(commit=True, timeout_s=timeout_s)
        return self._sender.commits[-1] if len(self._sender.commits) > before else None

    def close(self, timeout_s: float | None = None) -> None:
        """Sends all, and commits it unless the upload is shared; both go on for ``timeout_s``."""
        if self._closed:
            return
        try:
            self.flush()
            self._sender.wait(commit=not self._shared, timeout_s=timeout_s)
        finally:
            self._end()

    def attach(self, model: Any) -> Any:
        """Records every forward of a Hugging Face model, until ``remove()`` of what it returns."""
        return attach(self, model)

    @property
    def commits(self) -> list[dict[str, Any]]:
        """Replies of the server to what was committed."""
        return list(self._sender.commits)

    def _end(self) -> None:
        self._closed = True
        try:
            if self._encoder.failure is None:
                self._encoder.flush()
        finally:
            self._encoder.stop()
            self._sender.stop()
            self._transport.close()
            self._spool.close()

    def _raise(self) -> None:
        failure = self._encoder.failure or self._sender.failure
        if failure is not None:
            raise failure
        if self._closed:
            raise invalid("it is closed")

    def _begin(self, vocabulary: int) -> None:
        if self._vocabulary is None:
            self._spool.note("request", {**self._request, "vocabulary": vocabulary})
            self._vocabulary = vocabulary
        elif self._vocabulary != vocabulary:
            raise invalid(f"logits of {vocabulary} ids after those of {self._vocabulary}")
        if self._sender.bytes > self._spool_bytes_max:
            detail = f"recorder: over {self._spool_bytes_max} bytes wait for the server"
            raise LogitcaskError("store-full", 507, detail, True)

    def _check(self, noted: Mapping[str, Any], vocabulary: int) -> None:
        """What lies in the spool must be of the same teacher; an empty one may be of any."""
        expected = {**self._request, "vocabulary": vocabulary}
        if noted == expected:
            self._vocabulary = vocabulary
        elif self._spool.sizes():
            self._spool.close()
            detail = "recorder: the spool holds another teacher's; give this one a spool of its own"
            raise LogitcaskError("conflict", 409, detail, expected=noted, got=expected)

    def _item(self, tokens: Any, logits: Any, attention: Any, prompt: Any, meta: Any) -> Item:
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
        arrays, arrived = to_host((tokens, attention, prompt, *found))
        size = sum(array.nbytes for array in arrays if array is not None)
        return Item(*arrays[:3], meta, samples, tuple(arrays[3:]), arrived, size)

    def _starts(self, samples: Sequence[Sample], shape: Sequence[int]) -> np.ndarray:
        space = {"kind": "vocabulary", "size": self._vocabulary}
        begun = start_sample_id({**space, "tokenizer": self._request["tokenizer"]})
        starts = np.zeros(tuple(shape))
        for row, start, stop, own, mask in samples:
            sample_id = text_sample_id(begun, own, mask)
            starts[row, start:stop] = _choose.start_draws(sample_id, stop - start)
        return starts.reshape(-1)


def _digest(tokenizer: str | PathLike[str] | None) -> str | None:
    if tokenizer is None or re.fullmatch("[0-9a-f]{64}", str(tokenizer)):
        return tokenizer and str(tokenizer)
    return hashlib.sha256(Path(tokenizer).read_bytes()).hexdigest()
