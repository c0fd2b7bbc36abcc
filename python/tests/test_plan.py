"""The order, by an independent reading of docs/plan.md, equals the frozen vectors in data/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plan_reference import Plan, identity_of, pack

DATA = Path(__file__).parents[2] / "data"
PLANS = json.loads((DATA / "plan-golden.json").read_text())
PACKINGS = json.loads((DATA / "packing-golden.json").read_text())


@pytest.mark.parametrize("golden", PLANS, ids=lambda golden: golden["plan"][:8])
def test_plans_are_those_of_the_golden_file(golden: dict) -> None:
    identity = identity_of(golden["request"], [s["content_id"] for s in golden["streams"]])
    plan = Plan(identity, [s["samples"] for s in golden["streams"]])
    assert plan.id == golden["plan"]
    assert plan.steps == golden["steps_per_epoch"]
    for step in golden["steps"]:
        expected = {key: step[key] for key in ("streams", "ordinals", "pad")}
        assert plan.samples(**step["at"]) == expected


@pytest.mark.parametrize("golden", PACKINGS, ids=["longer than a pack", "with empty documents"])
def test_packs_are_those_of_the_golden_file(golden: dict) -> None:
    packs = list(pack(golden["lengths"], golden["length"], golden["window"]))
    assert packs == golden["packs"]
