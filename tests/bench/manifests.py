"""TrainingJobs, and plain Jobs whose pods are as theirs."""

from typing import Any

from tests.bench import trainer

ON_PRETENDED_NODES = {"spec": {"tolerations": [{"operator": "Exists"}]}}
DEPTH = 8


def model(index: int) -> str:
    """The name of a registered model."""
    return f"model-{index}"


def training_job(index: int, models: int) -> dict[str, Any]:
    """One whose run has to be good and no worse than the champion of its model; there are so many models."""
    registered = {"model": model(index % models), "alias": "challenger"}
    gate = [
        {"metric": trainer.METRIC, "min": 0.5},
        {"metric": trainer.METRIC, "versus": {"alias": "champion"}, "minDelta": -0.01},
    ]
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": f"job-{index}", "namespace": "default"},
        "spec": {
            "parameters": {"depth": DEPTH},
            "podTemplate": ON_PRETENDED_NODES,
            "tracking": {"experiment": "bench"},
            "gate": gate,
            "register": registered,
        },
    }


def job(index: int) -> dict[str, Any]:
    """A plain Job."""
    container = {
        "name": "main",
        "image": "serinus/trainer:test",
        "env": [{"name": "PARAM_DEPTH", "value": str(DEPTH)}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        **ON_PRETENDED_NODES["spec"],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"job-{index}", "namespace": "default"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
