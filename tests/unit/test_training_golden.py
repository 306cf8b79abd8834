"""Whole plans for a TrainingJob, written down: the resource and its children, and what is decided."""

from pathlib import Path

import pytest
import yaml

from serinus.objects import JOB, POD
from serinus.plan import Plan
from tests.unit.fakes import Json, as_json
from tests.unit.training_life import Life

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("trainingjob-*.yaml")))
def test_the_plan_is_as_it_is_written_down(name: str) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text()
    found = planned(yaml.safe_load(text)).status.wire()["revision"]
    golden = yaml.safe_load(text.replace("REVISION", found))
    assert as_json(planned(golden)) == golden["plan"]


def planned(golden: Json) -> Plan:
    """The first plan for the resource with its children that does more than to ask."""
    life = Life()
    life.raw = golden["resource"]
    for child in golden["children"]:
        life.put({"Job": JOB, "Pod": POD}[child["kind"]], child)
    plans = (life.step() for _ in range(10))
    return next(plan for plan in plans if plan.apply or plan.delete or not plan.ask)
