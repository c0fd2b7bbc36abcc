"""The HTTP interface of a server (docs/http.md): every reply is checked before it is given out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import numpy as np

from ._http import ARROW, Pending, Reply, Transport
from ._reply import read_batch
from .batch import Batch
from .errors import LogitcaskError, TruncatedReply, invalid_reply

FORMAT_VERSION = 1
#: Features of a manifest that change nothing for a client, or that this one knows.
FEATURES = ("images", "parquet", "responses")


class Manifest(NamedTuple):
    """A snapshot: `id` is the SHA-256 (hex) of the manifest's bytes, `document` its JSON."""

    id: str
    document: dict[str, Any]


class Plan(NamedTuple):
    """An order of steps: `id` is the SHA-256 (hex) of all that decides it, `document` the reply."""

    id: str
    snapshots: tuple[str, ...]
    steps_per_epoch: int
    items_per_epoch: int
    document: dict[str, Any]

    @property
    def global_batch(self) -> int:
        """Samples, or packs, of a step over all ranks."""
        return self.document["identity"]["global_batch"]


class Client:
    """A connection to one server, or to replicas of it; may be shared by threads.

    Args:
        url: ``http://host:port``, with a path where the server lies behind one; or several, which
            serve the same store. One of them is taken at random and kept until it fails.
        token: bearer token, for servers that bind beyond loopback: visible ASCII.
        timeout: seconds without a byte after which a request is tried again.
        attempts: tries of a request in all. Connections that fail or break off, damaged replies,
            and statuses 408, 425, 429 and 5xx that say they can be retried are tried again: at
            once by the other replicas, then after up to 0.1, 0.2, 0.4 … 5 seconds.
        verify: ask for the SHA-256 of every batch and check it. Frames are checked anyway; this
            covers tokens and the layouts without frames, and takes the server longer than all
            else that it does for a step.

    Every method raises LogitcaskError: with the code of the server's problem report,
    ``server-unreachable``, ``reply-invalid``, or as TruncatedReply.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        token: str | None = None,
        timeout: float = 30.0,
        attempts: int = 8,
        verify: bool = False,
    ) -> None:
        urls = [url] if isinstance(url, str) else url
        self._http = Transport(urls, token=token, timeout_s=timeout, attempts=attempts)
        self._verify = verify

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are idle."""
        self._http.close()

    def datasets(self) -> list[dict[str, Any]]:
        """All data sets: ``[{"name", "tags": {tag: snapshot id}}]``."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = "" if cursor is None else "?" + urlencode({"cursor": cursor})
            page = self._http.get("/v1/datasets" + query, Reply.json)
            found += page["datasets"]
            cursor = page.get("next")
            if cursor is None:
                return found

    def manifest(self, dataset: str, snapshot: str = "latest") -> Manifest:
        """What a snapshot holds; `snapshot` is its id or a tag. The bytes must have that id."""

        def parse(reply: Reply) -> Manifest:
            named = reply.headers.get("logitcask-snapshot")
            actual = hashlib.sha256(reply.body).hexdigest()
            if named != actual or (_is_digest(snapshot) and snapshot != actual):
                raise invalid_reply("manifest: its digest is another", expected=named, got=actual)
            document = reply.json()
            version, features = document.get("version"), document.get("features")
            known = isinstance(features, list) and all(one in FEATURES for one in features)
            if version != FORMAT_VERSION or not known:
                detail = "manifest: it needs a later version of this package"
                want = {"version": FORMAT_VERSION, "features": FEATURES}
                got = {"version": version, "features": features}
                raise LogitcaskError("manifest-unsupported", 501, detail, expected=want, got=got)
            return Manifest(actual, document)

        return self._http.get(_snapshot_path(dataset, snapshot), parse)

    def create_plan(
        self,
        streams: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        *,
        global_batch: int = 8,
        seed: int = 0,
        shuffle: str | Mapping[str, Any] = "global",
        tail: str = "short",
        **rules: Any,
    ) -> Plan:
        """Makes an order of steps; asking again gives the same plan (docs/plan.md).

        Args:
            streams: a data set by name, or ``{"dataset", "snapshot"}`` with at most one of
                ``proportion``, ``repeat`` and ``choose``; or several of these. Tags are resolved
                now, so that the plan never changes.
            global_batch: samples, or packs, of a step over all ranks.
            seed: 0 … 2^64 − 1.
            shuffle: ``global``, ``none`` or ``{"mode": "block", "block": n}``.
            tail: a last step that is not full is sent ``short``, filled up (``pad``) or left out
                (``drop``).
            rules: ``epoch_size``, ``stop`` (``all`` or ``first``), ``packing``
                (``{"length", "window"}``), ``filter`` (``{"positions", "learned", "meta"}``). None
                leaves the choice to the server.
        """
        named = [streams] if isinstance(streams, str | Mapping) else streams
        request = {
            "streams": [{"dataset": one} if isinstance(one, str) else dict(one) for one in named],
            "seed": str(seed),
            "global_batch": global_batch,
            "shuffle": {"mode": shuffle} if isinstance(shuffle, str) else dict(shuffle),
            "tail": tail,
            **_given(rules),
        }
        return self._http.post("/v1/plans", json.dumps(request).encode(), _parse_plan)

    def plan(self, plan: str) -> Plan:
        """A plan by its id."""

        def parse(reply: Reply) -> Plan:
            found = _parse_plan(reply)
            if found.id != plan:
                raise invalid_reply("plan: it is another", expected=plan, got=found.id)
            return found

        return self._http.get(f"/v1/plans/{quote(plan, safe='')}", parse)

    def digest(
        self, plan: str, epoch: int, from_step: int = 0, to_step: int | None = None, **place: int
    ) -> str:
        """SHA-256 (hex) of the order of steps [from_step, to_step), by default to the epoch's end.

        ``logitcask.order_digest`` computes the same of what a trainer received. `place` may have
        ``rank``, ``world`` and ``replicate``; without them it covers all ranks.
        """
        query = urlencode(_given({"from": from_step, "to": to_step, **place}))
        path = f"/v1/plans/{quote(plan, safe='')}/epochs/{epoch}/digest?{query}"

        def parse(reply: Reply) -> str:
            document = reply.json()
            try:
                found = tuple(document[name] for name in ("plan", "epoch", "from", "to"))
                digest = str(document["digest"])
            except (KeyError, TypeError) as error:
                raise invalid_reply(f"digest: the reply lacks {error}") from error
            expected = (plan, epoch, from_step, found[3] if to_step is None else to_step)
            if found != expected:
                raise invalid_reply("digest: it is another", expected=expected, got=found)
            return digest

        return self._http.get(path, parse)

    def step(
        self, plan: str, epoch: int, step: int, *, rank: int = 0, world: int = 1, **view: Any
    ) -> Batch:
        """One rank's samples of one step.

        Args:
            plan: its id; epoch: from 0; step: from 0, below the plan's steps per epoch.
            rank, world: this process and the number of processes; each sample of the step goes to
                exactly one rank.
            view: ``replicate``, the number of neighbouring ranks that get the same batch;
                ``layout`` (``frames`` by default, ``plain``, ``dense``), ``target_set``,
                ``temperature``; for ``dense`` also ``k``, ``pad_to``, ``dtype``, ``vocab_size``;
                ``snapshot``, the id of one with the plan's samples, by default the one that the
                plan was first made for. None leaves the choice to the server.
        """
        return self._steps(plan, rank=rank, world=world, **view)(epoch, step).finish()

    def _steps(self, plan: str, **view: Any) -> Callable[[int, int], Pending[Batch]]:
        """``step`` in two halves: asked for now, received and decoded by ``finish()``."""
        query = {"rank": 0, "world": 1, **_given(view)}
        path, text = f"/v1/plans/{quote(plan, safe='')}/epochs", urlencode(query)
        echo = {key: str(query[key]) for key in ("rank", "world", "snapshot") if key in query}
        echo |= {"layout": query.get("layout", "frames"), "plan": plan}
        return lambda epoch, step: self._batch(
            f"{path}/{epoch}/steps/{step}?{text}",
            {**echo, "epoch": str(epoch), "step": str(step)},
            {"logitcask.replicate": str(query.get("replicate", 1))},
        )

    def rows(
        self,
        dataset: str,
        snapshot: str = "latest",
        *,
        offset: int = 0,
        length: int = 100,
        layout: str = "plain",
    ) -> Batch:
        """Samples [offset, offset + length) in stored order, at most 100."""
        query = urlencode({"offset": offset, "length": length, "layout": layout})
        echo = {"layout": layout, **({"snapshot": snapshot} if _is_digest(snapshot) else {})}
        return self._batch(f"{_snapshot_path(dataset, snapshot)}/rows?{query}", echo, {}).finish()

    def shard(self, dataset: str, name: str, snapshot: str = "latest") -> np.ndarray:
        """A file of the snapshot, uint8; it must have the manifest's length and SHA-256."""
        found = self.manifest(dataset, snapshot)
        files = {file["name"]: file for file in found.document["files"]}
        if name not in files:
            detail = f"snapshot: no file {name} is in {found.id}"
            raise LogitcaskError("file-not-found", 404, detail, expected=sorted(files), got=name)
        file = files[name]

        def parse(reply: Reply) -> np.ndarray:
            expected = (file["bytes"], file["sha256"])
            got = (len(reply.body), hashlib.sha256(reply.body).hexdigest())
            if got != expected:
                raise TruncatedReply(f"shard: {name} came damaged", expected=expected, got=got)
            return reply.body

        path = f"{_snapshot_path(dataset, found.id)}/shards/{quote(name, safe='')}"
        return self._http.get(path, parse, accept="*/*")

    def tokenizer(self, dataset: str, snapshot: str = "latest") -> bytes:
        """The teacher's tokenizer.json, as it is kept with the snapshot."""
        found = self.manifest(dataset, snapshot)
        for file in found.document["files"]:
            if file["role"] == "tokenizer":
                return self.shard(dataset, file["name"], found.id).tobytes()
        detail = f"snapshot: no tokenizer is kept with {dataset}; leave tokenizer= out"
        raise LogitcaskError("file-not-found", 404, detail, expected="a file of role tokenizer")

    def _batch(self, path: str, echo: dict[str, str], also: dict[str, str]) -> Pending[Batch]:
        """`echo`: what metadata must say; `also`: what they are given besides."""

        def parse(reply: Reply) -> Batch:
            try:
                return read_batch(reply.body, echo, also)
            except LogitcaskError as error:
                # the server checks every frame that it sends: this one was damaged on the way
                error.retryable |= error.code == "frame-damaged"
                raise

        return self._http.begin(path, parse, accept=ARROW, verify=self._verify)


def _parse_plan(reply: Reply) -> Plan:
    document = reply.json()
    try:
        identity, plan = document["identity"], document["plan"]
        steps, samples = document["steps_per_epoch"], document["items_per_epoch"]
        snapshots = tuple(stream["snapshot"] for stream in document["streams"])
    except (KeyError, TypeError) as error:
        raise invalid_reply(f"plan: the reply lacks {error}") from error
    # RFC 8785: the identity holds integers, ASCII keys and strings only
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    actual = hashlib.sha256(canonical.encode()).hexdigest()
    if actual != plan:
        raise invalid_reply("plan: its id is not its digest", expected=actual, got=plan)
    return Plan(plan, snapshots, steps, samples, document)


def _given(view: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in view.items() if value is not None}


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)


def _snapshot_path(dataset: str, snapshot: str) -> str:
    return f"/v1/datasets/{quote(dataset, safe='')}/snapshots/{quote(snapshot, safe='')}"
