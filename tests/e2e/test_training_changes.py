"""What is done to a TrainingJob, its Job and its pod while it trains; everything is done at once, as it may happen."""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests import platform
from tests.cluster import processes
from tests.e2e.light import held, light, registering, release
from tests.e2e.training import OPEN, Lab, Run, conditions
from tests.platform import Platform

NAMESPACE = "t-training-changes"
# Models are everybody's, and stay when the namespace goes.
MODEL = f"{{}}-{uuid.uuid4().hex[:8]}"
TWINS = ("left", "right")
HELD = ("deleted", "edited", "suspended", "no-job", "no-pod", "evicted")
# What takes an attempt away through no fault of its own, and what that is called. The pod that says that it was evicted
# is gone when its Job says that it has failed: it is remembered.
TAKEN = {"no-job": "PodDeleted", "no-pod": "PodDeleted", "evicted": "Evicted"}


@pytest.fixture(scope="module")
def lab(installed: Platform) -> Iterator[Lab]:
    """All of them, applied at once."""
    platform.create_namespace(installed.target, NAMESPACE)
    made = Lab(installed, NAMESPACE)
    made.apply(
        *(light(name, "after", **registering(MODEL.format(name))) for name in HELD),
        *(light(name, "after", **registering(MODEL.format("both"))) for name in TWINS),
        light("queued", "after", queue="gpus", **registering(MODEL.format("queued"))),
    )
    yield made
    installed.target.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def before(lab: Lab) -> Mapping[str, dict[str, Any]]:
    """What they were when they all trained, before anything was done to them."""
    for name in (*HELD, *TWINS):
        held(lab, name)
    return {name: lab.job(name) for name in HELD}


@pytest.fixture(scope="module", autouse=True)
def changed(lab: Lab, before: Mapping[str, Any]) -> None:
    """Everything is done to them."""
    assert all(one["status"]["phase"] == "Running" for one in before.values())
    do = lab.kubectl
    do("delete", "tj", "deleted", "-n", NAMESPACE)
    _patch(lab, "tj/edited", {"spec": {"parameters": {"hold": "no"}}})
    _patch(lab, "tj/suspended", {"spec": {"suspend": True}})
    do("delete", "job", _job(lab, "no-job"), "-n", NAMESPACE, "--wait=false")
    do("delete", "pod", _pod(lab, "no-pod"), "-n", NAMESPACE, "--wait=false")
    _evict(lab, _pod(lab, "evicted"))
    release(lab, *TWINS)


def _patch(lab: Lab, what: str, patch: Mapping[str, Any]) -> None:
    lab.kubectl("patch", what, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch))


def _job(lab: Lab, name: str) -> str:
    (job,) = lab.jobs_of(name)
    return str(job["metadata"]["name"])


def _pod(lab: Lab, name: str) -> str:
    (pod,) = lab.pods_of(name)
    return str(pod["metadata"]["name"])


