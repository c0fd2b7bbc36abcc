"""The steps of an augmentation pipeline: what each draws, and what it does with integers."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import LogitcaskError

#: Integers by name.
Drawn = dict[str, int]

#: What a number per mille is of.
MILLE = 1000

#: Products of filter weights and pixels are summed in float64, exact below it.
EXACT = 1 << 53


class Size(NamedTuple):
    height: int
    width: int


class Draws:
    """Numbers of one step at one seed: draw i is SHA-256(prefix | i), its first 8 bytes."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix, self._count = prefix, 0

    def integer(self, low: int, high: int) -> int:
        """low … high, both included; biased by less than (high − low) / 2^64."""
        block = hashlib.sha256(self._prefix + struct.pack("<I", self._count)).digest()
        self._count += 1
        return low + (int.from_bytes(block[:8], "little") * (high - low + 1) >> 64)


class Step(NamedTuple):
    """A type of step.

    Attributes:
        fields: least and most of the integers in a description, by name.
        ranges: names of those that are a pair [low, high].
        draw: step, draws, size → parameters, size after the step.
        apply: image, parameters, partner → image.
        mixes: whether it takes a partner.
    """

    fields: Mapping[str, tuple[int, int]]
    ranges: frozenset[str]
    draw: Callable[[Mapping[str, Any], Draws, Size], tuple[Drawn, Size]]
    apply: Callable[[Tensor, Drawn, Tensor | None], Tensor]
    mixes: bool = False

    def check(self, index: int, step: Mapping[str, Any]) -> None:
        name, wanted = step["type"], {"type", *self.fields}
        if set(step) != wanted:
            raise refused(f"step {index} ({name}) has fields", sorted(wanted), list(step))
        for key, (least, most) in self.fields.items():
            values = step[key] if key in self.ranges else [step[key]]
            whole = isinstance(values, (list, tuple)) and all(type(one) is int for one in values)
            fits = whole and len(values) == (2 if key in self.ranges else 1)
            if not fits or list(values) != sorted(values) or not least <= values[0]:
                values = None
            if values is None or values[-1] > most:
                form = f"[low, high] of integers {least} … {most}"
                form = form if key in self.ranges else f"an integer {least} … {most}"
                raise refused(f"step {index} ({name}): {key}", form, step[key])


def refused(detail: str, expected: object = None, got: object = None) -> LogitcaskError:
    return LogitcaskError("request-invalid", 400, f"augment: {detail}", expected=expected, got=got)


def _draw_crop(step: Mapping[str, Any], draws: Draws, size: Size) -> tuple[Drawn, Size]:
    """Area and ratio are even in their ranges; sides are rounded, and cut to the image's."""
    area = draws.integer(*step["area_per_mille"]) * size.height * size.width
    ratio = draws.integer(*step["ratio_per_mille"])
    height = min(max(_root(area, ratio), 1), size.height)
    width = min(max(_root(area * ratio, MILLE**2), 1), size.width)
    top = draws.integer(0, size.height - height)
    left = draws.integer(0, size.width - width)
    drawn = {**_source(size), "top": top, "left": left, "height": height, "width": width}
    after = Size(step["height"], step["width"])
    return {**drawn, "to_height": after.height, "to_width": after.width}, after


def _source(size: Size) -> Drawn:
    """What a step's parameters were drawn for: they mean nothing beside another size."""
    return {"from_height": size.height, "from_width": size.width}


def _check_source(image: Tensor, drawn: Drawn) -> None:
    expected = (drawn["from_height"], drawn["from_width"])
    if tuple(image.shape[1:]) != expected:
        detail = "the parameters are of an image of another size, draw them for this one"
        raise refused(detail, expected, tuple(image.shape[1:]))


