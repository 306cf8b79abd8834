"""Many hostile requests for one server: `python -m tests.bench.server.fuzz --requests 200000`.

The same cases as those of the tests, over many connections. It prints what came back and the memory at every tenth,
and ends with 1 where anything came back that must not, or the process ended.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.unit.server import fuzzing_models as models
from tests.unit.server.fuzzing import Fuzz
from tests.unit.server.fuzzing_client import Client, Found
from tests.unit.server.processes import Running, running

PARTS = 10
MOST_SHOWN = 20


def main() -> int:
    """One server after the other, each of them with its share."""
    options = _options()
    names = list(models.TARGETS) if options.model == "both" else [options.model]
    with tempfile.TemporaryDirectory() as folder:
        bad = [_fuzzed(Path(folder) / name, name, options.requests // len(names), options) for name in names]
    return int(any(bad))


def memory(pid: int) -> float:
    """What is resident of a process, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _fuzzed(folder: Path, name: str, requests: int, options: argparse.Namespace) -> bool:
    """Whether anything is wrong."""
    model = models.write(folder / "model", name)
    with running(model, folder / "log", MODEL_NAME="fuzz") as server:
        client = Client(server.port, Fuzz(models.TARGETS[name], options.seed), models.PROBES[name])
        began = time.monotonic()
        for part in range(PARTS):
            size = requests // PARTS
            client.run(part * size, size, options.connections)
            print(_line(name, client.found, server, time.monotonic() - began), flush=True)
            if server.process.poll() is not None:
                break
        return _concluded(client.found, server)


def _line(name: str, found: Found, server: Running, seconds: float) -> str:
    if server.process.poll() is not None:
        return f"{name}: the process ended with {server.process.returncode} after {found.sent} requests"
    statuses = " ".join(f"{status}:{count}" for status, count in sorted(found.statuses.items()))
    size = memory(server.process.pid)
    return f"{name:7}{found.sent:8} sent  {seconds:5.0f} s  {size:6.1f} MB  faults {len(found.faults)}  {statuses}"


def _concluded(found: Found, server: Running) -> bool:
    for fault in found.faults[:MOST_SHOWN]:
        print(fault)
    probes = sorted(found.probes)
    middle, late = (1000 * probes[len(probes) * part // 100] for part in (50, 99))
    print(
        f"{len(probes)} good requests in between: p50 {middle:.1f} ms, p99 {late:.1f} ms, "
        f"most {1000 * probes[-1]:.0f} ms"
    )
    mistakes = [line for line in server.log if line.get("level") not in {"info", "warning"}]
    for line in mistakes[:MOST_SHOWN]:
        print(line)
    return bool(found.faults or mistakes or server.process.poll() is not None)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", choices=("both", *models.TARGETS), default="both")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
