"""How an attempt ended, by all the ways in which pods end: what it is called, what is said, and whether it counts."""

from datetime import timedelta

import pytest

from serinus.api.conditions import Reason
from serinus.api.scalars import timestamp
from serinus.asks import Run, RunStatus
from serinus.objects import JOB
from serinus.training import ends
from serinus.training.ends import End
from tests.unit.fakes import NOON, Json, pod
from tests.unit.training_life import Life, disrupted, ended, training_life

FETCH = "serinus-fetch"
TOLD = '{"failure":{"reason":"%s","message":"%s"}}'
LOG = "loading\nTraceback:\nValueError: no such column"


def of_pod(*containers: Json, deleted: bool = False, **status: Json) -> End:
    """The end of a pod that failed with these containers."""
    failed = pod("p", {}, "Failed", **({"containerStatuses": list(containers)} if containers else {}), **status)
    metadata = failed["metadata"] | ({"deletionTimestamp": timestamp(NOON)} if deleted else {})
    return ends.of_pod({**failed, "metadata": metadata})


KILLED = ended("main", 137, reason="Error")
POD_ENDS: dict[str, tuple[End, str, str, bool, bool]] = {
    "out of memory": (
        of_pod(ended("main", 137, reason="OOMKilled")),
        "OOMKilled",
        "container main of pod p ran out of memory",
        True,
        False,
    ),
    "an exit code, and what was said last": (
        of_pod(ended("main", 3, LOG)),
        "Error",
        "container main of pod p failed with exit code 3: ValueError: no such column",
        True,
        False,
    ),
    "an exit code without a word": (
        of_pod(ended("main", 1)),
        "Error",
        "container main of pod p failed with exit code 1",
        True,
        False,
    ),
    "a program that is not there": (
        of_pod(ended("main", 128, 'exec: "run": not found', "StartError")),
        "Error",
        'container main of pod p failed with exit code 128: exec: "run": not found',
        True,
        False,
    ),
    "a sidecar": (
        of_pod(ended("main", 0, reason="Completed"), ended("sidecar", 2)),
        "Error",
        "container sidecar of pod p failed with exit code 2",
        True,
        False,
    ),
    "an init container of the user's": (
        of_pod(initContainerStatuses=[ended("setup", 4)]),
        "Error",
        "container setup of pod p failed with exit code 4",
        True,
        False,
    ),
    "preempted": (
        of_pod(KILLED, conditions=[disrupted("PreemptionByScheduler", "preempting to make room")], deleted=True),
        "Preempted",
        "pod p: preempting to make room",
        False,
        False,
    ),
    "evicted through the API": (
        of_pod(KILLED, conditions=[disrupted("EvictionByEvictionAPI", "Eviction API: evicting")], deleted=True),
        "Evicted",
        "pod p: Eviction API: evicting",
        False,
        False,
    ),
    "deleted by the taint manager": (
        of_pod(KILLED, conditions=[disrupted("DeletionByTaintManager", "Taint manager: deleting")], deleted=True),
        "NodeLost",
        "pod p: Taint manager: deleting",
        False,
        False,
    ),
    "collected with its node": (
        of_pod(conditions=[disrupted("DeletionByPodGC", "PodGC: node no longer exists")]),
        "NodeLost",
        "pod p: PodGC: node no longer exists",
        False,
        False,
    ),
    "evicted by the kubelet for want of memory": (
        of_pod(
            KILLED,
            conditions=[disrupted("TerminationByKubelet")],
            reason="Evicted",
            message="The node was low on resource: memory",
        ),
        "Evicted",
        "pod p: Evicted",
        False,
        False,
    ),
    "evicted by the kubelet over its own limit": (
        of_pod(reason="Evicted", message="Pod ephemeral local storage usage exceeds 1Gi"),
        "Evicted",
        "pod p: Pod ephemeral local storage usage exceeds 1Gi",
        True,
        False,
    ),
    "refused by the kubelet": (
        of_pod(reason="OutOfcpu", message="Pod was rejected: not enough cpu"),
        "Evicted",
        "pod p: Pod was rejected: not enough cpu",
        False,
        False,
    ),
    "refused by a node that shuts down": (
        of_pod(reason="NodeShutdown"),
        "Evicted",
        "pod p: NodeShutdown",
        False,
        False,
    ),
    "a disruption that did not happen": (
        of_pod(ended("main", 1), conditions=[{**disrupted("PreemptionByScheduler"), "status": "False"}]),
        "Error",
        "container main of pod p failed with exit code 1",
        True,
        False,
    ),
    "deleted by hand": (
        of_pod(ended("main", 143), deleted=True),
        "PodDeleted",
        "pod p was deleted before it had ended",
        False,
        False,
    ),
    "data that is not what it should be": (
        of_pod(initContainerStatuses=[ended(FETCH, 65, TOLD % ("DigestMismatch", "train: it is not 0123"))]),
        "DigestMismatch",
        "train: it is not 0123",
        True,
        True,
    ),
    "data that cannot be had at this moment": (
        of_pod(initContainerStatuses=[ended(FETCH, 1, TOLD % ("InputUnreadable", "train: no answer"))]),
        "InputUnreadable",
        "train: no answer",
        True,
        False,
    ),
    "code that is not there": (
        of_pod(initContainerStatuses=[ended(FETCH, 65, TOLD % ("SourceUnreadable", "no branch dev"))]),
        "SourceUnreadable",
        "no branch dev",
        True,
        True,
    ),
    "data that is too large for the memory": (
        of_pod(initContainerStatuses=[ended(FETCH, 137, reason="OOMKilled")]),
        "OOMKilled",
        "container serinus-fetch of pod p ran out of memory",
        True,
        False,
    ),
}


