"""Augmentation replay: a seed gives the crop that the teacher saw again; needs torch.

A pipeline is described in plain JSON; its digest stands in the manifest of the snapshot. From a
seed and an image's size come integers, the parameters, by SHA-256 alone; from those and the image
comes the crop, by integer arithmetic alone. So a seed a crop is all that is stored, and any
machine, device and version gives the same bytes. Steps and formulas: docs/augmentation.md.

    pipeline = Pipeline(description)
    pipeline.check(manifest.document["augmentation_pipeline"])
    crop = pipeline.apply(image, pipeline.sample(seed, image.shape[-2:]))
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ._augment_steps import STEPS, Drawn, Draws, Size, refused
from .errors import LogitcaskError

__all__ = ["Pipeline", "mix_weight"]

#: Says what the numbers of a description mean; no other document begins so.
FORMAT = "logitcask/augmentation/1"


class Pipeline:
    """What a description says, checked.

    Args:
        description: ``{"format": "logitcask/augmentation/1", "parameters": {}, "steps": […]}``;
            no parameters are stored, as a seed gives them. Steps: docs/augmentation.md.

    Attributes:
        text: the description as canonical JSON: the content of the file that a build is given.
        digest: SHA-256 (hex) of the text, as manifests have it.

    Raises:
        LogitcaskError: ``request-invalid`` where the description has another form.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._steps = _checked(description)
        # RFC 8785: keys are ASCII, values integers and strings
        self.text = json.dumps(description, sort_keys=True, separators=(",", ":"))
        self.digest = hashlib.sha256(self.text.encode()).hexdigest()

    def check(self, digest: str | None) -> None:
        """Refuses the digest of another pipeline, or none: its seeds mean other crops.

        Raises:
            LogitcaskError: ``conflict``.
        """
        if digest != self.digest:
            detail = "augment: the seeds are of another pipeline, give the description of that one"
            raise LogitcaskError("conflict", 409, detail, expected=digest, got=self.digest)

    def sample(self, seed: int, size: Sequence[int]) -> list[Drawn]:
        """The parameters of one crop: integers by name, one mapping a step.

        Args:
            seed: 0 … 2^64 − 1, as stored.
            size: height and width of the image in pixels.
        """
        if not 0 <= seed < 1 << 64:
            raise refused("a seed is a uint64", "0 … 2^64 − 1", seed)
        height, width = (int(side) for side in size)
        if min(height, width) < 1:
            raise refused("an image has pixels", "≥ 1 × 1", (height, width))
        at = Size(height, width)
        drawn = []
        for index, step in enumerate(self._steps):
            draws = Draws(bytes.fromhex(self.digest) + struct.pack("<QI", seed, index))
            one, at = STEPS[step["type"]].draw(step, draws, at)
            drawn.append(one)
        return drawn

    def apply(
        self, image: Tensor, params: Sequence[Drawn], partner: Tensor | None = None
    ) -> Tensor:
        """The crop, uint8 [C, height, width] on the image's device.

        Args:
            image: uint8 [C, H, W], C is 1 or 3; where a step's parameters follow from a size, of
                the one that they were drawn for.
            params: of ``sample``.
            partner: where the parameters name one: its own crop, as this method gives it, without
                its mix step (``view``).
        """
        crop = self.view(image, params)
        mix = params[-1] if self._mixes and params else None
        if mix is None or mix["weight"] == 0:
            return crop
        if partner is None or partner.shape != crop.shape or partner.dtype != torch.uint8:
            got = None if partner is None else (tuple(partner.shape), partner.dtype)
            raise refused("the partner is a crop of this shape", tuple(crop.shape), got)
        return STEPS[self._steps[-1]["type"]].apply(crop, mix, partner)

    def view(self, image: Tensor, params: Sequence[Drawn]) -> Tensor:
        """The crop before it is mixed: what a teacher scores, and what a partner gives."""
        if image.dtype != torch.uint8 or image.dim() != 3 or image.shape[0] not in (1, 3):
            got = (image.dtype, tuple(image.shape))
            raise refused("an image is uint8 [1 or 3, H, W]", got=got)
        if len(params) != len(self._steps):
            raise refused("parameters are one a step", len(self._steps), len(params))
        for step, drawn in zip(self._steps, params):
            if not STEPS[step["type"]].mixes:
                image = STEPS[step["type"]].apply(image, drawn, None)
        return image

    @property
    def _mixes(self) -> bool:
        return bool(self._steps) and STEPS[self._steps[-1]["type"]].mixes


def mix_weight(params: Sequence[Drawn]) -> tuple[int, float] | None:
    """The partner (its number among the crops) and its weight 0 … 1; None where nothing is mixed.

    The weight is what the partner's target weighs: of mixup the pixels' own, of CutMix the share
    of the area.
    """
    if not params or "partner" not in params[-1]:
        return None
    return params[-1]["partner"], params[-1]["weight"] / params[-1]["weight_of"]


def _checked(description: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    expected = {"format": FORMAT, "parameters": {}}
    steps = description.get("steps") if isinstance(description, Mapping) else None
    is_list = isinstance(steps, (list, tuple))
    if not is_list or {**description, "steps": None} != {**expected, "steps": None}:
        raise refused("a description has other fields", {**expected, "steps": "[…]"}, description)
    for index, step in enumerate(steps):
        kind = step.get("type") if isinstance(step, Mapping) else step
        if not isinstance(kind, str) or not isinstance(step, Mapping) or kind not in STEPS:
            raise refused(f"step {index} has a type that is not known", sorted(STEPS), kind)
        STEPS[kind].check(index, step)
        if STEPS[kind].mixes and index != len(steps) - 1:
            raise refused("a step that mixes is the last one", len(steps) - 1, index)
    return list(steps)
