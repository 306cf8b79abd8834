"""What is said of the measurements: medians with their spread, the goals, tables, and the picture."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.report import MATPLOTLIB
from tests.bench.server.servers import CEILING, MLFLOW, OURS

PLOT = Path(__file__).with_name("plot.py")
HEADLINE = "1x32"
OURS_TOO = (OURS, "serinus-v2")
FIGURES = ("requests_s", "p50_ms", "p99_ms", "server_cpu", "others_cpu", "generator_cpu")
# A share of the generator's core from which on it, and not the server, might be what is measured.
BUSY = 0.8
Found = Mapping[str, Any]
Summary = dict[str, dict[str, dict[str, Any]]]


def summary(runs: Iterable[Found]) -> Summary:
    """By model and server: the median of the rounds, the least and the most."""
    grouped: dict[tuple[str, str], list[Found]] = {}
    for run in runs:
        if "error" not in run:
            grouped.setdefault((run["model"], run["server"]), []).append(run)
    found: Summary = {}
    for (model, server), rounds in grouped.items():
        found.setdefault(model, {})[server] = _of_rounds(rounds)
    return found


def _of_rounds(rounds: Sequence[Found]) -> dict[str, Any]:
    return {
        "start_s": spread([one["start_s"] for one in rounds]),
        "memory_mb": spread([one["memory_mb"] for one in rounds]),
        "cells": {
            name: {figure: spread([one["cells"][name][figure] for one in rounds]) for figure in FIGURES}
            for name in rounds[0]["cells"]
        },
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """The middle one, the least and the most."""
    return {"median": round(median(values), 3), "min": min(values), "max": max(values)}


def faults(runs: Iterable[Found]) -> list[str]:
    """What must not be, in words: servers that did not work, answers that were wrong, a generator at its limit."""
    found = []
    for run in runs:
        where = f"round {run['round']}, {run['server']}, {run['model']}"
        if "error" in run:
            found.append(f"{where}: {run['error']}")
        for name, cell in run.get("cells", {}).items():
            said = [*cell["faults"]]
            if cell["generator_cpu"] > BUSY:
                said.append(f"the generator itself was busy for {cell['generator_cpu']:.0%} of the time")
            found.extend(f"{where}, {name}: {one}" for one in said)
    return found


def others(runs: Iterable[Found]) -> float:
    """The share of the server's core that other work took while it was measured: should be next to nothing."""
    shares = [cell["others_cpu"] for run in runs for cell in run.get("cells", {}).values()]
    return round(median(shares), 3) if shares else 0.0


def goals(found: Summary) -> dict[str, Any]:
    """How our server stands to the goals that were set for it; only those whose servers were measured."""
    return {model: goal for model, servers in found.items() if (goal := _goals(servers))}


def _goals(servers: Mapping[str, Any]) -> dict[str, Any]:
    if OURS not in servers:
        return {}
    ours = servers[OURS]
    rivals = {name: one for name, one in servers.items() if name not in {*OURS_TOO, CEILING, "mlflow-command"}}
    told: dict[str, Any] = {"start_s": ours["start_s"]["median"], "slower": _slower(ours, rivals)}
    if HEADLINE not in ours["cells"]:
        return told
    if MLFLOW in servers:
        told["times_mlflow"] = round(_rate(ours) / _rate(servers[MLFLOW]), 1)
        told["memory_of_mlflow"] = round(_middle(ours, "memory_mb") / _middle(servers[MLFLOW], "memory_mb"), 2)
    if rest := [_rate(one) for name, one in rivals.items() if name != MLFLOW]:
        told["times_best_other"] = round(_rate(ours) / max(rest), 1)
    if CEILING in servers:
        told["of_ceiling"] = round(_rate(ours) / _rate(servers[CEILING]), 2)
    return told


def _slower(ours: Found, rivals: Mapping[str, Found]) -> list[str]:
    """Where another server answered more requests a second, or its p99 was lower."""
    return [
        f"{name} {cell}: {what}"
        for name, other in rivals.items()
        for cell in ours["cells"]
        for what, lost in _compare(ours["cells"][cell], other["cells"].get(cell))
        if lost
    ]


def _compare(ours: Found, other: Found | None) -> list[tuple[str, bool]]:
    if other is None:
        return []
    rates, tails = [[one[figure]["median"] for one in (ours, other)] for figure in ("requests_s", "p99_ms")]
    return [
        (f"{rates[0]:,.0f} requests/s, theirs {rates[1]:,.0f}", rates[0] < rates[1]),
        (f"p99 {tails[0]:.1f} ms, theirs {tails[1]:.1f}", tails[0] > tails[1]),
    ]


def _rate(server: Found) -> float:
    return float(server["cells"][HEADLINE]["requests_s"]["median"])


def _middle(server: Found, figure: str) -> float:
    return float(server[figure]["median"])


def tables(found: Summary, titles: Mapping[str, str]) -> str:
    """A table for each model, in Markdown: requests a second and p99 by cell, memory, start."""
    return "\n".join(_table(model, servers, titles) for model, servers in found.items())


def _table(model: str, servers: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    cells = list(dict.fromkeys(cell for one in servers.values() for cell in one["cells"]))
    head = ["server", *(_words(cell) for cell in cells), "memory", "first answer"]
    lines = [head, ["---"] * len(head), *(_line(titles[name], one, cells) for name, one in servers.items())]
    return "\n".join([f"### {model}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _words(cell: str) -> str:
    rows, connections = cell.split("x")
    return f"{rows} row{'s' if rows != '1' else ''}, {connections} conn."


def _line(title: str, server: Found, cells: Iterable[str]) -> list[str]:
    figures = [_figures(server["cells"].get(cell)) for cell in cells]
    return [title, *figures, f"{_middle(server, 'memory_mb'):.0f} MB", f"{_middle(server, 'start_s'):.2f} s"]


def _figures(cell: Found | None) -> str:
    """Requests a second, and the p99."""
    return f"{cell['requests_s']['median']:,.0f} ({milliseconds(cell['p99_ms']['median'])})" if cell else "-"


def milliseconds(value: float) -> str:
    """With as many digits as say something."""
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.{0 if value >= 100 else 1}f} ms"


def draw(result: Path, uv: str) -> None:
    """A picture beside the result, drawn by a matplotlib that is nobody's requirement."""
    command = [uv, "run", "--quiet", "--no-project", "--with", MATPLOTLIB, str(PLOT), str(result)]
    subprocess.run(command, check=True)
