"""The model server beside others, each on one core: `make bench-server`.

In each round every server is started anew for every model, asked for the first time, checked against the model's own
predictions, loaded, weighed, and ended. The servers take turns, so that what the machine does meanwhile meets them all.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.server import environment, report
from tests.bench.server.measure import Cell, Subject, Wrong, measure
from tests.bench.server.servers import OURS, OWN_PYTHON, PEERS, SERVERS, Server
from tests.cluster import settings
from tests.cluster.settings import CHECKOUT, Settings
from tests.process import seconds_since

FOLDER = CHECKOUT / "build" / "bench"
RESULT = FOLDER / "server.json"
LOGS = FOLDER / "logs"
MODELS = ("logistic-regression", "random-forest", "gradient-boosting", "pandas-pipeline")
# The one that is reported first gets the whole time, the others a part of it.
HEADLINE = (1, 32)
OTHERS = ((1, 1), (1, 256), (100, 1), (100, 32), (100, 256))
PART = 0.2
# The other protocol of our server is compared with the first where that says most; the command of MLflow differs from
# the server that it starts in memory and start only.
FEW = {"serinus-v2": (HEADLINE, (100, 32)), "mlflow-command": (HEADLINE,)}
ONCE = {"mlflow-command": "logistic-regression"}
PACKAGES = ("mlflow", "mlserver", "bentoml", "fastapi", "uvicorn", "uvloop", "httptools", "scikit-learn", "numpy")
DIGITS = "%Y-%m-%dT%H:%M:%SZ"


def main() -> int:
    """Measure, and write what was found after each round; 1 where anything went wrong that must not."""
    options = _options()
    _require_cores()
    chosen = settings.read(os.environ, name="bench")
    LOGS.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"conditions": _conditions(options), "runs": []}
    subjects = {model: _subjects(chosen, options, model) for model in options.models}
    began = time.monotonic()
    for number in range(1, options.rounds + 1):
        for run in _round(subjects, number, options.seconds):
            found["runs"].append(run)
            print(_told(run), flush=True)
        found["conditions"]["took_s"] = round(time.monotonic() - began)
        _write(found, options.uv)
    return _conclusion(found)


def _round(subjects: Mapping[str, Sequence[Subject]], number: int, seconds: float) -> Iterator[Mapping[str, Any]]:
    """Each server with each model, another one first in each round."""
    for model, all_of_them in subjects.items():
        turn = number % len(all_of_them)
        for subject in [*all_of_them[turn:], *all_of_them[:turn]]:
            run, began = {"round": number, "model": model, "server": subject.server.name}, time.monotonic()
            try:
                found = measure(subject, _cells(subject.server, seconds))
                yield {**run, **found, "took_s": seconds_since(began)}
            except (RuntimeError, Wrong, ValueError, OSError, HTTPException) as error:
                yield {**run, "error": f"{type(error).__name__}: {error}"}


def _cells(server: Server, seconds: float) -> list[Cell]:
    wanted = FEW.get(server.name, (HEADLINE, *OTHERS))
    return [Cell(*one, seconds if one == HEADLINE else seconds * PART) for one in wanted]


def _subjects(chosen: Settings, options: argparse.Namespace, model: str) -> list[Subject]:
    folder, generator = environment.models(chosen) / model, environment.generator(chosen)
    return [
        Subject(
            server,
            environment.python(chosen, options.uv, server.peer) if server.peer else OWN_PYTHON,
            folder,
            generator,
            LOGS / f"server-{server.name}-{model}.log",
        )
        for server in options.only
        if ONCE.get(server.name, model) == model
    ]


def _told(run: Mapping[str, Any]) -> str:
    """One line for who waits."""
    where = f"round {run['round']}  {run['model']:20}{run['server']:17}"
    if "error" in run:
        return f"{where}{run['error']}"
    headline = run["cells"][report.HEADLINE]
    figures = f"{headline['requests_s']:9,.0f} requests/s, p99 {report.milliseconds(headline['p99_ms'])}"
    return f"{where}{figures}, {run['memory_mb']:.0f} MB, first answer after {run['start_s']:.2f} s"


def _write(found: dict[str, Any], uv: str) -> None:
    found["summary"] = report.summary(found["runs"])
    found["goals"] = report.goals(found["summary"])
    found["faults"] = report.faults(found["runs"])
    found["conditions"]["others_cpu"] = report.others(found["runs"])
    found["titles"] = {server.name: server.title for server in SERVERS}
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    if found["summary"]:
        report.draw(RESULT, uv)


def _conclusion(found: Mapping[str, Any]) -> int:
    print("\n" + report.tables(found["summary"], found["titles"]))
    print(json.dumps(found["goals"], indent=2))
    print(f"other work took {found['conditions']['others_cpu']:.0%} of the server's core")
    print(f"{RESULT.relative_to(CHECKOUT)} and .png, after {found['conditions']['took_s']} s")
    for fault in found["faults"]:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if found["faults"] else 0


def _conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime(DIGITS),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "seconds": options.seconds,
        "seconds_of_other_cells": round(options.seconds * PART, 3),
        "rounds": options.rounds,
        "versions": {server.name: _versions(server) for server in options.only},
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _versions(server: Server) -> Mapping[str, str]:
    """What matters of what a server runs with."""
    if server.peer is None:
        return {name: version(name) for name in ("mlflow", "scikit-learn", "numpy", "httptools", "uvloop")}
    lines = (PEERS / server.peer / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==", 1) for line in lines if "==" in line)
    python = environment.PYTHONS.get(server.peer, environment.DEFAULT_PYTHON)
    return {"python": python, **{name: pins[name] for name in PACKAGES if name in pins}}


def _require_cores() -> None:
    if not {0, 1} <= os.sched_getaffinity(0):
        raise SystemExit("the servers get core 0 and the load core 1: this machine, or this process, has not got both")
    if not shutil.which("taskset"):
        raise SystemExit("taskset is needed (util-linux)")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long one row over 32 connections is asked for")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=_servers, default=SERVERS, help=f"such as {OURS},mlflow of all servers")
    parser.add_argument("--models", type=_models, default=MODELS, help=f"some of {','.join(MODELS)}")
    parser.add_argument("--uv", default=shutil.which("uv") or "uv", help="the uv that makes the environments")
    return parser.parse_args()


def _servers(text: str) -> tuple[Server, ...]:
    known = {server.name: server for server in SERVERS}
    return tuple(known[name] for name in _known(text, tuple(known)))


def _models(text: str) -> tuple[str, ...]:
    return tuple(_known(text, MODELS))


def _known(text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
