"""MLflow is away, has forgotten all, or lets nobody in; the operator is restarted: nothing is lost, no lie is told."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests import platform
from tests.e2e.light import held, light, registering, release
from tests.e2e.trackers import USER, Tracker
from tests.e2e.training import OPEN, TRAIN, Lab, conditions, message, training_job
from tests.platform import RELEASE, Platform

NAMESPACE = "t-training-outages"
PASSWORD = "of-this-test"  # noqa: S105 (it opens nothing else)
AWAY = ("False", "Unreachable")


@pytest.fixture(scope="module")
def lab(installed: Platform) -> Iterator[Lab]:
    """A namespace of their own, and one who trains with the MLflow that everybody has."""
    platform.create_namespace(installed.target, NAMESPACE)
    made = Lab(installed, NAMESPACE)
    made.apply(light("unattended", "after"))
    yield made
    installed.target.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def absent(lab: Lab) -> Tracker:
    """An MLflow that is not there yet, and three who want to train with it."""
    tracker = Tracker(lab.installed, lab.namespace, "absent")
    tracker.deploy(replicas=0, keeps=True)
    where: dict[str, Any] = {"tracking": {"uri": tracker.uri}}
    lab.apply(
        light("before", **where, **registering("before")),
        light("meanwhile", "after", **where, **registering("meanwhile")),
        light("failing", "to-fail", **where, **registering("failing")),
    )
    return tracker


@pytest.fixture(scope="module")
def forgetful(lab: Lab) -> Tracker:
    """An MLflow that knows nothing any more when it is started anew, and three who train with it."""
    tracker = Tracker(lab.installed, lab.namespace, "forgetful")
    tracker.deploy()
    where: dict[str, Any] = {"tracking": {"uri": tracker.uri}}
    lab.apply(
        light("logged", "after", **where, **registering("logged")),
        light("logs-later", "before", **where, **registering("logs-later")),
        light("only-trains", "after", **where),
    )
    return tracker


@pytest.fixture(scope="module")
def locked(lab: Lab) -> Tracker:
    """An MLflow with a password."""
    tracker = Tracker(lab.installed, lab.namespace, "locked", PASSWORD)
    tracker.deploy()
    return tracker


@pytest.fixture(scope="module", autouse=True)
def begun(forgetful: Tracker, locked: Tracker) -> tuple[Tracker, ...]:
    """These are on their way from the beginning, side by side. Who is away for long is asked ever more rarely."""
    return forgetful, locked


def _login(password: str) -> dict[str, Any]:
    data = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": data}


def test_nothing_begins_while_mlflow_is_away_and_then_it_does(lab: Lab, absent: Tracker) -> None:
    status = lab.until("MLflow is away", "before", lambda one: _is_said(one, "MLflowAvailable", AWAY))
    assert (status["phase"], conditions(status)["Reconciling"][0]) == ("Pending", "True")
    assert absent.uri in status["message"]
    assert ("run" in status, lab.jobs_of("before")) == (False, [])
    absent.scale(1)
    assert lab.wait("before", "Complete")["phase"] == "Succeeded"
    _is_registered_once(absent, "before")


def test_what_ends_while_mlflow_is_away_is_known_and_judged_later(lab: Lab, absent: Tracker) -> None:
    before = held(lab, "meanwhile")
    held(lab, "failing")
    absent.scale(0)
    assert lab.status("meanwhile")["phase"] == "Running"
    release(lab, "meanwhile", "failing")
    ended = lab.until("evaluating", "meanwhile", lambda one: _is_said(one, "MLflowAvailable", AWAY))
    assert (ended["phase"], conditions(ended)["Reconciling"]) == ("Evaluating", ("True", "Evaluating"))
    assert ended["attempts"][0]["reason"] == "Completed"
    failed = lab.until("failed", "failing", lambda one: _is_said(one, "MLflowAvailable", AWAY))
    assert (failed["attempts"][0]["reason"], failed["attempts"][0]["exitCode"]) == ("Error", 3)
    absent.scale(1)
    assert lab.wait("meanwhile", "Complete")["phase"] == "Succeeded"
    assert [pod["metadata"]["uid"] for pod in lab.pods_of("meanwhile")] == [before["metadata"]["uid"]]
    _is_registered_once(absent, "meanwhile")


def test_what_failed_while_mlflow_was_away_is_closed_and_tried_again(lab: Lab, absent: Tracker) -> None:
    status = lab.wait("failing", "Complete")
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 1)
    assert sorted(run.status for run in absent.runs_of("failing")) == ["FAILED", "FINISHED", "FINISHED"]
    assert len(absent.versions("failing")) == 1


@pytest.fixture(scope="module")
def emptied(lab: Lab, forgetful: Tracker) -> None:
    """MLflow is started anew, with nothing in it, while they train; then they go on."""
    for name in ("logged", "logs-later", "only-trains"):
        held(lab, name)
    forgetful.empty()
    release(lab, "logged", "logs-later", "only-trains")


@pytest.mark.usefixtures("emptied")
def test_a_result_that_mlflow_has_lost_is_told_as_lost(lab: Lab, forgetful: Tracker) -> None:
    status = lab.wait("logged", "Failed")
    assert conditions(status)["Failed"] == ("True", "ArtifactMissing")
    assert "is gone from MLflow" in status["message"]
    assert (status["attempt"], status["attempts"][0]["reason"]) == (1, "Completed")
    assert "registered" not in status
    assert (forgetful.runs_of("logged"), forgetful.versions("logged")) == ([], [])


@pytest.mark.usefixtures("emptied")
def test_code_whose_run_is_lost_fails_and_another_attempt_has_a_new_one(lab: Lab, forgetful: Tracker) -> None:
    status = lab.wait("logs-later", "Complete")
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 1)
    assert [run.status for run in forgetful.runs_of("logs-later")] == ["FINISHED", "FINISHED"]
    (version,) = forgetful.versions("logs-later")
    assert version["run_id"] == status["attempts"][1]["runId"]


@pytest.mark.usefixtures("emptied")
def test_where_nothing_is_judged_or_registered_training_succeeds_and_says_what_is_lost(lab: Lab) -> None:
    status = lab.wait("only-trains", "Complete")
    assert status["phase"] == "Succeeded"
    assert "its run is gone from MLflow" in status["message"]


def test_a_wrong_password_is_told_with_its_secret_and_a_right_one_serves(lab: Lab, locked: Tracker) -> None:
    locked.ready()
    where = {"uri": locked.uri, "credentialsSecret": "login"}
    lab.apply(_login("wrong"), training_job("stranger", TRAIN, tracking=where, **registering("stranger")))
    status = lab.wait("stranger", "Stalled")
    assert conditions(status)["Stalled"] == ("True", "Unauthorized")
    assert f"Secret {NAMESPACE}/login" in message(status, "Stalled")
    assert ("run" in status, lab.jobs_of("stranger")) == (False, [])
    lab.apply(_login(PASSWORD))
    assert lab.wait("stranger", "Complete")["phase"] == "Succeeded"
    _is_registered_once(locked, "stranger")


def test_the_operator_is_restarted_while_training_runs(lab: Lab) -> None:
    before = held(lab, "unattended")
    what = ("-n", platform.NAMESPACE, f"deployment/{RELEASE}-operator")
    lab.kubectl("delete", "pod", "-n", platform.NAMESPACE, "-l", "app.kubernetes.io/component=operator")
    release(lab, "unattended")
    lab.kubectl("rollout", "status", *what, "--timeout=120s")
    status = lab.wait("unattended", "Complete")
    assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    assert [pod["metadata"]["uid"] for pod in lab.pods_of("unattended")] == [before["metadata"]["uid"]]
    assert [run.status for run in lab.runs_of("unattended")] == ["FINISHED"]


def test_in_the_end_no_run_is_open(absent: Tracker, begun: tuple[Tracker, ...]) -> None:
    """Last in this file."""
    assert [run for tracker in (absent, *begun) for run in tracker.every_run() if run.status in OPEN] == []


def _is_said(status: Mapping[str, Any], kind: str, word: tuple[str, str]) -> bool:
    return "conditions" in status and conditions(status).get(kind) == word


def _is_registered_once(where: Tracker, name: str) -> None:
    """One run, one Job and one version, which its alias points at. Models are called after their TrainingJobs."""
    (run,) = where.runs_of(name)
    (version,) = where.versions(name)
    assert (run.status, version["run_id"]) == ("FINISHED", run.id)
    assert version["version"] == where.status(name)["registered"]["version"]
    assert len(where.jobs_of(name)) == 1
