"""Draw what `make bench-jobs` found: `plot.py jobs.json` writes jobs.png. It runs in an environment of its own."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # only where this runs

mpl.use("Agg")

from matplotlib import pyplot as plt  # (after its backend is chosen)

PARTS = ("operator", "mlflow", "postgres", "kube-apiserver", "etcd", "trainer")
CURVES = {"running": "running", "complete": "trained", "judged": "judged", "registered": "registered"}


def main(result: Path) -> None:
    """Four panels: the largest number over time, and how time, CPU and memory grow."""
    found = json.loads(result.read_text())
    figure, panels = plt.subplots(2, 2, figsize=(12, 8.5), constrained_layout=True)
    numbers = {int(number): one for number, one in found["numbers"].items()}
    _over_time(panels[0][0], max(numbers), numbers[max(numbers)])
    _time(panels[0][1], numbers)
    _cpu(panels[1][0], numbers)
    _memory(panels[1][1], numbers)
    low, high = found["conditions"]["training_seconds"]
    figure.suptitle(
        f"TrainingJobs (trained, gated, registered) beside plain Jobs, on pretended nodes: pods run {low:g} to "
        f"{high:g} s, {found['conditions']['cores']} cores for all, MLflow with {found['conditions']['mlflow']}",
        fontsize=11,
    )
    figure.savefig(result.with_suffix(".png"), dpi=110)


def _over_time(axes: Any, number: int, one: Mapping[str, Any]) -> None:  # noqa: ANN401 (matplotlib has no types here)
    for name, shown in CURVES.items():
        axes.step(*zip(*one["training"]["curves"][name], strict=True), where="post", label=f"TrainingJobs: {shown}")
    axes.step(*zip(*one["plain"]["curves"]["complete"], strict=True), "k--", where="post", label="plain Jobs: complete")
    axes.set(title=f"{number:,} at once", xlabel="seconds since the first was made", ylabel="jobs", xlim=0)
    axes.set_ylim(0, 1.35 * number)
    axes.legend(loc="upper left", ncols=2, fontsize="small")


def _time(axes: Any, numbers: Mapping[int, Any]) -> None:  # noqa: ANN401
    training = [one["training"]["seconds"]["registered"]["last"] for one in numbers.values()]
    plain = [one["plain"]["seconds"]["complete"]["last"] for one in numbers.values()]
    axes.plot(list(numbers), training, "o-", label="TrainingJobs: last registered")
    axes.plot(list(numbers), plain, "ks--", label="plain Jobs: last complete")
    for number, value, one in zip(numbers, training, numbers.values(), strict=True):
        axes.annotate(f"{one['ratio']:g} times", (number, value), (0, 7), textcoords="offset points", ha="center")
    axes.set(title="Time, and how many times that of plain Jobs", xlabel="jobs at once", ylabel="seconds")
    axes.set_ylim(0, 1.25 * max(training))
    axes.margins(0.1)
    axes.legend(loc="upper left")


def _cpu(axes: Any, numbers: Mapping[int, Any]) -> None:  # noqa: ANN401
    places, bottom = range(len(numbers)), [0.0] * len(numbers)
    for part in PARTS:
        heights = [1000 * one["training"]["cpu_s"].get(part, 0.0) / number for number, one in numbers.items()]
        axes.bar(places, heights, 0.55, bottom, label=part)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    axes.set_xticks(places, [f"{number:,}" for number in numbers])
    axes.set(title="CPU for each TrainingJob, by part", xlabel="jobs at once", ylabel="milliseconds")
    axes.set_xlim(-0.6, len(numbers) + 0.4)
    axes.legend(loc="upper right")


def _memory(axes: Any, numbers: Mapping[int, Any]) -> None:  # noqa: ANN401
    for name in ("peak", "before"):
        values = [one["training"]["memory_mb"][name] for one in numbers.values()]
        axes.plot(list(numbers), values, "o-", label="at most" if name == "peak" else "before")
    axes.set(title="Memory of the operator", xlabel="jobs at once", ylabel="MB")
    axes.set_ylim(0, 1.15 * max(one["training"]["memory_mb"]["peak"] for one in numbers.values()))
    axes.margins(0.1)
    axes.legend(loc="lower right")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
