"""What a recorder of images refuses, where it is written or at the server."""

from __future__ import annotations

import json

import numpy as np
import pytest
from image_recording import read, recorder, serving

from logitcask import Head, Image, LogitcaskError

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("images")) as place:
        yield place


def pipeline_of(place, name, parameters):
    file = place.folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, "parameters": parameters}))
    return file


def test_what_a_data_set_is_not_of_is_refused(place):
    heads, image = {"teacher": Head(4)}, Image("mem:0", "1" * 64)
    one, other = (pipeline_of(place, name, {"dx": "int32"}) for name in ("one", "other"))
    more = {"heads": heads, "pipeline": one}
    with recorder(place, "of", **more) as r:
        r.write(image, np.zeros((1, 4)), seed=[2**64 - 1], params={"dx": -3}, hard_label=-100)
    (batch,) = read(place, "of")
    assert batch["augmentation_seed"].tolist() == [2**64 - 1]
    assert batch["augmentation_dx"].tolist() == [-3]
    given = {"seed": 5, "params": {"dx": 1}, "hard_label": 2}
    for index, changed in enumerate(
        (
            {"pipeline": other},
            {"heads": {"teacher": Head(5)}},
            {"heads": {"teacher": Head(4, normalisation="sigmoid")}},
            {"heads": {"teacher": Head(4, classes=["a", "b", "c", "d"])}},
            {"top_k": 3},
            {"revision": "other"},
        )
    ):
        own = {**more, **changed, "spool": place.folder / f"spool-of-{index}"}
        r = recorder(place, "of", **own)
        width = own["heads"]["teacher"].size
        r.write(image, np.zeros((1, width)), **given)
        with pytest.raises(LogitcaskError, match="conflict: push: data set `of` holds") as refused:
            r.close()
        assert refused.value.code == "conflict"
    spool = place.folder / "spool-of-0"
    with pytest.raises(LogitcaskError, match="the spool holds another teacher's"):
        recorder(place, "of", **more, spool=spool)


def test_what_is_wrong_is_refused_where_it_is_written(place):
    image, shape = Image("mem:0", "2" * 64), (2, 4)
    scores = np.zeros(shape)
    pipeline = pipeline_of(place, "types", {"dx": "uint8"})
    r = recorder(place, "wrong", heads={"teacher": Head(4)}, pipeline=pipeline)
    good = {"seed": [1, 2], "params": {"dx": [0, 255]}}
    for match, changed in {
        "the head teacher of": {"scores": np.zeros((2, 5))},
        "for the heads": {"scores": {"other": scores}},
        "for 2 images": {"images": [image, image], "scores": np.zeros((3, 4))},
        "for one image": {"scores": np.zeros((1, 2, 4))},
        "no image": {"scores": np.zeros((0, 4))},
        "seeds go with": {"seed": None},
        "the pipeline declares": {"params": {}},
        "augmentation_seed is no": {"seed": [-1, 2]},
        r"augmentation_seed of \(3,\)": {"seed": [1, 2, 3]},
        "holds what no uint8 is": {"params": {"dx": [0, 256]}},
        "hard_label of float64": {"hard_label": [0.5, 1]},
        "holds what no float32 is": {"geometry": np.full((2, 4), np.nan)},
        r"geometry of \(2, 3\)": {"geometry": np.zeros((2, 3))},
        "expected bool": {"mask": [1, 0]},
        "augmentation_seed is no uint64": {"seed": [0.5, 2]},
        "is no image": {"images": Image("mem:0", "A" * 64)},
        "None.* is no image": {"images": {"uri": "mem:0"}},
        r"\['mem:0'\].* is no image": {"images": {"uri": ["mem:0"], "sha256": ["2" * 64]}},
        "no JSON object": {"meta": {"loss": np.nan}},
        "another type": {"meta": "text"},
        "a list has one of each": {"images": [image] * 2, "meta": {"a": 1, "b": 2}},
    }.items():
        call = {"images": image, "scores": scores, **good, **changed}
        with pytest.raises(LogitcaskError, match=match) as refused:
            r.write(call.pop("images"), call.pop("scores"), **call)
        assert refused.value.code == "request-invalid"
    # what was refused has decided nothing
    for broken in ({"images": "text"}, {"meta": "text"}, {"mask": 1}):
        call = {"images": image, "scores": scores, **good, "geometry": [0, 0, 1, 1], **broken}
        with pytest.raises(LogitcaskError):
            r.write(call.pop("images"), call.pop("scores"), **call)
    r.write(image, scores, **good)
    with pytest.raises(LogitcaskError, match="after"):
        r.write(image, scores, **good, hard_label=1)
    other = recorder(place, "wrong-2", heads={"teacher": Head(4)})
    with pytest.raises(LogitcaskError, match="seeds go with"):
        other.write(image, scores, seed=1)
    r.close()
    for wrong in (np.nan, np.inf, -np.inf):
        for width in (4, 100):
            spool = place.folder / f"spool-wrong-{wrong}-{width}"
            r = recorder(place, "nan", heads={"teacher": Head(width)}, spool=spool)
            r.write(image, np.full((2, width), wrong))
            with pytest.raises(LogitcaskError, match="NaN") as refused:
                r.close()
            assert refused.value.code == "row-invalid"
    for width in (4, 100):
        rows = torch.zeros(2, width)
        rows[1, 0] = -torch.nan  # the least of all bits
        head = {"teacher": Head(width, normalisation="sigmoid")}
        r = recorder(place, "nan", heads=head, spool=place.folder / f"spool-sigmoid-{width}")
        r.write(image, rows)
        with pytest.raises(LogitcaskError, match="scores of 1 positions hold NaN"):
            r.close()


def test_labels_are_classes_of_the_first_head(place):
    r = recorder(place, "label", heads={"teacher": Head(4)})
    for wrong in (4, -1):
        with pytest.raises(LogitcaskError, match=f"hard label {wrong};") as refused:
            r.write(Image("mem:0", "3" * 64), np.zeros((2, 4)), hard_label=[0, wrong])
        assert refused.value.code == "token-out-of-range"
    r.write(Image("mem:0", "3" * 64), np.zeros((2, 4)), hard_label=[-100, 3])
    r.close()
    assert r.commits[0]["samples"] == 1


def test_heads_are_one_at_least(place):
    with pytest.raises(LogitcaskError, match="no heads"):
        recorder(place, "headless", heads={})
