"""A stage whose values change says so, and which number must be raised: its outputs elsewhere are stale."""

from __future__ import annotations

import copy
import json

import pytest
from golden import STORED, VALUES, check

from pool5.params.recipes import read_recipes

STAGES = list(VALUES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_gives_the_stored_values(stage, tiny, request):
    problem = check(stage, VALUES[stage](tiny), request.config.getoption("--update-golden"))
    assert problem is None, problem


def test_every_stage_has_stored_values(request):
    root = request.config.rootpath
    assert set(VALUES) == set(read_recipes(root / "recipes.yaml"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_changed_value_names_the_number_to_raise(stage):
    values = json.loads((STORED / f"{stage}.json").read_text())["values"]
    changed = copy.deepcopy(values)
    assert _change_a_number(changed)
    problem = check(stage, changed, update=False)
    assert problem is not None
    assert f"recipes.yaml: {stage}: version" in problem
    # the number is not raised yet: nothing is stored
    assert check(stage, changed, update=True) == problem


def _change_a_number(values) -> bool:
    for key, value in values.items():
        if isinstance(value, dict):
            if _change_a_number(value):
                return True
        elif isinstance(value, int | float) and not isinstance(value, bool):
            values[key] = value + 1
            return True
    return False
