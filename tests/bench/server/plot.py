"""Draw what `make bench-server` found: `plot.py server.json` writes server.png, in an environment of its own."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # only where this runs

mpl.use("Agg")

from matplotlib import pyplot as plt  # (after its backend is chosen)

HEADLINE = "1x32"
COLOURS = {"serinus": "#d9a400", "serinus-v2": "#ecd27a", "ceiling": "#b9bdc2"}
OTHER = "#4a6f9c"
MODELS = {
    "logistic-regression": "logistic regression, 4 columns",
    "random-forest": "random forest, 100 trees, 30 columns",
    "gradient-boosting": "gradient boosting, 50 columns",
    "pandas-pipeline": "pyfunc with a pandas pipeline, 7 mixed columns",
}
Server = Mapping[str, Any]


def main(result: Path) -> None:
    """A row for each model: requests a second large, beside it p99, memory and start."""
    found = json.loads(result.read_text())
    models = [model for model in MODELS if model in found["summary"]]
    lines = [len(found["summary"][model]) for model in models]
    height = 0.9 + sum(0.9 + 0.27 * number for number in lines)
    figure, panels = plt.subplots(
        len(models),
        4,
        figsize=(15, height),
        width_ratios=(3.2, 1.3, 1, 1),
        height_ratios=[number + 2 for number in lines],
        constrained_layout=True,
        squeeze=False,
    )
    for row, model in zip(panels, models, strict=True):
        measured = found["summary"][model]
        titles = [(name, title) for name, title in found["titles"].items() if name in measured]
        _model(row, MODELS[model], measured, titles)
    told = found["conditions"]
    figure.suptitle(
        f"One row a request over 32 connections, one core for the server ({told['cpu']}); median of "
        f"{told['rounds']} rounds of {told['seconds']:g} s, lines from the least to the most",
        fontsize=11,
    )
    figure.savefig(result.with_suffix(".png"), dpi=110)


def _model(row: Sequence[Any], title: str, found: Mapping[str, Server], servers: list[tuple[str, str]]) -> None:
    _bars(row[0], found, servers, lambda one: one["cells"][HEADLINE]["requests_s"], "{:,.0f}")
    _bars(row[1], found, servers, lambda one: one["cells"][HEADLINE]["p99_ms"], "{:,.1f}")
    _bars(row[2], found, servers, lambda one: one["memory_mb"], "{:,.0f}")
    _bars(row[3], found, servers, lambda one: one["start_s"], "{:,.2f}")
    row[0].set_title(f"{title}: requests a second", fontsize=10, loc="left", fontweight="bold")
    for axes, name in zip(row[1:], ("p99, ms", "memory, MB", "start to first answer, s"), strict=True):
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_yticklabels([])
    for axes in row[:2]:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.12g}")
        low, high = axes.get_xlim()
        axes.set_xlim(low / 2, high * (2.2 if axes is row[0] else 6))
    for axes in row[2:]:
        axes.set_xlim(0, 1.3 * axes.get_xlim()[1])


def _bars(
    axes: Any,  # noqa: ANN401 (matplotlib has no types here)
    found: Mapping[str, Server],
    servers: list[tuple[str, str]],
    figure: Callable[[Server], Mapping[str, float]],
    written: str,
) -> None:
    """A bar for each server, with its value at the end and a thin line from the least to the most."""
    axes.set_yticks(range(len(servers)), [title for _, title in servers], fontsize=9)
    axes.set_ylim(len(servers) - 0.4, -0.6)
    for place, (name, _) in enumerate(servers):
        one = figure(found[name])
        axes.barh(place, one["median"], 0.68, color=COLOURS.get(name, OTHER), zorder=2)
        axes.plot([one["min"], one["max"]], [place, place], color="#222222", linewidth=1.2, zorder=3)
        shown = written.format(one["median"])
        axes.annotate(shown, (one["max"], place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.grid(axis="x", color="#e4e6e9", zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
