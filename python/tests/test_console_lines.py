"""The lines of Python that the console shows for a plan make that very plan."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "test" / "golden" / "console-lines.json"
CASES = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_lines_make_the_plan_that_was_asked_for(pipe, case):
    body = json.dumps(case["request"]).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(pipe.url + "/v1/plans", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        asked = json.load(reply)
    names: dict = {}
    exec("\n".join(case["lines"]).replace('"URL"', repr(pipe.url)), names)
    assert names["dataset"].plan.id == asked["plan"]
    assert len(names["dataset"]) == asked["steps_per_epoch"]
    assert asked["steps_per_epoch"] == 0 or "batch" in names
