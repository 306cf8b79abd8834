"""Which open runs nobody works on any more, and how they end."""

from typing import Any

import pytest

from serinus import objects, training
from serinus.api.names import Label
from serinus.api.revision import significant
from serinus.api.trainingjob import TrainingJob
from serinus.asks import Run, Server
from serinus.objects import Manifest, Ref
from serinus.plan import Defaults, Gone, Orphan, Owned
from serinus.training import orphans
from tests.unit.fakes import Json, parsed, resource

SPEC: Json = {"image": "mine/trainer:1", "parameters": {"depth": 7}}
HOME = Defaults("http://mlflow:5000")
FINISHED_AT = "2026-01-01T12:00:00Z"


def _job(status: Json = None, **spec: Json) -> dict[str, Json]:
    return resource(training.KIND, {**SPEC, **spec}) | {"status": {"observedGeneration": 1, **(status or {})}}


def _revision(job: Manifest) -> str:
    return objects.digest(significant(parsed(TrainingJob, job).spec))


def _run(revision: str = "old", attempt: str = "1", uid: str = "uid-churn", whose: str = "team/churn") -> Run:
    tags = {"uid": uid, "revision": revision, "attempt": attempt, "resource": whose}
    return Run("run-1", "1", "RUNNING", tags={f"serinus.{key}": value for key, value in tags.items()})


def _child(kind: str, revision: str = "old", attempt: str = "1", phase: str = "") -> Manifest:
    labels = {Label.REVISION: revision, Label.ATTEMPT: attempt}
    return {"kind": kind, "metadata": {"name": "child", "labels": labels}, "status": {"phase": phase}}


def _found(run: Run, job: Manifest | None = None, *children: Manifest, defaults: Defaults = HOME) -> Orphan | None:
    owned = {} if job is None else {objects.uid(job): Owned(job, children)}
    found = orphans.orphans([run], owned, defaults)
    assert len(found) <= 1
    return found[0] if found else None


def _killed(reason: str, because: Gone | None = None) -> Orphan:
    return Orphan("run-1", "KILLED", (("serinus.reason", reason),), because)


# --- whose TrainingJob is gone


def test_a_run_whose_training_job_is_gone_is_killed_once_that_is_made_sure_of() -> None:
    gone = Gone(Ref(training.KIND.object_kind, "team", "churn"), "uid-churn")
    assert _found(_run()) == _killed("Deleted", gone)
    another = resource(training.KIND, SPEC, uid="uid-of-another")
    assert _found(_run(), another) == _killed("Deleted", gone), "another one of the same name is another one"


@pytest.mark.parametrize(("namespaces", "judged"), [((), True), (("team", "ml"), True), (("ml",), False)])
def test_runs_of_namespaces_that_are_not_watched_are_left_alone(namespaces: tuple[str, ...], judged: bool) -> None:  # noqa: FBT001 (the case)
    defaults = Defaults("http://mlflow:5000", namespaces=namespaces)
    assert (_found(_run(), defaults=defaults) is not None) is judged


@pytest.mark.parametrize(("uid", "whose"), [("", "team/churn"), ("uid-1", ""), ("uid-1", "team"), ("uid-1", "/churn")])
def test_a_run_that_does_not_say_whose_it_is_is_left_alone(uid: str, whose: str) -> None:
    assert _found(_run(uid=uid, whose=whose)) is None


# --- whose TrainingJob is there


@pytest.mark.parametrize(
    "status", [{"run": {"id": "run-1"}}, {"run": {"id": "parent"}, "attempts": [{"number": 1, "runId": "run-1"}]}]
)
def test_a_run_that_is_worked_on_is_left_alone(status: Json) -> None:
    assert _found(_run(), _job(status)) is None


def test_a_run_that_nothing_refers_to_is_superseded() -> None:
    assert _found(_run(), _job({"run": {"id": "run-2"}})) == _killed("Superseded")
    assert _found(_run(), _job()) == _killed("Superseded")


@pytest.mark.parametrize(
    ("child", "works"),
    [
        (_child("Job"), True),
        (_child("Pod", phase="Running"), True),
        (_child("Pod", phase="Failed"), False),
        (_child("Job", revision="new"), False),
        (_child("Job", attempt="2"), False),
        (_child("Service"), False),
    ],
)
def test_but_not_while_its_job_or_a_pod_is_there(child: Manifest, works: bool) -> None:  # noqa: FBT001 (the case)
    assert (_found(_run(), _job(), child) is None) is works


