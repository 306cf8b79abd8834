"""How training may end, each way a TrainingJob of its own; they run side by side, as they would for their users."""

from collections.abc import Iterator

import pytest

from tests import platform
from tests.cluster import processes
from tests.e2e.training import OPEN, TRAIN, Lab, conditions, shell_job, training_job
from tests.platform import Platform

ONCE = {"backoffLimit": 0}
GATE = [{"metric": "val_f1", "min": 0.8}]
NAMESPACE = "t-training-ends"
# Fails twice, and then finds what the attempts before it have left.
THIRD_TIME = "ls /checkpoints; touch /checkpoints/$(attempt); if [ $(attempt) -lt 3 ]; then echo no luck; exit 7; fi"
SAYS = 'python -c \'import json; assert json.load(open("/serinus/parameters.json")) == {"depth": 8, "words": "a $b"}\''
GIVEN = (
    f'set -e; {SAYS}; [ "$PARAM_DEPTH" = 8 ]; '
    '[ "$(params.depth)" = 8 ]; [ "$(attempt)" = 1 ]; [ "$(run.id)" = $MLFLOW_RUN_ID ]'
)
MEET = """
import os, socket, time
where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
assert os.environ["PET_NNODES"] == os.environ["WORLD_SIZE"] == "2"
if os.environ["RANK"] == "0":
    socket.create_server(("", where[1])).accept()
else:
    for _ in range(100):
        try:
            socket.create_connection(where)
            break
        except OSError:
            time.sleep(0.2)
    else:
        raise SystemExit("rank 0 was not found")
"""
NO_METRIC = "import mlflow; mlflow.start_run()"
NAN = "import mlflow; mlflow.start_run(); mlflow.log_metric('val_f1', float('nan'))"
OWN_RUN = """
import mlflow, os
del os.environ["MLFLOW_RUN_ID"]
with mlflow.start_run():
    mlflow.log_metric("val_f1", 0.9)
"""
ENDS_ITSELF = TRAIN + "\nmlflow.MlflowClient().set_terminated(run.info.run_id, 'KILLED')\n"
NO_MODEL = "import mlflow; mlflow.start_run(); mlflow.log_metric('val_f1', 0.9)"
TWO_MODELS = (
    TRAIN
    + """
    mlflow.pyfunc.log_model(name="other", python_model=Twice(), pip_requirements=[])
"""
)


@pytest.fixture(scope="module")
def lab(installed: Platform) -> Iterator[Lab]:
    """All of them, applied at once."""
    platform.create_namespace(installed.target, NAMESPACE)
    made = Lab(installed, NAMESPACE)
    made.apply(
        shell_job("flaky", THIRD_TIME, checkpoints={"size": "10Mi"}),
        shell_job("given", GIVEN, parameters={"depth": 8, "words": "a $b"}, **ONCE),
        training_job("oom", "x = bytearray(400_000_000)", resources={"limits": {"memory": "64Mi"}}, **ONCE),
        {**training_job("no-program", ""), "spec": {"command": ["no-such-program"], **ONCE}},
        shell_job("late", "sleep 300", activeDeadlineSeconds=5, podTemplate=_GRACELESS),
        training_job("meet", MEET, workers=2, **ONCE),
        training_job("no-metric", NO_METRIC, gate=GATE, **ONCE),
        training_job("nan", NAN, gate=GATE, **ONCE),
        training_job("own-run", OWN_RUN, gate=GATE, **ONCE),
        training_job("ends-itself", ENDS_ITSELF, gate=GATE, **ONCE),
        training_job("no-model", NO_MODEL, register={"model": f"{NAMESPACE}-none"}, **ONCE),
        training_job("two-models", TWO_MODELS, register={"model": f"{NAMESPACE}-two", "artifact": "other"}, **ONCE),
        shell_job("missing-secret", "true", envFrom=[{"secretRef": {"name": "late-secret"}}]),
        shell_job("too-big", "true", resources={"requests": {"cpu": "1000"}}),
    )
    yield made
    installed.target.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


_GRACELESS = {"spec": {"terminationGracePeriodSeconds": 1}}


def test_twice_a_failure_then_success_is_three_runs_under_one(lab: Lab) -> None:
    status = lab.wait("flaky", "Complete")
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 3, 2)
    assert [(one["reason"], one.get("exitCode")) for one in status["attempts"]] == [
        ("Error", 7),
        ("Error", 7),
        ("Completed", None),
    ]
    runs = {run.id: run for run in lab.runs_of("flaky")}
    parent = runs.pop(status["run"]["id"])
    assert parent.status == "FINISHED"
    assert [runs[one["runId"]].status for one in status["attempts"]] == ["FAILED", "FAILED", "FINISHED"]
    assert {run.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.id}
    first = runs[status["attempts"][0]["runId"]]
    assert (first.tags["serinus.reason"], first.tags["serinus.exitCode"]) == ("Error", "7")
    assert first.tags["serinus.log"].splitlines()[-1] == "no luck"
    assert "no luck" in lab.events("flaky")
    last = lab.kubectl("logs", "-n", lab.namespace, f"job/{lab.jobs_of('flaky')[-1]['metadata']['name']}")
    assert last.split() == ["1", "2"], "what earlier attempts left is there"


