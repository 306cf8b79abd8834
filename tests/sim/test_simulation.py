"""The operator stands a storm of faults, comes to rest afterwards, and does so the same way each time."""

import os
import subprocess
import sys

import pytest

from tests.sim.simulation import simulate

# Enough for a run of all tests; `python -m tests.sim --seeds 1000` runs more of them.
SEEDS = 40
TOGETHER = 5


@pytest.mark.parametrize("first", range(0, SEEDS, TOGETHER))
def test_no_fault_breaks_the_operator(first: int) -> None:
    for seed in range(first, first + TOGETHER):
        result = simulate(seed)
        assert result.broken is None, result.told()


def test_a_seed_is_the_same_story_each_time() -> None:
    assert simulate(1).story.digest() == simulate(1).story.digest() != simulate(2).story.digest()


def test_a_story_does_not_hang_on_the_order_of_sets() -> None:
    tell = "from tests.sim.simulation import simulate; print(simulate(3).story.digest())"
    stories = {
        subprocess.run(
            [sys.executable, "-c", tell],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(stories) == 1
