"""Augmentation replay: a seed and an image give the same bytes everywhere, or are refused."""

import copy
import hashlib
import json
import subprocess
import sys
from fractions import Fraction

import pytest
import torch

from logitcask import LogitcaskError
from logitcask._augment_steps import resize
from logitcask.augment import Pipeline, mix_weight

CROP = {
    "type": "resized-crop",
    "height": 7,
    "width": 9,
    "area_per_mille": [200, 1000],
    "ratio_per_mille": [750, 1333],
}
FLIP = {"type": "flip", "probability_per_mille": 500}
COLOUR = {
    "type": "colour",
    "brightness_per_mille": [600, 1400],
    "contrast_per_mille": [600, 1400],
    "saturation_per_mille": [0, 2000],
}
MIXUP = {"type": "mixup", "partners": 640, "weight_per_mille": [0, 500]}
CUTMIX = {"type": "cutmix", "partners": 640, "area_per_mille": [100, 500]}


def described(*steps):
    return {
        "format": "logitcask/augmentation/1",
        "parameters": {},
        "steps": [copy.deepcopy(step) for step in steps],
    }


def picture(seed, height=23, width=31, channels=3):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (channels, height, width), generator=rng, dtype=torch.uint8)


def replayed(pipeline, image, seed, partner=None):
    params = pipeline.sample(seed, image.shape[1:])
    other = pipeline.view(partner, pipeline.sample(seed + 1, partner.shape[1:]))
    return pipeline.apply(image, params, other)


WHOLE = """
import hashlib, json, sys, torch
from logitcask.augment import Pipeline
torch.set_num_threads(int(sys.argv[2]))
mixup, cutmix = map(Pipeline, json.loads(sys.argv[1]))
image = (torch.arange(3 * 230 * 310) * 7919 % 251).to(torch.uint8).view(3, 230, 310)
digest = hashlib.sha256()
for seed in [*range(20), 2**64 - 1]:
    pipeline = mixup if seed % 2 else cutmix
    params = pipeline.sample(seed, image.shape[1:])
    digest.update(json.dumps(params).encode())
    digest.update(pipeline.apply(image, params, pipeline.view(image.flip(1), params)).numpy())
print(digest.hexdigest())
"""


def test_two_processes_give_the_same_bytes():
    text = json.dumps([described(CROP, FLIP, COLOUR, mix) for mix in (MIXUP, CUTMIX)])

    def run(threads):
        command = [sys.executable, "-c", WHOLE, text, threads]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    assert run("1").stdout == run("2").stdout != ""


def test_parameters_and_bytes_are_frozen():
    """They stand for what was captured: another version must draw and compute the same."""
    pipeline = Pipeline(described(CROP, FLIP, COLOUR, MIXUP))
    assert pipeline.digest == FROZEN["digest"]
    assert pipeline.sample(20261126, (23, 31)) == FROZEN["params"]
    image = (torch.arange(3 * 23 * 31) * 7919 % 251).to(torch.uint8).view(3, 23, 31)
    crop = replayed(pipeline, image, 20261126, image.flip(2))
    assert hashlib.sha256(crop.numpy().tobytes()).hexdigest() == FROZEN["crop"]
    cut = Pipeline(described(CUTMIX))
    assert cut.sample(2**64 - 1, (40, 50)) == FROZEN["cut"]


FROZEN = {
    "digest": "94bda7b5ebd31b03b271da93ad69b87a832f38a7454989603983fcea6b8194da",
    "params": [
        {
            "from_height": 23,
            "from_width": 31,
            "top": 0,
            "left": 9,
            "height": 23,
            "width": 22,
            "to_height": 7,
            "to_width": 9,
        },
        {"flip": 0},
        {"brightness_per_mille": 1067, "contrast_per_mille": 903, "saturation_per_mille": 974},
        {"partner": 239, "weight": 324, "weight_of": 1000},
    ],
    "crop": "ef1e0b47dcba1e631355fff87ea666a39b48bd1bad3ae132374ba2a90699819d",
    "cut": [
        {
            "partner": 636,
            "weight": 567,
            "weight_of": 2000,
            "from_height": 40,
            "from_width": 50,
            "top": 18,
            "left": 22,
            "height": 21,
            "width": 27,
        }
    ],
}


