"""A recorder for teachers of images: what a classifier or detector says goes to a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from ._choose import is_torch
from ._encoder import Item, to_host, to_numpy
from ._heads import Head, Kept, choose, leading, uploaded
from ._hook import attach_images
from ._images import Image, Written, described, image_batches, inputs_of, reference
from ._recording import Recording
from ._samples import invalid, meta_texts

__all__ = ["Head", "Image", "ImageRecorder"]


class ImageRecorder(Recording):
    """Records what a teacher says about images, as a data set of a server.

    As ``Recorder`` it chooses entries where the scores are and returns; what ``flush``, ``commit``,
    ``close`` and the spool promise is the same. A snapshot is the one that ``logitcask build`` of
    source ``vision`` makes from the same scores.

    Args:
        url: address of the server (``logitcask serve``).
        dataset: data set to add to.
        teacher: name of the model.
        heads: by name, in order; each is a target set, or its parts are. Hard labels are classes
            of the first one.
        pipeline: how crops were made, where they were: a ``logitcask.augment.Pipeline``, or the
            path of a description with its ``parameters``. Its digest is kept with the seeds.
        revision: changes whenever its distributions may.
        top_k: entries of a position in each head; of one with fewer classes all are kept.
        upload, worker, spool, commit_bytes, spool_bytes_max: as of ``Recorder``.
    """

    def __init__(
        self,
        url: str,
        dataset: str,
        *,
        teacher: str,
        heads: Mapping[str, Head],
        pipeline: Any = None,
        revision: str = "unknown",
        top_k: int = 64,
        licence: str = "unknown",
        upload: str | None = None,
        worker: int = 0,
        spool: str | PathLike[str] | None = None,
        commit_bytes: int | None = 1 << 30,
        spool_bytes_max: int = 16 << 30,
        token: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._heads, self._top_k, self._pipeline = dict(heads), top_k, described(pipeline)
        self._about: dict[str, Any] | None = None
        sets = uploaded(heads)
        self._classes = sets[0]["size"]
        request = {
            "kind": "vision",
            "teacher": {"name": teacher, "revision": revision},
            "heads": sets,
            "augmentation_pipeline": self._pipeline.digest,
            "sparsifier": {"type": "top-k", "k": top_k},
            "licence": licence,
        }
        super().__init__(
            url,
            dataset,
            request=request,
            late="input_fields",
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
        images: Image | Mapping[str, str] | Sequence[Image | Mapping[str, str]],
        scores: Any,
        *,
        hard_label: Any = None,
        geometry: Any = None,
        seed: Any = None,
        params: Mapping[str, Any] | None = None,
        mask: Any = None,
        meta: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Records one image or a batch of B, with A positions (anchors or crops) each.

        Args:
            images: their addresses and digests, or what ``batch.images`` gives.
            scores: logits by head: [B, A, V] of a batch, [B, V] where an image is one position;
                of one image without B; [..., parts, V] of a head with parts. An array alone where
                there is one head. torch tensors on any device with float64, or numpy arrays.
            hard_label: class of each position, [B, A], −100 where there is none.
            geometry: box or anchor of each position, [B, A, 4], or [A, 4] for every image.
            seed: what each crop was drawn with, [B, A]: uint64, or int64 of the same bits.
            params: by name, [B, A]: what the pipeline's description declares.
            mask: whether each position is to be learned, [B, A]; all by default.
            meta: a JSON object an image, kept beside it.

        A number in place of an array of labels, seeds, parameters or mask stands for all. All
        writes give the same of these inputs.
        """
        self._raise()
        one = isinstance(images, (Image, Mapping))
        listed = [images] if one else list(images)
        by_head = self._named(scores)
        lead = leading(by_head, self._heads, None if one else len(listed))
        if not listed or 0 in lead:
            raise invalid("no image, or one without positions")
        refs = [reference(image) for image in listed]
        metas = meta_texts([meta] if one and meta is not None else meta, len(listed))
        given = {"hard_label": hard_label, "geometry": geometry, "seed": seed, "params": params}
        found = inputs_of(given, self._pipeline, lead, classes=self._classes)
        shape = (len(listed), *((lead if one else lead[1:]) or (1,)))
        inputs = [
            (field, np.array(values).reshape(*shape, *([field.items] * (field.items > 1))))
            for field, values in found
        ]
        learned = _mask(mask, lead).reshape(shape)
        fields = [field._asdict() for field, _ in inputs]
        self._begin(fields, f"inputs {[field['name'] for field in fields]} after")
        kept = {
            name: choose(by_head[name].reshape(-1, head.size), head, self._top_k)
            for name, head in self._heads.items()
        }
        self._encoder.put(_item(Written(refs, metas, learned, inputs, self._heads, kept)))

    def about(self, images: Any, **inputs: Any) -> None:
        """Says what the next forward of an attached model is about: ``write`` but for scores."""
        self._about = {"images": images, **inputs}

    def attach(self, model: Any, scores: Callable[[Any], Any] | None = None) -> Any:
        """Records forwards of a torch module, each behind ``about``, until ``remove()``.

        Args:
            model: the module whose outputs are the raw scores, before any suppression of boxes.
            scores: makes what ``write`` takes of an output. By default an output is a mapping or
                has attributes by head name, is a tuple in the order of the heads, or one tensor.
        """
        return attach_images(self, model, scores)

    def _record(self, output: Any) -> None:
        if self._about is None:
            raise invalid("nothing names the images of a forward; call `about` before each one")
        about, self._about = self._about, None
        self.write(about.pop("images"), output, **about)

    def _named(self, scores: Any) -> dict[str, Any]:
        if not isinstance(scores, Mapping):
            if len(self._heads) != 1:
                raise invalid(f"scores by name of the heads {sorted(self._heads)}")
            scores = {next(iter(self._heads)): scores}
        return {
            name: one if is_torch(one) else np.asarray(one, np.float32)
            for name, one in scores.items()
        }


def _mask(mask: Any, lead: tuple[int, ...]) -> np.ndarray:
    if mask is None:
        return np.ones(lead, bool)
    array = np.asarray(mask.detach().cpu().numpy() if is_torch(mask) else mask)
    if array.dtype != bool or array.shape not in (lead, ()):
        raise invalid(f"mask of {array.dtype} {array.shape}, expected bool {lead}")
    return np.array(np.broadcast_to(array, lead))


def _item(written: Written) -> Item:
    """The scores go to the host while the device works."""
    parts = [part for kept in written.kept.values() for part in kept]
    moved, arrived = to_host(parts)
    held = written._replace(kept={})
    size = sum(part.nbytes for part in moved if part is not None)
    return Item(partial(_batches, held, moved, arrived), size)


def _batches(held: Written, moved: Sequence[Any], arrived: Callable[[], object]) -> list[Any]:
    arrived()
    arrays = iter([to_numpy(part) for part in moved])
    kept = {name: Kept(*(next(arrays) for _ in Kept._fields)) for name in held.heads}
    return image_batches(held._replace(kept=kept))
