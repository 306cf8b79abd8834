"""Many TrainingJobs at once, beside as many plain Jobs: `make bench-jobs`.

For each number two clusters, one after the other: one with plain Jobs alone, one with TrainingJobs, the operator and
MLflow. A TrainingJob is done when it has trained, passed its gate and is registered; a plain Job when it is Complete.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests import crds, process
from tests.bench import ground, manifests, record, report, tracking, trainer
from tests.bench.ground import LOGS, Ground
from tests.bench.record import Record
from tests.cluster import processes, settings
from tests.cluster.settings import Settings
from tests.e2e import stores
from tests.process import Operator, seconds_since

RESULT = ground.FOLDER / "jobs.json"
NUMBERS = (100, 1000, 3000)
MODELS = 20
PORT = 18081
TRAINING_JOBS = "/apis/serinus.dev/v1alpha1/namespaces/default/trainingjobs"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
# So many clients, each with some of what is to be made: one would be what is measured.
CLIENTS, EACH = 4, 50
STUCK_SECONDS = 600.0
STARTED_PHASES = {"Running", "Evaluating", "Registering", "Succeeded"}
LOST_PHASES = {"Rejected", "Failed"}


def main() -> None:
    """Measure, and write what was found after each number: the last takes long."""
    options = _options()
    chosen = settings.read(os.environ, name="bench")
    found: dict[str, Any] = {"conditions": _conditions(options), "numbers": {}}
    for number in options.numbers:
        found["numbers"][str(number)] = measure(chosen, number, options)
        found["growth"] = report.growth(found["numbers"])
        RESULT.write_text(json.dumps(found, indent=2) + "\n")
        report.draw(RESULT, options.uv)
    print(json.dumps(found["growth"], indent=2))


def measure(chosen: Settings, number: int, options: argparse.Namespace) -> Mapping[str, Any]:
    """So many plain Jobs, then so many TrainingJobs, and how many times as long these take."""
    load = round(os.getloadavg()[0], 2)
    with ground.fresh(chosen, options.training_seconds) as stand:
        plain = plain_jobs(stand, number)
    with ground.fresh(chosen, options.training_seconds) as stand, _mlflow(chosen, stand, options) as address:
        training = training_jobs(stand, address, number)
    ratio = training["seconds"]["registered"]["last"] / plain["seconds"]["complete"]["last"]
    return {"load_before": load, "plain": plain, "training": training, "ratio": round(ratio, 2)}


def plain_jobs(stand: Ground, number: int) -> Mapping[str, Any]:
    """Until all are Complete."""
    with record.watching(stand.api, {JOBS: _of_job}) as jobs:
        start, before = time.monotonic(), stand.cpu()
        created = _create(stand, [manifests.job(index) for index in range(number)])
        _wait(stand, jobs, "complete", number)
        return {
            "seconds": {"all_created": created, **report.seconds(jobs, start, ["complete"])},
            "cpu_s": report.more(stand.cpu(), before),
            "curves": report.curves(jobs, start, ["complete"]),
        }


def training_jobs(stand: Ground, address: str, number: int) -> Mapping[str, Any]:
    """Until all are registered."""
    crds.install(stand.kubectl)
    for index in range(MODELS):
        tracking.register_trained(address, manifests.model(index), trainer.METRIC, trainer.VALUE)
    with process.running(str(stand.kubectl.kubeconfig), PORT, LOGS / "operator.log", tracking_uri=address) as operator:
        _until(operator.is_ready)
        time.sleep(5)
        stand.parts["operator"] = operator.process.pid
        with record.watching(stand.api, {TRAINING_JOBS: _of_training_job, JOBS: _of_job}) as jobs:
            return _at_work(stand, operator, jobs, number)


def _at_work(stand: Ground, operator: Operator, jobs: Record, number: int) -> Mapping[str, Any]:
    memory, requests = operator.memory(), operator.requests()
    start, before = time.monotonic(), stand.cpu()
    created = _create(stand, [manifests.training_job(index, MODELS) for index in range(number)])
    _wait(stand, jobs, "registered", number)
    milestones = ["running", "complete", "judged", "registered"]
    return {
        "seconds": {"all_created": created, **report.seconds(jobs, start, milestones)},
        "seconds_of_each": {
            "from_seen_to_running": report.spread(jobs.between("seen", "running")),
            "from_complete_to_registered": report.spread(jobs.between("complete", "registered")),
        },
        "cpu_s": report.more(stand.cpu(), before),
        "memory_mb": {"before": round(memory, 1), "peak": round(operator.memory("VmHWM"), 1)},
        "requests": report.more(operator.requests(), requests),
        "curves": report.curves(jobs, start, milestones),
    }


@contextmanager
def _mlflow(chosen: Settings, stand: Ground, options: argparse.Namespace) -> Iterator[str]:
    """The address of an MLflow whose runs are in PostgreSQL; both are parts of the ground."""
    with (
        stores.postgres("127.0.0.1") as database,
        tracking.server(chosen, options.uv, LOGS, database.uri, options.mlflow_workers) as started,
    ):
        ours = processes.descendants(os.getpid())
        stand.parts["mlflow"] = started.pid
        stand.parts["postgres"] = next(
            pid for pid in ours if processes.command_line(pid)[:1] == [str(stores.POSTGRES / "postgres")]
        )
        yield started.address


def _of_training_job(seen: Mapping[str, Any]) -> Iterator[str]:
    yield "seen"
    status = seen.get("status", {})
    if status.get("phase") in STARTED_PHASES:
        yield "running"
    if status.get("gate"):
        yield "judged"
    if status.get("phase") == "Succeeded" and status.get("registered"):
        yield "registered"
    if status.get("phase") in LOST_PHASES:
        yield "lost"


def _of_job(seen: Mapping[str, Any]) -> Iterator[str]:
    if any(one["type"] == "Complete" and one["status"] == "True" for one in seen["status"].get("conditions", ())):
        yield "complete"


def _create(stand: Ground, wanted: list[dict[str, Any]]) -> float:
    """Make them all; how many seconds that took."""
    start = time.monotonic()
    parts = [wanted[first : first + EACH] for first in range(0, len(wanted), EACH)]
    lists = [json.dumps({"apiVersion": "v1", "kind": "List", "items": part}) for part in parts]
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda text: stand.kubectl("create", "-f", "-", stdin=text), lists))
    return seconds_since(start)


def _wait(stand: Ground, jobs: Record, milestone: str, number: int) -> None:
    """Until all have reached it; an error where one never will, or nothing moves any more."""
    steps, since = 0, time.monotonic()
    while (reached := len(jobs.names(milestone))) < number:
        stand.require_all()
        if lost := jobs.names("lost"):
            raise RuntimeError(f"{lost[0]} was rejected or failed, as {len(lost)} did: kubectl describe says why")
        if time.monotonic() - since > STUCK_SECONDS:
            raise TimeoutError(f"{reached} of {number} are {milestone}, and nothing moved for {STUCK_SECONDS:.0f} s")
        time.sleep(0.2)
        if jobs.steps() > steps:
            steps, since = jobs.steps(), time.monotonic()


def _until(done: Callable[[], bool]) -> None:
    if not processes.wait_until(done, STUCK_SECONDS):
        raise TimeoutError(f"the operator is not ready after {STUCK_SECONDS:.0f} s; its log is in {LOGS}")


def _conditions(options: argparse.Namespace) -> Mapping[str, Any]:
    return {
        "cores": os.cpu_count(),
        "training_seconds": [options.training_seconds, 2 * options.training_seconds],
        "mlflow": f"{options.mlflow_workers} worker, PostgreSQL",
        "models": MODELS,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=_numbers, default=NUMBERS, help="how many at once, such as 100,1000")
    parser.add_argument("--uv", required=True, help="the uv with which MLflow's environment is made")
    parser.add_argument("--training-seconds", type=float, default=5.0, help="how long a pod runs: up to twice this")
    parser.add_argument("--mlflow-workers", type=int, default=1, help="as many as the chart runs")
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