@pytest.mark.parametrize(("end", "reason", "message", "counted", "final"), POD_ENDS.values(), ids=POD_ENDS.keys())
def test_each_end_of_a_pod_has_its_name_and_its_words(
    end: End,
    reason: str,
    message: str,
    counted: bool,  # noqa: FBT001 (a column)
    final: bool,  # noqa: FBT001 (a column)
) -> None:
    assert (end.ok, end.reason, end.message, end.counted, end.final) == (False, reason, message, counted, final)


def test_the_last_lines_of_the_log_are_kept_and_nothing_that_cannot_be_read() -> None:
    log = "\n".join([*(f"line {number}" for number in range(30)), "\x1b[31mred\x00\x1b[0m", "", "x" * 500])
    end = of_pod(ended("main", 1, log))
    assert (len(end.log), end.log[0], end.log[-2], end.log[-1]) == (10, "line 22", "[31mred[0m", "x" * 300)
    assert end.exit_code == 1


def test_of_several_containers_the_one_that_failed_first_is_told() -> None:
    sidecar = ended("sidecar", 2, at="2026-01-01T12:00:01Z")
    end = of_pod(ended("main", 1, at="2026-01-01T12:00:05Z"), sidecar)
    assert end.message == "container sidecar of pod p failed with exit code 2"


# --- as a Job and its pods tell it


def told(life: Life) -> tuple[str, bool, str]:
    """How the attempt ended, as it is stored."""
    attempt = life.attempt
    return attempt.get("reason", ""), attempt.get("counted", True), attempt.get("message", "")


def test_of_several_workers_the_one_that_failed_first_is_told() -> None:
    life = training_life(workers=3)
    life.put_pod("Failed", worker=0, containerStatuses=[ended("main", 143, at="2026-01-01T12:00:09Z")])
    life.put_pod("Failed", worker=1, containerStatuses=[ended("main", 7, at="2026-01-01T12:00:03Z")], node="node-2")
    life.put_pod("Running", worker=2)
    life.job_fails()
    life.run()
    assert told(life)[2].endswith("-1 failed with exit code 7")
    assert life.attempt["node"] == "node-1", "where the first of them ran"


def test_a_worker_whose_data_cannot_be_had_is_told_and_not_those_that_were_stopped_for_it() -> None:
    life = training_life(workers=2)
    told_by = TOLD % ("DigestMismatch", "train: it is not 0123")
    life.put_pod("Failed", worker=0, containerStatuses=[ended("main", 143, at="2026-01-01T12:00:09Z")])
    life.deleted_at(0)
    fetched = [ended("other", 0, at="2026-01-01T11:59:00Z"), ended(FETCH, 65, told_by, at="2026-01-01T12:00:08Z")]
    life.put_pod("Failed", worker=1, initContainerStatuses=fetched)
    life.job_fails()
    life.run()
    assert told(life) == ("DigestMismatch", True, "train: it is not 0123")


def test_of_two_workers_that_ended_in_the_same_second_the_one_that_nobody_deleted_is_told() -> None:
    life = training_life(workers=2)
    life.put_pod("Failed", worker=0, containerStatuses=[ended("main", 143)])
    life.deleted_at(0)
    life.put_pod("Failed", worker=1, containerStatuses=[ended("main", 1)])
    life.job_fails()
    life.run()
    assert told(life)[:2] == ("Error", True)


def test_news_of_a_pod_that_come_after_those_of_its_job_are_waited_for() -> None:
    life = training_life()
    life.job_fails()
    plan = life.run()
    assert (life.status["phase"], plan.requeue_after) == ("Running", timedelta(seconds=15))
    life.put_pod("Failed", containerStatuses=[ended("main", 137, reason="OOMKilled")])
    life.run()
    assert told(life)[:2] == ("OOMKilled", True)