def test_a_job_that_is_over_works_on_nothing() -> None:
    over = {**_child("Job"), "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    assert _found(_run(), _job(), over) == _killed("Superseded")
    assert _found(_run(attempt="0"), _job(), over) == _killed("Superseded")


def test_a_parent_is_worked_on_by_all_its_attempts() -> None:
    assert _found(_run(attempt="0"), _job(), _child("Job", attempt="3")) is None
    assert _found(_run(attempt="0"), _job(), _child("Job", revision="new")) == _killed("Superseded")


def test_a_run_of_the_revision_that_is_wanted_waits_for_status_however_long_that_takes() -> None:
    job = _job()
    assert _found(_run(_revision(job)), job) is None
    suspended = _job(suspend=True)
    assert _revision(suspended) == _revision(job)
    assert _found(_run(_revision(job)), suspended) == _killed("Superseded")
    finished = _job({"revision": _revision(job), "finishedAt": FINISHED_AT, "phase": "Succeeded"})
    assert _found(_run(_revision(job)), finished) == _killed("Superseded")
    before = _job({"revision": "old", "finishedAt": FINISHED_AT, "phase": "Succeeded"})
    assert _found(_run(_revision(job)), before) is None, "status is of the revision before"


def test_a_spec_that_does_not_parse_wants_no_run() -> None:
    assert _found(_run(), _job(args=["$(params.nobody)"])) == _killed("Superseded")


def test_of_a_status_that_cannot_be_read_nothing_is_concluded() -> None:
    assert _found(_run(), _job({"attempts": "many"})) is None


# --- whose TrainingJob is finished


@pytest.mark.parametrize(
    ("phase", "end"),
    [("Succeeded", "FINISHED"), ("Rejected", "FINISHED"), ("Failed", "FAILED"), ("Suspended", "KILLED")],
)
def test_a_run_of_a_finished_training_job_ends_as_that_did(phase: str, end: Any) -> None:  # noqa: ANN401 (a literal)
    status = {"run": {"id": "run-1"}, "finishedAt": FINISHED_AT, "phase": phase}
    assert _found(_run(attempt="0"), _job(status)) == Orphan("run-1", end)
    unended = {**status, "attempts": [{"number": 1, "runId": "run-1"}]}
    assert _found(_run(), _job(unended)) == Orphan("run-1", end)


@pytest.mark.parametrize(
    ("reason", "end"), [("Completed", "FINISHED"), ("OOMKilled", "FAILED"), ("Suspended", "KILLED")]
)
def test_or_as_the_record_of_its_attempt_has_it(reason: str, end: Any) -> None:  # noqa: ANN401 (a literal)
    attempts = [{"number": 1, "runId": "run-1", "reason": reason}, {"number": 2, "runId": "run-2", "reason": "Error"}]
    status = {"run": {"id": "parent"}, "finishedAt": FINISHED_AT, "phase": "Rejected", "attempts": attempts}
    assert _found(_run(), _job(status)) == Orphan("run-1", end, (("serinus.reason", reason),))


@pytest.mark.parametrize(("outcome", "end"), [("Succeeded", "FINISHED"), ("Failed", "FAILED"), ("Killed", "KILLED")])
def test_a_run_of_the_past_ends_as_it_did_then(outcome: str, end: Any) -> None:  # noqa: ANN401 (a literal)
    history = [{"revision": "old", "outcome": outcome, "runId": "run-1"}]
    assert _found(_run(), _job({"history": history})) == Orphan("run-1", end)


def test_a_run_of_the_past_that_was_come_back_to_is_wanted_again() -> None:
    history = [{"revision": _revision(_job()), "outcome": "Killed", "runId": "run-1"}]
    assert _found(_run(_revision(_job())), _job({"history": history})) is None


# --- where the runs of a TrainingJob may be


def test_runs_are_where_status_and_spec_say_or_else_at_home() -> None:
    assert orphans.servers(_job(), HOME) == (Server("http://mlflow:5000"),)
    assert orphans.servers(_job(), Defaults()) == ()
    theirs = _job(tracking={"uri": "http://theirs", "credentialsSecret": "login"})
    assert orphans.servers(theirs, HOME) == (Server("http://theirs", "team", "login"),)
    moved = _job({"resolved": {"trackingUri": "http://before"}}, tracking={"uri": "http://theirs"})
    assert orphans.servers(moved, HOME) == (Server("http://before"), Server("http://theirs"))


@pytest.mark.parametrize("broken", [{"spec": "?"}, {"spec": {"tracking": ["?"]}}, {"status": {"resolved": "?"}}, {}])
def test_what_was_stored_before_a_definition_changed_does_no_harm(broken: Json) -> None:
    job = {**_job(), **broken}
    assert orphans.servers(job, HOME) == (Server("http://mlflow:5000"),)
    assert orphans.may_leave(job)


def test_one_that_is_finished_has_closed_its_own() -> None:
    assert orphans.may_leave(_job())
    assert not orphans.may_leave(_job({"finishedAt": FINISHED_AT}))
