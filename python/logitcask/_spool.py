"""A folder of whole shards that wait for the server: what is in it survives a crash."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from .errors import LogitcaskError

ENDING = ".arrow"


class Spool:
    """One worker's: a lock keeps others out, also after a fork."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            detail = f"recorder: another process has the spool {folder}; give each worker its own"
            raise LogitcaskError("build-running", 409, detail, True) from error
        for torn in folder.glob("*.tmp"):
            torn.unlink()
        self._next = max(self.sizes(), default=-1) + 1

    def sizes(self) -> dict[int, int]:
        """Bytes of the shards, by number."""
        paths = sorted(self._folder.glob(f"*{ENDING}"))
        return {int(path.stem): path.stat().st_size for path in paths}

    def add(self, batches: Sequence[pa.RecordBatch]) -> tuple[int, int]:
        """Durable when it returns: the shard's number and size."""
        number = self._next
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batches[0].schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
        body = sink.getvalue()
        self._write(self._path(number), memoryview(body))
        self._next = number + 1
        return number, body.size

    def read(self, number: int) -> bytes:
        return self._path(number).read_bytes()

    def remove(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._path(number).unlink()

    def note(self, name: str, document: Mapping[str, Any] | None) -> None:
        """Keeps a document beside the shards; none removes it."""
        path = self._folder / f"{name}.json"
        if document is None:
            path.unlink(missing_ok=True)
        else:
            self._write(path, memoryview(json.dumps(document, sort_keys=True).encode()))

    def noted(self, name: str) -> dict[str, Any] | None:
        path = self._folder / f"{name}.json"
        return json.loads(path.read_bytes()) if path.exists() else None

    def close(self) -> None:
        os.close(self._lock)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010d}{ENDING}"

    def _write(self, path: Path, body: memoryview) -> None:
        """Whole or not at all."""
        temporary = path.with_name(path.name + ".tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            detail = f"recorder: cannot write {path} ({error.strerror}); free some room"
            raise LogitcaskError("store-failed", 500, detail, True) from error