def _root(value: int, of: int) -> int:
    """√(value / of) rounded: the largest n with (2n − 1)² ≤ 4 · value / of."""
    return (math.isqrt(4 * value // of) + 1) // 2


def _apply_crop(image: Tensor, drawn: Drawn, _: Tensor | None) -> Tensor:
    _check_source(image, drawn)
    top, left, height, width = (drawn[key] for key in ("top", "left", "height", "width"))
    box = image[:, top : top + height, left : left + width]
    return resize(box, drawn["to_height"], drawn["to_width"])


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Triangle filter over source pixels, as wide as an output pixel where the image shrinks."""
    rows = _triangles(image.shape[1], height, image.device)
    columns = _triangles(image.shape[2], width, image.device)
    total = rows.sum(1)[:, None] * columns.sum(1)
    if 255 * int(total.max()) >= EXACT:
        sides = (*image.shape[1:], height, width)
        raise refused("sides are too long to be exact", "255 · Σ weights < 2^53", sides)
    # whole numbers below 2^53: float64 products and sums are exact in any order
    sums = (rows.double() @ image.double() @ columns.double().T).long()
    return _byte(2 * sums + total, 2 * total)


def _triangles(source: int, target: int, device: torch.device) -> Tensor:
    """Weights [target, source] at a common scale: how near pixel j lies to output pixel i."""
    i = (2 * torch.arange(target, device=device) + 1)[:, None] * source
    j = (2 * torch.arange(source, device=device) + 1) * target
    return (2 * max(source, target) - (j - i).abs()).clamp(min=0)


def _draw_flip(step: Mapping[str, Any], draws: Draws, size: Size) -> tuple[Drawn, Size]:
    return {"flip": int(draws.integer(1, MILLE) <= step["probability_per_mille"])}, size


def _apply_flip(image: Tensor, drawn: Drawn, _: Tensor | None) -> Tensor:
    return image.flip(2) if drawn["flip"] else image


COLOURS = ("brightness_per_mille", "contrast_per_mille", "saturation_per_mille")


def _draw_colour(step: Mapping[str, Any], draws: Draws, size: Size) -> tuple[Drawn, Size]:
    return {name: draws.integer(*step[name]) for name in COLOURS}, size


def _apply_colour(image: Tensor, drawn: Drawn, _: Tensor | None) -> Tensor:
    brightness, contrast, saturation = (drawn[name] for name in COLOURS)
    image = _byte(image.long() * brightness + MILLE // 2, MILLE)
    grey = _grey(image)
    mean = (2 * grey.sum() + grey.numel()) // (2 * grey.numel())
    image = _blend(image, mean, contrast)
    return image if image.shape[0] == 1 else _blend(image, _grey(image), saturation)


def _grey(image: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, int64 [1, H, W]."""
    if image.shape[0] == 1:
        return image.long()
    red, green, blue = image.long()
    return ((299 * red + 587 * green + 114 * blue + MILLE // 2) // MILLE)[None]


def _blend(image: Tensor, other: Tensor, share: int) -> Tensor:
    """share / 1000 of the image; above 1000 away from the other."""
    return _byte(image.long() * share + other * (MILLE - share) + MILLE // 2, MILLE)


def _byte(values: Tensor, of: Tensor | int) -> Tensor:
    return values.div(of, rounding_mode="floor").clamp(0, 255).to(torch.uint8)


def _draw_mixup(step: Mapping[str, Any], draws: Draws, size: Size) -> tuple[Drawn, Size]:
    partner = draws.integer(0, step["partners"] - 1)
    weight = draws.integer(*step["weight_per_mille"])
    return {"partner": partner, "weight": weight, "weight_of": MILLE}, size


def _apply_mixup(image: Tensor, drawn: Drawn, partner: Tensor | None) -> Tensor:
    return _blend(image, partner.long(), MILLE - drawn["weight"])


def _draw_cutmix(step: Mapping[str, Any], draws: Draws, size: Size) -> tuple[Drawn, Size]:
    """A box of the crop's shape, wholly inside."""
    partner = draws.integer(0, step["partners"] - 1)
    area = draws.integer(*step["area_per_mille"])
    height, width = (_root(side * side * area, MILLE) for side in size)
    top = draws.integer(0, size.height - height)
    left = draws.integer(0, size.width - width)
    box = {"top": top, "left": left, "height": height, "width": width}
    weight = {"weight": height * width, "weight_of": size.height * size.width}
    return {"partner": partner, **weight, **_source(size), **box}, size


def _apply_cutmix(image: Tensor, drawn: Drawn, partner: Tensor | None) -> Tensor:
    _check_source(image, drawn)
    rows = slice(drawn["top"], drawn["top"] + drawn["height"])
    columns = slice(drawn["left"], drawn["left"] + drawn["width"])
    mixed = image.clone()
    mixed[:, rows, columns] = partner[:, rows, columns]
    return mixed


SHARE = (0, MILLE)
SIDE = (1, 1 << 14)
PARTNERS = (1, 1 << 48)
RATIO = (1, MILLE**2)
GAIN = (0, 10 * MILLE)

STEPS: Mapping[str, Step] = {
    "resized-crop": Step(
        {
            "height": SIDE,
            "width": SIDE,
            "area_per_mille": (1, MILLE),
            "ratio_per_mille": RATIO,
        },
        frozenset(("area_per_mille", "ratio_per_mille")),
        _draw_crop,
        _apply_crop,
    ),
    "flip": Step({"probability_per_mille": SHARE}, frozenset(), _draw_flip, _apply_flip),
    "colour": Step(dict.fromkeys(COLOURS, GAIN), frozenset(COLOURS), _draw_colour, _apply_colour),
    "mixup": Step(
        {"partners": PARTNERS, "weight_per_mille": SHARE},
        frozenset(("weight_per_mille",)),
        _draw_mixup,
        _apply_mixup,
        True,
    ),
    "cutmix": Step(
        {"partners": PARTNERS, "area_per_mille": SHARE},
        frozenset(("area_per_mille",)),
        _draw_cutmix,
        _apply_cutmix,
        True,
    ),
}
