"""The simulator catches bugs: each of those that are planted, within a few seeds and by what it breaks."""

import re
from collections.abc import Callable

import pytest

from tests.sim.planted import BUGS, Planted
from tests.sim.planted_training import TRAINING_BUGS
from tests.sim.simulation import simulate

SEEDS = 40


@pytest.mark.parametrize("bug", [*BUGS, *TRAINING_BUGS], ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught(bug: Planted, record_property: Callable[[str, object], None]) -> None:
    steps = 0
    for seed in range(bug.first_seed, bug.first_seed + SEEDS):
        result = simulate(seed, bug.assembly)
        steps += result.steps
        if result.broken is not None:
            break
    else:
        pytest.fail(f"{bug.name}: not caught by {SEEDS} seeds in {steps} steps")
    print(f"{bug.name}: caught by seed {seed} after {steps} steps: {result.broken}")
    record_property("steps", steps)
    assert re.search(bug.caught_by, str(result.broken)), result.told()
