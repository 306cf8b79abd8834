"""What users train with: code that joins its run and logs a metric and a model, and code that does otherwise."""

from dataclasses import dataclass, replace
from math import nan
from typing import Final

from serinus.api.names import Environment
from serinus.objects import Manifest
from tests.sim.fields import Json, get
from tests.sim.mlflow import BAD, GOOD, Mlflow

METRIC: Final = "val_f1"
# By the parameter `code`: most is good, and does not say so.
GOOD_CODE: Final = "good"
KINDS: Final = ("fails", "oom", "liar", "ender", "silent", "no metric", "no model", "nan")
ALWAYS_FAILS: Final = frozenset({"fails", "oom", "liar"})
# Who logs no model has nothing that could be registered.
WITHOUT_MODEL: Final = frozenset({"silent", "no model"})
OOM: Final = 137
LOG: Final = "epoch 1\nTraceback (most recent call last):\nValueError: \x1b[31mno\x1b[0m\n"


def metric_of(kind: str, depth: object) -> float | None:
    """What it logs in the end; None if it logs nothing of the kind."""
    if kind in {"silent", "no metric"}:
        return None
    return nan if kind == "nan" else GOOD if str(depth) == "1" else BAD


@dataclass(frozen=True)
class Code:
    """The main container of one pod."""

    kind: str
    depth: str
    run: str
    # Of several workers the first one talks to the registry.
    is_first: bool

    @property
    def talks(self) -> bool:
        """Whether it joins its run."""
        return self.is_first and self.kind != "silent"

    @property
    def always_fails(self) -> bool:
        """Whether it never comes to a good end."""
        return self.kind in ALWAYS_FAILS

    def logs(self, mlflow: Mlflow) -> None:
        """What it logs on the way: the metric as it is so far."""
        run, value = mlflow.change_run(self.run) if self.talks else None, metric_of(self.kind, self.depth)
        if run is not None and value is not None:
            mlflow.runs[run.id] = replace(run, metrics={**run.metrics, METRIC: value / 2, "progress": 0.5})

    def ends(self, mlflow: Mlflow, *, fails: bool) -> None:
        """What it tells its run at last: nothing, the truth, or what it takes for it before it fails."""
        if not self.talks or self.kind == "oom":
            return
        says_well = not fails or self.kind == "liar"
        run = mlflow.change_run(self.run, "FINISHED" if says_well else "FAILED")
        if run is None:
            return
        value = metric_of(self.kind, self.depth)
        metrics = run.metrics if value is None else {**run.metrics, METRIC: value}
        models = run.models if self.kind in WITHOUT_MODEL else (f"m-{run.id}",)
        mlflow.runs[run.id] = replace(run, metrics=metrics, models=models)

    def terminated(self, *, fails: bool, now: str) -> Json:
        """The state that its container ends in."""
        if not fails:
            return {"exitCode": 0, "reason": "Completed", "finishedAt": now}
        if self.kind == "oom":
            return {"exitCode": OOM, "reason": "OOMKilled", "finishedAt": now}
        return {"exitCode": 1, "reason": "Error", "finishedAt": now, "message": LOG}


def of_pod(pod: Manifest) -> Code:
    """The code that a pod runs, by its environment."""
    containers = get(pod, "spec", "containers") or ()
    known = {one["name"]: one.get("value", "") for container in containers for one in container.get("env") or ()}
    index = get(pod, "metadata", "labels", "batch.kubernetes.io/job-completion-index")
    return Code(
        kind=known.get("PARAM_CODE", GOOD_CODE),
        depth=known.get("PARAM_DEPTH", ""),
        run=known.get(Environment.RUN_ID, ""),
        is_first=index in {None, "0"},
    )