def test_a_pipeline_that_differs_is_refused():
    own = Pipeline(described(CROP, FLIP))
    steps = [dict(reversed(one.items())) for one in (CROP, FLIP)]
    same = Pipeline(dict(reversed(described(*steps).items())))
    assert hashlib.sha256(same.text.encode()).hexdigest() == own.digest
    same.check(own.digest)
    for other in (described(FLIP, CROP), described(CROP), described({**CROP, "width": 8}, FLIP)):
        with pytest.raises(LogitcaskError, match="another pipeline") as caught:
            Pipeline(other).check(own.digest)
        assert (caught.value.code, caught.value.expected) == ("conflict", own.digest)
    with pytest.raises(LogitcaskError, match="another pipeline"):
        own.check(None)


def test_another_seed_step_or_pipeline_draws_anew():
    size = (400, 300)
    two = Pipeline(described(CROP, FLIP, {**CROP, "height": 300, "width": 300}))
    drawn = {seed: two.sample(seed, size) for seed in range(200)}
    assert len({json.dumps(one) for one in drawn.values()}) == 200
    assert any(one[0]["top"] != one[2]["top"] for one in drawn.values())
    changed = Pipeline(described(CROP, FLIP))
    assert any(changed.sample(seed, size)[0] != one[0] for seed, one in drawn.items())


def test_parameters_stay_in_their_ranges_and_fill_them():
    pipeline = Pipeline(described(CROP, FLIP, COLOUR, MIXUP))
    crops, flips, partners, weights = [], [], set(), []
    for seed in range(3000):
        crop, flip, colour, mix = pipeline.sample(seed, (200, 200))
        assert crop["top"] + crop["height"] <= 200 and crop["left"] + crop["width"] <= 200
        assert 0 <= crop["top"] and 0 <= crop["left"] and min(crop["height"], crop["width"]) >= 1
        crops.append(crop["height"] * crop["width"] / 40_000)
        flips.append(flip["flip"])
        assert all(low <= colour[k] <= high for k, (low, high) in list(COLOUR.items())[1:])
        partners.add(mix["partner"])
        weights.append(mix_weight([mix])[1])
    # sides are whole pixels, and cut where the ratio does not fit
    assert 0.18 < min(crops) < 0.25 and max(crops) > 0.9
    assert abs(sum(flips) / 3000 - 0.5) < 4 * 0.5 / 3000**0.5
    assert len(partners) > 600 and max(partners) <= 639 and min(partners) == 0
    assert abs(sum(weights) / 3000 - 0.25) < 0.012 and max(weights) <= 0.5


def plain_resize(image, height, width):
    """The same filter, a pixel at a time, in exact fractions."""

    def weights(source, target, i):
        scale = Fraction(source, target)
        at, reach = (i + Fraction(1, 2)) * scale, max(scale, 1)
        every = [max(0, reach - abs(j + Fraction(1, 2) - at)) for j in range(source)]
        return [one / sum(every) for one in every]

    found = torch.zeros(image.shape[0], height, width, dtype=torch.uint8)
    for channel, plane in enumerate(image.tolist()):
        for y in range(height):
            rows = weights(len(plane), height, y)
            for x in range(width):
                columns = weights(len(plane[0]), width, x)
                value = sum(
                    r * c * plane[j][i]
                    for j, r in enumerate(rows)
                    if r
                    for i, c in enumerate(columns)
                    if c
                )
                found[channel, y, x] = int(value + Fraction(1, 2))
    return found


@pytest.mark.parametrize("source, target", [((5, 7), (8, 8)), ((13, 9), (4, 6)), ((6, 3), (6, 3))])
def test_resize_is_the_triangle_filter_in_exact_fractions(source, target):
    image = picture(1, *source, channels=1)
    assert torch.equal(resize(image, *target), plain_resize(image, *target))


def test_resize_agrees_with_torch_where_it_does_not_shrink():
    image = picture(2, 12, 10)
    expected = torch.nn.functional.interpolate(
        image[None].double(), (24, 33), mode="bilinear", align_corners=False
    )[0]
    assert (resize(image, 24, 33).double() - expected).abs().max() <= 0.5 + 1e-9


