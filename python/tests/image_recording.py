"""A server that recorders of images push to, and what comes back from it."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

from conftest import CLI, serve
from vision_data import SIDES

from logitcask import Client, Head, ImageRecorder, LogitDataset

DETECTOR = {
    "teacher": Head(6),
    "objects": Head(5, normalisation="sigmoid"),
    "sides": Head(8, parts=SIDES),
}


@contextmanager
def serving(folder):
    """A server of a store in the folder."""
    assert CLI.exists(), f"{CLI} is missing: run `npm run build` first"
    store = folder / "store"
    with serve(store) as (url, _), Client(url) as client:
        yield SimpleNamespace(url=url, folder=folder, store=store, client=client)


def recorder(place, dataset, **more):
    more = {"heads": DETECTOR, "spool": place.folder / f"spool-{dataset}", **more}
    return ImageRecorder(place.url, dataset, teacher="detector", **more)


def read(place, dataset, **more):
    data = LogitDataset(place.client, dataset, batch_size=7, shuffle=False, as_torch=False, **more)
    return list(data)
