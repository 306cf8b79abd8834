"""Jobs and their pods do what those of Kubernetes do."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from serinus import objects
from serinus.asks import Run
from serinus.objects import JOB, POD, PVC, Manifest, Ref, ref_of
from serinus.training import ends, fetched
from tests import virtual_time
from tests.sim.controllers import job_end
from tests.sim.fields import get
from tests.sim.ledger import Ledger
from tests.sim.mlflow import Mlflow
from tests.sim.stage import Stage
from tests.sim.weather import Weather
from tests.sim.world import cluster

REF = Ref(JOB, "ml", "churn")
FETCH = '{"inputs": [{"name": "train", "uri": "%s", "at": "/data"}]}'


class Ground:
    """A stage with a cluster on it, and a run for the Job."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.mlflow = Mlflow(stage)
        stage.server.namespaces["ml"] = True
        stage.server.listeners += [part.seen for part in cluster(stage, self.mlflow, Ledger())]
        self.run = self.mlflow.make_run("ml/churn", "key", Run("", "", "RUNNING"))

    def job(self, code: str = "good", fetch: str = "", **spec: object) -> None:
        """A Job as the operator makes it."""
        env = {"MLFLOW_RUN_ID": self.run.id, "PARAM_DEPTH": "1", "PARAM_CODE": code}
        main = {"name": "main", "env": [{"name": name, "value": value} for name, value in env.items()]}
        init = [{"name": "serinus-fetch", "env": [{"name": "SERINUS_FETCH", "value": FETCH % fetch}]}] if fetch else []
        template = {"spec": {"containers": [main], "initContainers": init}}
        fixed = {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": template}
        manifest = {"metadata": {"name": "churn", "namespace": "ml"}, "spec": {**fixed, **spec}}
        self.stage.server.create("user", JOB, manifest)

    @property
    def live(self) -> Manifest:
        """The Job."""
        found = self.stage.server.get(REF)
        assert found is not None
        return found

    @property
    def pods(self) -> list[Manifest]:
        """Its pods."""
        return self.stage.server.of(POD)

    def end(self) -> object:
        """How the operator understands what became of the Job."""
        return ends.of_job(self.live, self.pods, self.stage.time_of_day())


def on(test: Callable[[Ground], Coroutine[Any, Any, None]], weather: Weather | None = None) -> None:
    async def main() -> None:
        await test(Ground(Stage(0, weather or Weather(lag=0.1, slow_pods=1.0))))

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("code", "end", "run_end"),
    [("good", "Complete", "FINISHED"), ("fails", "Failed", "FAILED"), ("liar", "Failed", "FINISHED")],
)
def test_a_job_ends_as_its_pod_does_and_the_code_says_what_it_takes_for_the_end(
    code: str, end: str, run_end: str
) -> None:
    async def story(ground: Ground) -> None:
        ground.job(code)
        await ground.stage.wait(100)
        assert job_end(ground.live) == end
        assert len(ground.pods) == 1
        assert ground.mlflow.runs[ground.run.id].status == run_end

    on(story)


@pytest.mark.parametrize(("code", "reason"), [("fails", "Error"), ("oom", "OOMKilled")])
def test_what_a_container_failed_of_is_told(code: str, reason: str) -> None:
    async def story(ground: Ground) -> None:
        ground.job(code)
        await ground.stage.wait(100)
        end = ground.end()
        assert isinstance(end, ends.End)
        assert (end.reason, end.counted) == (reason, True)

    on(story)


def test_several_workers_are_complete_when_all_are() -> None:
    async def story(ground: Ground) -> None:
        ground.job(completionMode="Indexed", completions=3, parallelism=3)
        await ground.stage.wait(100)
        assert job_end(ground.live) == "Complete"
        assert [get(pod, "status", "phase") for pod in ground.pods] == ["Succeeded"] * 3

    on(story)


def test_one_worker_that_fails_takes_the_others_with_it_and_stays() -> None:
    async def story(ground: Ground) -> None:
        ground.job("fails", completionMode="Indexed", completions=3, parallelism=3)
        await ground.stage.wait(100)
        assert job_end(ground.live) == "Failed"
        assert all(get(pod, "status", "phase") == "Failed" for pod in ground.pods)
        assert 1 <= len(ground.pods) <= 3

    on(story)


