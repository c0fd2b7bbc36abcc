"""A student's own rollouts, scored by the teachers of a server: POST /v1/score (docs/http.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa

from ._http import ARROW, Reply, Transport
from ._reply import read_batch
from .batch import Batch
from .errors import LogitcaskError, invalid_reply

#: What sequences may be: arrays or tensors of ids count as sequences of integers.
Tokens = Sequence[int] | np.ndarray | Any


class Scorer:
    """Asks a server for the teachers' targets of any sequences; may be shared by threads.

    What was scored before, or is the beginning of something that was, comes from the server's
    cache; what was not is asked of the teacher once, whoever else asks, and kept
    (docs/on-policy.md).

        scorer = Scorer("http://127.0.0.1:8750")
        batch = scorer.score(rollouts, prompt_lengths=lengths)
        loss = reverse_kl(student(batch.model_inputs()["input_ids"]).logits, batch)

    Args:
        url: a server's address, or several of replicas.
        token: bearer token with the scope ``write``.
        timeout: seconds without a byte; a teacher may have to be waited for.
        attempts: tries of a request in all, see Client: it may be sent again, as what was scored
            is then in the cache.
        as_torch: give tensors; by default where torch is installed.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        token: str | None = None,
        timeout: float = 600.0,
        attempts: int = 8,
        as_torch: bool | None = None,
    ) -> None:
        from . import _torch  # torch is loaded by those who use it

        urls = [url] if isinstance(url, str) else url
        self._http = Transport(urls, token=token, timeout_s=timeout, attempts=attempts)
        self._as_torch = _torch.installed if as_torch is None else as_torch

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are idle."""
        self._http.close()

    def score(
        self,
        sequences: Sequence[Tokens],
        prompt_lengths: Sequence[int] | np.ndarray | Any | None = None,
        meta: Sequence[Mapping[str, Any]] | None = None,
        top_k: int | None = None,
        target_sets: Sequence[str] | None = None,
    ) -> Batch:
        """A batch of layout ``plain``, one sample a sequence, in their order.

        Args:
            sequences: token ids of each, without padding.
            prompt_lengths: tokens of each prompt; what follows is to be learned (``mask``). Whole
                sequences are, by default.
            meta: kept beside each sequence that is scored for the first time.
            top_k: entries a position; by default, and at most, those of the cache.
            target_sets: names of the teachers to ask; all by default.

        Raises:
            LogitcaskError: of the server: ``sample-not-found`` where it asks no teacher and a
                sequence is not in its cache (``got`` has the rows), ``token-out-of-range``,
                ``request-invalid``, ``too-many-requests``, ``teacher-*``; of the reply:
                ``reply-invalid``, TruncatedReply.
        """
        tokens = [np.asarray(one).astype(np.int32, casting="same_kind") for one in sequences]
        names = None if target_sets is None else ",".join(target_sets)
        query = {"top_k": top_k, "target_sets": names}
        given = urlencode({key: value for key, value in query.items() if value is not None})

        def parse(reply: Reply) -> Batch:
            batch = read_batch(reply.body, {"layout": "plain"})
            _check_tokens(batch, tokens)
            return batch

        path = "/v1/score" + (f"?{given}" if given else "")
        body = _stream_of(tokens, prompt_lengths, meta)
        batch = self._http.post(path, body, parse, content_type=ARROW, accept=ARROW)
        return batch.torch() if self._as_torch else batch


def _stream_of(
    tokens: Sequence[np.ndarray],
    prompt_lengths: Sequence[int] | np.ndarray | Any | None,
    meta: Sequence[Mapping[str, Any]] | None,
) -> bytes:
    for name, values in (("prompt_lengths", prompt_lengths), ("meta", meta)):
        if values is not None and len(values) != len(tokens):
            detail = f"score: {name} are one a sequence"
            raise LogitcaskError("request-invalid", 400, detail, expected=len(tokens), got=values)
    offsets = np.cumsum([0, *map(len, tokens)], dtype=np.int32)
    joined = np.concatenate([np.empty(0, np.int32), *tokens])
    columns = {"tokens": pa.ListArray.from_arrays(offsets, pa.array(joined))}
    if prompt_lengths is not None:
        columns["prompt_length"] = pa.array(np.asarray(prompt_lengths).astype(np.int32))
    if meta is not None:
        columns["meta"] = pa.array([json.dumps(one) for one in meta], pa.utf8())
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _check_tokens(batch: Batch, tokens: Sequence[np.ndarray]) -> None:
    """The sample ids prove that a reply is whole; this, that it answers the request."""
    lengths = [len(one) for one in tokens]
    got = np.diff(batch["offsets"]).tolist()
    if got != lengths:
        raise invalid_reply("score: other sequences came back", expected=lengths, got=got)
    if not np.array_equal(batch["tokens"], np.concatenate(tokens)):
        raise invalid_reply("score: other tokens came back")