def test_a_pod_that_ends_long_after_its_job_is_waited_for_all_the_same() -> None:
    life = training_life()
    life.job_fails()
    life.deleted_at()
    life.mark_pod(deletionTimestamp=timestamp(NOON + timedelta(seconds=600)))
    assert life.passes(20).requeue_after == timedelta(seconds=5)
    assert "finishedAt" not in life.attempt
    life.put_pod("Failed", containerStatuses=[ended("main", 143)], conditions=[disrupted("PreemptionByScheduler")])
    life.run()
    assert told(life)[:2] == ("Preempted", False)


def test_a_pod_that_is_gone_without_a_word_was_deleted() -> None:
    life = training_life()
    life.pods_end()
    life.job_fails()
    assert life.run().requeue_after == timedelta(seconds=15)
    life.passes(14)
    assert told(life)[0] == ""
    life.passes(1)
    assert told(life) == ("PodDeleted", False, "the pod was deleted before it had ended")


def test_what_takes_a_pod_is_remembered_when_the_pod_is_gone() -> None:
    life = training_life()
    life.mark_pod(deletionTimestamp=timestamp(NOON + timedelta(seconds=30)))
    life.set_status(life.pod(), phase="Running", conditions=[disrupted("EvictionByEvictionAPI")])
    life.run()
    assert (life.status["phase"], "finishedAt" in life.attempt) == ("Running", False)
    life.pods_end()
    life.run()
    assert life.status["message"] == "attempt 1 has no pod any more: waiting for its Job to come to its end"
    life.job_fails()
    life.run()
    assert told(life)[:2] == ("Evicted", False)


def test_a_pod_that_its_node_does_not_end_is_lost_and_its_job_is_stopped() -> None:
    life = training_life()
    life.deleted_at()
    assert life.run().requeue_after is not None
    life.passes(59)
    assert ("finishedAt" in life.attempt, len(life.of(JOB))) == (False, 1)
    name = life.pod()["metadata"]["name"]
    life.passes(1)
    assert told(life) == ("NodeLost", False, f"pod {name} is lost: node node-1 does not answer")
    assert life.of(JOB) == []


def test_a_deadline_of_the_job_itself_is_the_end() -> None:
    life = training_life()
    life.job_fails("DeadlineExceeded", "Job was active longer than specified deadline")
    life.pods_end()
    life.run()
    assert told(life) == ("DeadlineExceeded", True, "Job was active longer than specified deadline")
    assert (life.status["phase"], life.conditions()["Failed"]) == ("Failed", ("True", "DeadlineExceeded"))


@pytest.mark.parametrize("status", [{}, {"conditions": []}, {"conditions": [{"type": "Failed", "status": "False"}]}])
def test_a_job_that_says_nothing_of_an_end_has_none(status: Json) -> None:
    assert ends.of_job({"metadata": {"name": "j"}, "status": status}, (), NOON) is None


# --- as a run remembers it of which nothing else is left

REMEMBERED: dict[str, tuple[RunStatus, dict[str, str], End]] = {
    "well": ("FINISHED", {}, ends.COMPLETE),
    "badly": (
        "FAILED",
        {"serinus.reason": "OOMKilled", "serinus.message": "it ran out of memory", "serinus.exitCode": "137"},
        End(ok=False, reason=Reason.OOM_KILLED, message="it ran out of memory", exit_code=137),
    ),
    "uncounted": (
        "FAILED",
        {"serinus.reason": "Preempted", "serinus.counted": "false"},
        End(ok=False, reason=Reason.PREEMPTED, message="run r is FAILED", counted=False),
    ),
    "as the last one": (
        "FAILED",
        {"serinus.reason": "DigestMismatch", "serinus.outcome": "Failed"},
        End(ok=False, reason=Reason.DIGEST_MISMATCH, message="run r is FAILED", final=True),
    ),
    "by the word of the code alone": (
        "FAILED",
        {},
        End(ok=False, reason=Reason.ERROR, message="run r is FAILED"),
    ),
    "with words that nobody knows": (
        "FAILED",
        {"serinus.reason": "Bored", "serinus.exitCode": "many"},
        End(ok=False, reason=Reason.ERROR, message="run r is FAILED"),
    ),
}


@pytest.mark.parametrize(("status", "tags", "end"), REMEMBERED.values(), ids=REMEMBERED.keys())
def test_a_run_remembers_how_its_attempt_ended(status: RunStatus, tags: dict[str, str], end: End) -> None:
    assert ends.of_run(Run("r", "1", status, tags=tags)) == end