def test_a_job_ends_only_when_its_pods_have() -> None:
    async def story(ground: Ground) -> None:
        ground.job(activeDeadlineSeconds=1)
        states = set()
        for _ in range(1000):
            await ground.stage.wait(0.1)
            types = {one["type"] for one in get(ground.live, "status", "conditions") or ()}
            ended = all(get(pod, "status", "phase") in {"Succeeded", "Failed"} for pod in ground.pods)
            states.add((frozenset(types), ended))
            assert "Failed" not in types or ended
        assert (frozenset({"FailureTarget"}), False) in states
        assert isinstance(ground.end(), ends.End)

    on(story)


def test_a_suspension_takes_the_pods_and_counts_nothing() -> None:
    async def story(ground: Ground) -> None:
        ground.job(suspend=True)
        await ground.stage.wait(10)
        assert not ground.pods
        ground.stage.server.patch("kueue", REF, {"spec": {"suspend": False}})
        await ground.stage.wait(0.7)
        assert len(ground.pods) == 1
        ground.stage.server.patch("kueue", REF, {"spec": {"suspend": True}})
        await ground.stage.wait(100)
        assert not ground.pods
        assert not job_end(ground.live)
        ground.stage.server.patch("kueue", REF, {"spec": {"suspend": False}})
        await ground.stage.wait(100)
        assert job_end(ground.live) == "Complete"

    on(story)


@pytest.mark.parametrize(
    ("uri", "reason", "permanent"),
    [
        ("configmap://data/broken", "ExpectationsBroken", True),
        ("configmap://data/other", "DigestMismatch", True),
        ("configmap://data/good", "InputUnreadable", False),
    ],
)
def test_what_could_not_be_fetched_is_told_as_the_operator_reads_it(uri: str, reason: str, permanent: bool) -> None:  # noqa: FBT001 (a parameter)
    async def story(ground: Ground) -> None:
        ground.job(fetch=uri)
        await ground.stage.wait(100)
        failure = fetched.failure(ground.pods[0]["status"])
        assert failure is not None
        assert (failure.reason, failure.permanent) == (reason, permanent)

    on(story, Weather(slow_pods=1.0, fetch_fails=1.0))


def test_disruptions_are_told_and_do_not_count_but_for_what_is_greedy() -> None:
    reasons = set()
    for seed in range(40):

        async def main(seed: int = seed) -> None:
            ground = Ground(Stage(seed, Weather(slow_pods=1.0, disrupted=1.0)))
            ground.job()
            await ground.stage.wait(200)
            end = ground.end()
            if isinstance(end, ends.End) and not end.ok:
                reasons.add((str(end.reason), end.counted))

        virtual_time.run(main())
    assert reasons == {("Evicted", False), ("Evicted", True), ("NodeLost", False), ("PodDeleted", False)}


def test_a_deleted_pod_is_waited_for_and_has_its_end_before_it_goes() -> None:
    async def story(ground: Ground) -> None:
        ground.job()
        await ground.stage.wait(2)
        pod = ground.pods[0]
        ground.stage.server.delete("user", ref_of(POD, pod))
        assert objects.is_going(ground.pods[0])
        await ground.stage.wait(100)
        assert not ground.pods
        assert job_end(ground.live) == "Failed"

    on(story)


def test_a_claim_stays_as_long_as_a_pod_has_it() -> None:
    async def story(ground: Ground) -> None:
        ref = Ref(PVC, "ml", "churn")
        ground.stage.server.create("user", PVC, {"metadata": {"name": "churn", "namespace": "ml"}})
        volume = {"name": "checkpoints", "persistentVolumeClaim": {"claimName": "churn"}}
        ground.job()
        await ground.stage.wait(0.7)
        pod = ground.pods[0]
        ground.stage.server.patch("user", ref_of(POD, pod), {"spec": {"volumes": [volume]}})
        ground.stage.server.delete("user", ref)
        await ground.stage.wait(1.5)
        assert ground.stage.server.get(ref) is not None
        await ground.stage.wait(100)
        assert ground.stage.server.get(ref) is None

    on(story)


def test_a_queue_lets_jobs_go() -> None:
    async def story(ground: Ground) -> None:
        ground.job(suspend=True)
        ground.stage.server.patch("user", REF, {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team-a"}}})
        await ground.stage.wait(200)
        assert job_end(ground.live) == "Complete"

    on(story)