def _evict(lab: Lab, pod: str) -> None:
    """As `kubectl drain` does it."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    lab.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def test_a_run_that_waits_in_a_queue_is_scheduled_and_trains_when_it_is_let(lab: Lab) -> None:
    status = lab.wait_for_phase("queued", "Queued")
    assert "queue gpus" in status["message"]
    (job,) = lab.jobs_of("queued")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    _is_run(lab, "queued", "SCHEDULED")
    _let(lab, "queued")
    held(lab, "queued")
    assert lab.wait_for_phase("queued", "Running")["attempt"] == 1
    _is_run(lab, "queued", "RUNNING")


def test_what_loses_its_place_in_the_queue_waits_again_and_no_attempt_is_lost(lab: Lab) -> None:
    _let(lab, "queued", suspend=True)
    lab.wait_for_phase("queued", "Queued")
    _is_run(lab, "queued", "SCHEDULED")
    assert processes.wait_until(lambda: not lab.pods_of("queued"), 30)
    _let(lab, "queued")
    held(lab, "queued")
    release(lab, "queued")
    status = lab.wait("queued", "Complete")
    assert (status["phase"], status["attempt"], status.get("failures", 0)) == ("Succeeded", 1, 0)
    assert _ends(lab.runs_of("queued")) == [("FINISHED", "Completed")]
    assert len(lab.jobs_of("queued")) == 1
    _is_registered(lab, "queued", status["run"]["id"])


def _let(lab: Lab, name: str, *, suspend: bool = False) -> None:
    """What Kueue does to a Job that has a place, or has one no more."""
    _patch(lab, f"job/{_job(lab, name)}", {"spec": {"suspend": suspend}})


def _is_run(lab: Lab, name: str, status: str) -> None:
    assert processes.wait_until(lambda: [run.status for run in lab.runs_of(name)] == [status], 30), lab.runs_of(name)


def test_the_run_of_what_is_deleted_is_killed_within_seconds(lab: Lab, before: Mapping[str, Any]) -> None:
    uid = before["deleted"]["metadata"]["uid"]
    assert processes.wait_until(lambda: _ends(lab.runs(uid)) == [("KILLED", "Deleted")], 30), lab.runs(uid)
    assert processes.wait_until(lambda: not lab.pods_of("deleted"), 30)
    assert lab.versions(MODEL.format("deleted")) == []


def test_what_is_edited_is_trained_anew_and_the_run_before_is_killed(lab: Lab, before: Mapping[str, Any]) -> None:
    was = before["edited"]["status"]
    status = lab.wait("edited", "Complete")
    assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    assert (status["history"][0]["outcome"], status["history"][0]["runId"]) == ("Killed", was["run"]["id"])
    runs = {run.id: run for run in lab.runs_of("edited")}
    assert _ends([runs[was["run"]["id"]], runs[status["run"]["id"]]]) == [
        ("KILLED", "Superseded"),
        ("FINISHED", "Completed"),
    ]
    assert len(runs) == 2
    _is_registered(lab, "edited", status["run"]["id"])


def test_what_is_suspended_runs_nothing_and_goes_on_when_it_is_resumed(lab: Lab, before: Mapping[str, Any]) -> None:
    status = lab.wait("suspended", "Suspended")
    assert (status["phase"], lab.pods_of("suspended")) == ("Suspended", [])
    assert _ends(lab.runs_of("suspended")) == [("KILLED", "Suspended")]
    _patch(lab, "tj/suspended", {"spec": {"suspend": False}})
    done = lab.wait("suspended", "Complete")
    assert (done["phase"], done["attempt"], done.get("failures", 0)) == ("Succeeded", 2, 0)
    assert before["suspended"]["status"]["run"]["id"] != done["attempts"][-1]["runId"]
    _is_registered(lab, "suspended", done["attempts"][-1]["runId"])


@pytest.mark.parametrize("name", TAKEN)
def test_an_attempt_that_was_taken_away_is_made_again_and_does_not_count(lab: Lab, name: str) -> None:
    status = lab.wait(name, "Complete")
    assert (status["phase"], status["attempt"], status.get("failures", 0)) == ("Succeeded", 2, 0)
    first, second = status["attempts"]
    assert first["reason"] == TAKEN[name]
    assert (first["counted"], second["reason"]) == (False, "Completed")
    runs = {run.id: run for run in lab.runs_of(name)}
    of_attempts = [runs[one["runId"]] for one in (first, second)]
    assert _ends(of_attempts) == [("FAILED", first["reason"]), ("FINISHED", "Completed")]
    assert (len(runs), runs[status["run"]["id"]].status) == (3, "FINISHED")
    _is_registered(lab, name, second["runId"])


def test_two_at_once_make_two_versions_and_one_alias(lab: Lab) -> None:
    statuses = [lab.wait(name, "Complete") for name in TWINS]
    assert [one["phase"] for one in statuses] == ["Succeeded", "Succeeded"]
    versions = lab.versions(MODEL.format("both"))
    assert sorted(one["registered"]["version"] for one in statuses) == [one["version"] for one in versions]
    assert {one["run_id"] for one in versions} == {one["run"]["id"] for one in statuses}
    assert len(versions) == 2
    pointed = lab.installed.mlflow("registered-models/alias", name=MODEL.format("both"), alias="champion")
    assert pointed["model_version"]["version"] in {one["version"] for one in versions}


def test_in_the_end_no_run_is_open(lab: Lab, before: Mapping[str, Any]) -> None:
    """Last in this file."""
    jobs = lab.kubectl.get("trainingjobs", "-n", lab.namespace)["items"]
    assert {one["metadata"]["name"]: one["status"]["phase"] for one in jobs} == dict.fromkeys(
        sorted({*HELD, *TWINS, "queued"} - {"deleted"}), "Succeeded"
    )
    uids = [one["metadata"]["uid"] for one in (*jobs, before["deleted"])]
    assert [run for uid in uids for run in lab.runs(uid) if run.status in OPEN] == []
    assert {conditions(one["status"])["Ready"][0] for one in jobs} == {"True"}


def _ends(runs: list[Run]) -> list[tuple[str, str]]:
    return [(run.status, run.tags.get("serinus.reason", "")) for run in runs]


def _is_registered(lab: Lab, name: str, run: str) -> None:
    """As one version, which comes from this run and has the alias."""
    (version,) = lab.versions(MODEL.format(name))
    assert version["run_id"] == run
    pointed = lab.installed.mlflow("registered-models/alias", name=MODEL.format(name), alias="champion")
    assert pointed["model_version"]["version"] == version["version"]