def test_parameters_come_in_three_ways(lab: Lab) -> None:
    assert lab.wait("given", "Complete")["phase"] == "Succeeded"


def test_out_of_memory_is_called_so(lab: Lab) -> None:
    status = lab.wait("oom", "Failed")
    assert status["attempts"][-1]["reason"] == "OOMKilled"
    assert "ran out of memory" in status["message"]
    assert [(run.status, run.tags["serinus.reason"]) for run in lab.runs_of("oom")] == [("FAILED", "OOMKilled")]


def test_a_program_that_is_not_there_is_named(lab: Lab) -> None:
    status = lab.wait("no-program", "Failed")
    assert 'exec: "no-such-program": executable file not found' in status["message"]
    assert len(status["message"]) < 250


def test_what_takes_too_long_is_stopped(lab: Lab) -> None:
    status = lab.wait("late", "Failed")
    assert conditions(status)["Stalled"] == ("True", "DeadlineExceeded")
    assert [(run.status, run.tags["serinus.reason"]) for run in lab.runs_of("late")] == [("FAILED", "DeadlineExceeded")]
    assert _until_no_pods(lab, "late")


def test_two_workers_find_each_other(lab: Lab) -> None:
    status = lab.wait("meet", "Complete")
    assert (status["phase"], len(lab.pods_of("meet"))) == ("Succeeded", 2)
    assert len(lab.runs_of("meet")) == 1


def test_a_metric_that_was_never_logged_rejects(lab: Lab) -> None:
    status = lab.wait("no-metric", "Complete")
    assert (status["phase"], conditions(status)["GatePassed"]) == ("Rejected", ("False", "MetricMissing"))
    assert "the run logged no metric" in status["message"]
    (run,) = lab.runs_of("no-metric")
    assert run.status == "FINISHED"
    assert "val_f1 was not logged" in run.tags["serinus.gate"]


def test_a_metric_that_is_no_number_rejects(lab: Lab) -> None:
    status = lab.wait("nan", "Complete")
    assert status["phase"] == "Rejected"
    assert "val_f1 is nan" in status["message"]


def test_code_that_logs_to_a_run_of_its_own_is_told(lab: Lab) -> None:
    status = lab.wait("own-run", "Complete")
    assert status["phase"] == "Rejected"
    assert "a run of its own" in status["message"]
    assert [run.status for run in lab.runs_of("own-run")] == ["FINISHED"]


def test_what_the_code_says_of_its_end_does_not_count(lab: Lab) -> None:
    assert lab.wait("ends-itself", "Complete")["phase"] == "Succeeded"
    assert [run.status for run in lab.runs_of("ends-itself")] == ["FINISHED"]


def test_code_that_logs_no_model_registers_none(lab: Lab) -> None:
    status = lab.wait("no-model", "Failed")
    assert conditions(status)["Failed"] == ("True", "ArtifactMissing")
    assert lab.versions(f"{NAMESPACE}-none") == []
    assert [run.status for run in lab.runs_of("no-model")] == ["FINISHED"]


def test_of_two_models_the_one_that_is_named_is_registered(lab: Lab) -> None:
    status = lab.wait("two-models", "Complete")
    found = lab.versions(f"{NAMESPACE}-two")
    (version,) = [one for one in found if one["run_id"] == status["run"]["id"]]
    named = {one["key"]: one["value"] for one in version["tags"]}
    assert named["serinus.resource"] == f"{NAMESPACE}/two-models"
    assert named["serinus.imageDigest"].startswith("sha256:")
    assert named["serinus.libraries"].startswith("python==3.")


def test_a_missing_secret_is_told_at_once_and_no_attempt_is_lost(lab: Lab) -> None:
    status = lab.wait("missing-secret", "Stalled")
    assert conditions(status)["Stalled"] == ("True", "ConfigurationMissing")
    assert 'secret "late-secret" not found' in status["message"]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late-secret"}, "stringData": {"A": "1"}}
    lab.apply(secret)
    done = lab.wait("missing-secret", "Complete")
    assert (done["attempt"], done.get("failures", 0)) == (1, 0)


def test_what_no_node_has_room_for_says_so_and_waits(lab: Lab) -> None:
    status = lab.until("waiting for a node", "too-big", lambda one: "waits for a node" in one.get("message", ""))
    assert "Insufficient cpu" in status["message"]
    assert conditions(status)["Reconciling"] == ("True", "Starting")


def test_in_the_end_no_run_is_open_of_what_is_finished(lab: Lab) -> None:
    """Last in this file."""
    jobs = lab.kubectl.get("trainingjobs", "-n", lab.namespace)["items"]
    finished = [one for one in jobs if "finishedAt" in one["status"]]
    assert len(finished) >= len(jobs) - 1
    left = {one["metadata"]["name"]: lab.runs(one["metadata"]["uid"]) for one in finished}
    assert {name: [run.status for run in runs if run.status in OPEN] for name, runs in left.items()} == {
        name: [] for name in left
    }


def _until_no_pods(lab: Lab, name: str) -> bool:
    return processes.wait_until(lambda: not lab.pods_of(name), 60)