def test_steps_do_what_they_say():
    image, other = picture(3), picture(4)
    pipeline = Pipeline(described(FLIP, COLOUR, MIXUP))
    plain = {"brightness_per_mille": 1000, "contrast_per_mille": 1000, "saturation_per_mille": 1000}

    def apply(flip=0, weight=0, **colour):
        mix = {"partner": 0, "weight": weight, "weight_of": 1000}
        return pipeline.apply(image, [{"flip": flip}, {**plain, **colour}, mix], other)

    assert torch.equal(apply(), image)
    assert torch.equal(apply(flip=1), image.flip(2))
    assert torch.equal(apply(brightness_per_mille=0), torch.zeros_like(image))
    bright = (image.double() * 1.3 + 0.5).floor().clamp(max=255)
    assert torch.equal(apply(brightness_per_mille=1300).double(), bright)
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64) @ image.double().flatten(1)
    grey = apply(saturation_per_mille=0)
    assert (grey.flatten(1).double() - luma).abs().max() <= 0.5001
    flat = apply(contrast_per_mille=0)
    assert flat.unique().numel() == 1 and abs(flat[0, 0, 0] - luma.mean()) < 1
    mixed = (0.7 * image.double() + 0.3 * other.double() + 0.5 + 1e-9).floor()
    assert torch.equal(apply(weight=300).double(), mixed)


def test_cutmix_pastes_a_box_that_weighs_its_area():
    image, other = picture(3), picture(4)
    pipeline = Pipeline(described(CUTMIX))
    for seed in range(50):
        params = pipeline.sample(seed, image.shape[1:])
        box = torch.zeros(image.shape[1:], dtype=torch.bool)
        top, left, height, width = (params[0][k] for k in ("top", "left", "height", "width"))
        box[top : top + height, left : left + width] = True
        expected = torch.where(box, other, image)
        assert torch.equal(pipeline.apply(image, params, other), expected)
        assert mix_weight(params)[1] == box.double().mean() and box.sum() == height * width


@pytest.mark.parametrize(
    "description",
    [
        {"steps": []},
        None,
        [],
        *({**described(), "steps": steps} for steps in (None, {}, "flip", [5], [None], ["flip"])),
        described({"type": ["flip"]}),
        described({**FLIP, 5: 1}),
        {**described(), "format": "logitcask/augmentation/2"},
        {**described(), "parameters": {"top": "int32"}},
        {**described(), "more": 1},
        described({"type": "rotate"}),
        described({**FLIP, "often": 1}),
        described({"type": "flip"}),
        described({"type": "flip", "probability_per_mille": 0.5}),
        described({"type": "flip", "probability_per_mille": True}),
        described({**CROP, "area_per_mille": [900, 200]}),
        described({**CROP, "area_per_mille": [0, 200]}),
        described({**CROP, "area_per_mille": 300}),
        described({**CROP, "height": [7, 7]}),
        described(MIXUP, FLIP),
    ],
)
def test_a_description_of_another_form_is_refused(description):
    with pytest.raises(LogitcaskError, match="augment: ") as caught:
        Pipeline(description)
    assert caught.value.code == "request-invalid"


def test_what_does_not_fit_is_refused():
    image = picture(3)
    pipeline = Pipeline(described(CROP, MIXUP))
    params = pipeline.sample(3, image.shape[1:])
    assert params[1]["weight"] > 0
    other = pipeline.view(picture(4), params)
    assert pipeline.apply(image, params, other).shape == other.shape
    paste = Pipeline(described(CUTMIX))
    box = paste.sample(3, image.shape[1:])
    for call in (
        lambda: pipeline.sample(-1, (4, 4)),
        lambda: pipeline.sample(1 << 64, (4, 4)),
        lambda: pipeline.sample(0, (0, 4)),
        lambda: pipeline.apply(image, params),
        lambda: pipeline.apply(image, params, image),
        lambda: pipeline.apply(image.float(), params),
        lambda: pipeline.apply(image[:2], params),
        lambda: pipeline.apply(image[:, :3, :3], params, other),
        lambda: pipeline.apply(picture(3, 31, 23), params, other),
        lambda: pipeline.view(picture(3, 23, 32), params),
        lambda: paste.apply(picture(3, 24, 31), box, picture(4, 24, 31)),
        lambda: pipeline.apply(image, params[:1]),
        lambda: resize(torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1, 1 << 14, 1 << 14), 1, 1),
    ):
        with pytest.raises(LogitcaskError, match="augment: "):
            call()
