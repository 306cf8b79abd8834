"""Before it trains: what a Job waits for is said, by whoever knows it: its pod, the scheduler, the cluster's events."""

from datetime import timedelta

import pytest

from serinus.api.scalars import timestamp
from serinus.asks import ReadWarning
from serinus.plan import Plan
from tests.unit.fakes import Json
from tests.unit.training_life import Life, ended


def test_it_is_running_when_a_pod_runs_and_not_before() -> None:
    life = Life()
    life.run()
    life.put_pod("Pending")
    life.run()
    assert (life.status["phase"], life.conditions()["Reconciling"]) == ("Pending", ("True", "Starting"))
    assert "startedAt" not in life.status
    life.now += timedelta(seconds=30)
    life.start(node="node-7")
    life.run()
    assert (life.status["phase"], life.conditions()["Reconciling"]) == ("Running", ("True", "Training"))
    assert life.status["startedAt"] == "2026-01-01T12:00:30Z"
    assert life.attempt == {"number": 1, "runId": "run-1", "startedAt": "2026-01-01T12:00:30Z", "node": "node-7"}
    assert life.run().ask == (), "nothing is asked so soon"
    assert life.events == ["Normal Training"]


def test_what_waits_for_a_node_says_so_in_the_words_of_the_scheduler() -> None:
    life = Life()
    life.run()
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    life.put_pod("Pending", node="", conditions=[said])
    life.run()
    assert life.status["message"].endswith("waits for a node: 0/3 nodes: no gpu")
    assert life.conditions()["Reconciling"] == ("True", "Starting")


def test_while_code_and_inputs_are_fetched_it_is_starting() -> None:
    life = Life(inputs=[{"name": "train", "uri": "s3://data/a", "mountPath": "/data/a"}])
    life.run()
    life.put_pod("Pending", initContainerStatuses=[{"name": "serinus-fetch", "state": {"running": {}}}])
    life.run()
    assert (life.status["phase"], life.status["message"]) == ("Pending", "attempt 1 fetches its code and its inputs")


def test_what_failed_while_it_fetched_was_never_training() -> None:
    life = Life(inputs=[{"name": "train", "uri": "s3://data/a", "mountPath": "/data/a"}])
    life.run()
    life.put_pod("Failed", initContainerStatuses=[ended("serinus-fetch", 1, "")])
    life.run()
    assert (life.status["phase"], life.conditions()["Reconciling"]) == ("Pending", ("True", "Starting"))
    assert "startedAt" not in life.status
    assert life.events == []


@pytest.mark.parametrize("which", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_a_pod_that_cannot_start_is_said_and_waited_for(which: str, reason: str) -> None:
    life = Life()
    life.run()
    status: Json = {which: [{"name": "x", "state": {"waiting": {"reason": reason, "message": "no such thing"}}}]}
    life.put_pod("Pending", **status)
    life.run()
    assert life.conditions()["Stalled"][0] == "True"
    assert life.status["message"] == f"pod {life.job['metadata']['name']}-0 does not start: no such thing"
    life.start()
    life.run()
    assert life.conditions()["Reconciling"] == ("True", "Training")
    assert "Stalled" not in life.conditions()


# --- what the events of the cluster say


def warned(life: Life, **by_kind: str) -> Life:
    life.mlflow.warnings = by_kind
    return life


def warnings_asked(plan: Plan) -> list[ReadWarning]:
    return [ask for ask in plan.ask if isinstance(ask, ReadWarning)]


QUOTA = 'Error creating: pods "churn-x" is forbidden: exceeded quota: gpus'
WARNINGS = {
    QUOTA: "QuotaExceeded",
    'Error creating: pods "churn-x" is forbidden: violates PodSecurity "restricted"': "Forbidden",
    'Error creating: serviceaccount "trainer" not found': "ConfigurationMissing",
}


@pytest.mark.parametrize(("warning", "reason"), WARNINGS.items(), ids=WARNINGS.values())
def test_a_job_that_gets_no_pod_says_why_and_somebody_must_do_something(warning: str, reason: str) -> None:
    life = warned(Life(), Job=warning)
    assert life.run().requeue_after == timedelta(seconds=5)
    assert warnings_asked(life.run()) == [], "it takes a moment"
    plan = life.passes(5)
    (ask,) = warnings_asked(plan)
    name = life.job["metadata"]["name"]
    assert (ask.ref.name, ask.uid, ask.every) == (name, "uid-1", timedelta(seconds=30))
    assert life.conditions()["Stalled"] == ("True", reason)
    assert life.status["message"] == f"Job {name}: {warning}"
    life.start()
    life.run()
    assert (life.status["phase"], "Stalled" in life.conditions(), warnings_asked(life.run())) == ("Running", False, [])


def test_a_warning_that_may_pass_is_told_and_waited_for() -> None:
    life = warned(Life(), Job="Error creating: Internal error occurred: no answer from webhook")
    life.run()
    life.passes(5)
    assert life.conditions()["Reconciling"] == ("True", "Starting")
    assert life.status["message"].endswith("no answer from webhook")


def test_without_a_warning_it_is_starting() -> None:
    life = Life()
    life.run()
    life.passes(5)
    assert life.status["message"] == "attempt 1 of run run-1 is starting"


def preparing(life: Life) -> Json:
    """The status of a pod that has a node since now, and whose containers wait."""
    return {
        "startTime": timestamp(life.now),
        "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}],
    }


def test_a_pod_that_waits_for_a_volume_says_so_after_a_while() -> None:
    life = warned(Life(), Pod='MountVolume.SetUp failed for volume "serinus-source": configmap "code" not found')
    life.run()
    life.put_pod("Pending", **preparing(life))
    assert life.run().requeue_after == timedelta(seconds=20)
    assert warnings_asked(life.passes(19)) == []
    plan = life.passes(1)
    assert [ask.ref.name for ask in warnings_asked(plan)] == [life.pod()["metadata"]["name"]]
    assert life.conditions()["Stalled"] == ("True", "ConfigurationMissing")
    assert life.status["message"].endswith('configmap "code" not found')


def test_a_pod_that_fetches_for_long_is_asked_nothing() -> None:
    life = warned(Life(), Pod="something is not found")
    life.run()
    fetching: Json = {"initContainerStatuses": [{"name": "serinus-fetch", "state": {"running": {}}}]}
    life.put_pod("Pending", **preparing(life), **fetching)
    life.run()
    plan = life.passes(600)
    assert warnings_asked(plan) == []
    assert life.status["message"] == "attempt 1 fetches its code and its inputs"
