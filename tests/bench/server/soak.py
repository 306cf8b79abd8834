"""A server under full load for long: `python -m tests.bench.server.soak --minutes 5 [--uv uv]`.

The load are good requests of one row over 32 connections, and for every fifty of them a hostile one; every 5 s /metrics
and /sketches are read and some labels sent. The memory is taken every second: after the warm-up it must not grow.
It writes build/bench/soak.json, and with `--uv` soak.png beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from statistics import linear_regression
from typing import Any, Final

from tests.bench import report
from tests.bench.server import environment, load
from tests.bench.server.fuzz import memory
from tests.cluster import settings
from tests.cluster.settings import CHECKOUT
from tests.unit.server import fuzzing_models as models
from tests.unit.server.fuzzing import Fuzz
from tests.unit.server.fuzzing_bodies import written
from tests.unit.server.fuzzing_client import Client, Found
from tests.unit.server.processes import Running, running

RESULT: Final = CHECKOUT / "build" / "bench" / "soak.json"
PLOT: Final = Path(__file__).with_name("soak_plot.py")
HOSTILE_SHARE: Final = 50
CONNECTIONS: Final = 32
WARMUP_SHARE: Final = 0.25
SCRAPE_SECONDS: Final = 5
# What a service gets that is busy, and no more than that.
USUAL_RATE: Final = 100
# Growth in MB an hour is what one notices; some kB of noise in minutes is none.
MOST_GROWTH_MB: Final = 5.0
BODIES: Final = 64


class Watch(threading.Thread):
    """Everything beside the load, once a second: memory, hostile requests, scrapes and labels."""

    def __init__(self, server: Running, seconds: float) -> None:
        super().__init__()
        self._server = server
        self._seconds = seconds
        self._client = Client(server.port, Fuzz(models.MIXED, seed=3), models.PROBES["mixed"])
        self.samples: list[tuple[float, float]] = []
        self.labels: list[str] = []
        self.failure = ""

    @property
    def found(self) -> Found:
        """What hostile requests were answered."""
        return self._client.found

    def run(self) -> None:
        """Until the time is over."""
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 (it is told at the end)
            self.failure = f"the scrapes failed: {error!r}"

    def _look(self) -> None:
        began = time.monotonic()
        second = 0
        while (now := time.monotonic() - began) < self._seconds:
            self.samples.append((round(now, 1), round(memory(self._server.process.pid), 2)))
            self._hostile()
            if second % SCRAPE_SECONDS == 0:
                self._scrape()
            second += 1
            time.sleep(max(0.0, began + second - time.monotonic()))

    def _hostile(self) -> None:
        """One for every fifty that were answered since."""
        answered = self._server.metric("serinus_server_requests_total")
        wanted = int(answered / HOSTILE_SHARE) - self.found.sent
        if wanted > 0:
            self._client.run(self.found.sent, min(wanted, 2 * HOSTILE_SHARE), 8)

    def _scrape(self) -> None:
        self._server.ask("/sketches")
        self._server.ask("/metrics")
        given = [{"request_id": "probe", "labels": [3.0, 5.0]}, {"request_id": "nobody", "label": 3.0}]
        self.labels += [one["status"] for one in self._server.ask("/feedback", given).json["results"]]


def main() -> int:
    """Load it, look on, and write what was found; 1 where something is wrong."""
    options = _options()
    program = environment.generator(settings.read(os.environ, name="bench"))
    with tempfile.TemporaryDirectory() as folder:
        model = models.write(Path(folder) / "model", "mixed")
        with running(model, Path(folder) / "log", MODEL_NAME="fuzz", MODEL_VERSION="1") as server:
            found = _soaked(server, program, 60 * options.minutes)
            found["mistakes"] = [line for line in server.log if line.get("level") not in {"info", "warning"}]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1))
    if options.uv:
        plot = ["--with", report.MATPLOTLIB, "python", str(PLOT), str(RESULT)]
        subprocess.run([options.uv, "run", "--quiet", "--no-project", *plot], check=True)
    return _told(found)


def _soaked(server: Running, program: Path, seconds: float) -> dict[str, Any]:
    watch = Watch(server, seconds)
    order = _order(server, seconds)
    watch.start()
    loaded = load.run(program, order)
    watch.join()
    late = [one for one in watch.samples if one[0] >= WARMUP_SHARE * seconds]
    slope = linear_regression(*zip(*late, strict=True)).slope if len(late) > 1 else 0.0
    hostile = watch.found
    return {
        "seconds": seconds,
        "good": {"requests": round(loaded.requests_s * seconds), **asdict(loaded)},
        "hostile": {
            "requests": hostile.sent,
            "statuses": hostile.statuses,
            "faults": [*hostile.faults[:20], *filter(None, [watch.failure])],
        },
        "labels": {status: watch.labels.count(status) for status in sorted(set(watch.labels))},
        "memory_mb": {"samples": watch.samples, "slope_per_hour": round(slope * 3600, 2), "growth": _growth(late)},
    }


def _growth(samples: Sequence[tuple[float, float]]) -> float:
    """From the first tenth of these to the last, in MB."""
    part = max(1, len(samples) // 10)
    first, last = (sum(size for _, size in some) / part for some in (samples[:part], samples[-part:]))
    return round(last - first, 2)


def _order(server: Running, seconds: float) -> load.Order:
    """Good requests of one row, and what they were answered once."""
    rng = Random(1)  # noqa: S311 (chance that can be had again)
    bodies = [written(models.MIXED.body(rng, 1)) for _ in range(BODIES)]
    expected = [server.ask("/invocations", body).body.decode() for body in bodies]
    texts = [body.decode() for body in bodies]
    return load.Order(f"127.0.0.1:{server.port}", "/invocations", texts, expected, CONNECTIONS, seconds, 1.0)


def _told(found: Mapping[str, Any]) -> int:
    good, sizes, hostile = found["good"], found["memory_mb"], found["hostile"]
    hours = good["requests"] / USUAL_RATE / 3600
    print(
        f"{good['requests']:,} good requests in {found['seconds']:.0f} s ({good['requests_s']:,.0f} a second, "
        f"p99 {good['p99_ms']:.1f} ms): {hours:.1f} hours at {USUAL_RATE} requests/s equivalent"
    )
    print(f"{hostile['requests']:,} hostile ones between them: {dict(hostile['statuses'])}; labels: {found['labels']}")
    first, last = sizes["samples"][0][1], sizes["samples"][-1][1]
    print(
        f"memory {first:.1f} MB at first, {last:.1f} MB at last; after the warm-up {sizes['growth']:+.2f} MB, "
        f"slope {sizes['slope_per_hour']:+.1f} MB an hour"
    )
    faults = [*good["faults"], *hostile["faults"], *map(str, found["mistakes"])]
    if sizes["growth"] > MOST_GROWTH_MB:
        faults.append(f"the memory grew by {sizes['growth']} MB after the warm-up")
    print("\n".join(faults) or "nothing else came back than what should")
    return int(bool(faults))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--uv", default="", help="the uv that gets matplotlib for the plot; without it there is none")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
