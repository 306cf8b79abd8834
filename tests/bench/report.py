"""What is said of a measurement: spreads, curves, and how each figure grows with the number of jobs."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.record import Record

MATPLOTLIB = "matplotlib==3.11.2"
PLOT = Path(__file__).with_name("plot.py")
CURVE_POINTS = 200


def seconds(jobs: Record, start: float, milestones: Iterable[str]) -> Mapping[str, Any]:
    """After how many seconds the first, the middle one and so on reached each."""
    return {milestone: spread(jobs.since(start, milestone)) for milestone in milestones}


def spread(values: list[float]) -> Mapping[str, float]:
    """The first of values in order, the middle one, the one that 95 of 100 do not exceed, and the last."""
    most = values[(len(values) * 95 - 1) // 100]
    found = {"first": values[0], "median": median(values), "p95": most, "last": values[-1]}
    return {name: round(value, 2) for name, value in found.items()}


def curves(jobs: Record, start: float, milestones: Iterable[str]) -> Mapping[str, list[tuple[float, int]]]:
    """How many had reached each, after how many seconds."""
    return {milestone: _curve(jobs.since(start, milestone)) for milestone in milestones}


def _curve(values: list[float]) -> list[tuple[float, int]]:
    step = max(1, len(values) // CURVE_POINTS)
    kept = {*range(0, len(values), step), len(values) - 1}
    return [(round(values[index], 2), index + 1) for index in sorted(kept)]


def more(after: Mapping[str, float], before: Mapping[str, float]) -> Mapping[str, float]:
    """What was added to each."""
    added = {key: round(value - before.get(key, 0.0), 2) for key, value in sorted(after.items())}
    return {key: value for key, value in added.items() if value}


def growth(numbers: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, float]]:
    """Each figure by number, those that grow with it divided by it."""
    by_number = {number: _figures(int(number), found) for number, found in numbers.items()}
    keys = dict.fromkeys(key for figures in by_number.values() for key in figures)
    return {
        key: {number: round(figures[key], 4) for number, figures in by_number.items() if key in figures} for key in keys
    }


def _figures(number: int, found: Mapping[str, Any]) -> Mapping[str, float]:
    plain, training = found["plain"], found["training"]
    per_job = {
        **{f"plain Jobs, CPU ms per job, {part}": 1000 * value for part, value in plain["cpu_s"].items()},
        **{f"TrainingJobs, CPU ms per job, {part}": 1000 * value for part, value in training["cpu_s"].items()},
        **{f"requests per job to {service}": value for service, value in _by_service(training["requests"]).items()},
        **{f"requests per job, {operation}": value for operation, value in training["requests"].items()},
    }
    memory = training["memory_mb"]["peak"] - training["memory_mb"]["before"]
    return {
        "plain Jobs, seconds until the last is Complete": plain["seconds"]["complete"]["last"],
        "TrainingJobs, seconds until 95 of 100 are registered": training["seconds"]["registered"]["p95"],
        "TrainingJobs, seconds until the last is registered": training["seconds"]["registered"]["last"],
        "overhead, TrainingJobs to plain Jobs": found["ratio"],
        "plain Jobs a second": number / plain["seconds"]["complete"]["last"],
        "TrainingJobs a second": number / training["seconds"]["registered"]["last"],
        "operator, MB at most": training["memory_mb"]["peak"],
        "operator, KB more per job": 1024 * memory / number,
        **{key: value / number for key, value in per_job.items()},
    }


def _by_service(requests: Mapping[str, float]) -> Mapping[str, float]:
    services = sorted({key.split(" ", 1)[0] for key in requests})
    return {one: sum(value for key, value in requests.items() if key.startswith(f"{one} ")) for one in services}


def draw(result: Path, uv: str) -> None:
    """A picture beside the result, drawn by a matplotlib that is nobody's requirement."""
    command = [uv, "run", "--quiet", "--no-project", "--with", MATPLOTLIB, str(PLOT), str(result)]
    subprocess.run(command, check=True)
