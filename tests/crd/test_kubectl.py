"""What a person sees: columns, short names, explanations, scaling, and answers to mistakes."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.crd.objects import VALID, Json, put

JOB, DEPLOYMENT = VALID["trainingjob"], VALID["modeldeployment"]


@pytest.fixture(scope="module")
def kubectl(control_plane: Cluster) -> Iterator[Kubectl]:
    """kubectl, where the valid objects are stored under names of their own, with their status."""
    program = control_plane.kubectl
    stored = [put(document, "metadata.name", f"seen-{name}") for name, document in VALID.items()]
    for document in stored:
        program.apply(yaml.safe_dump(document))
        if "status" in document:
            what = (document["kind"].lower(), document["metadata"]["name"])
            patch = json.dumps({"status": document["status"]})
            program("patch", *what, "--subresource=status", "--type=merge", f"--patch={patch}")
    yield program
    for document in stored:
        program("delete", document["kind"].lower(), document["metadata"]["name"], "--wait=false")


def table(text: str) -> dict[str, str]:
    """Column → cell of a table with one row; cells are two spaces apart."""
    head, row = text.splitlines()
    starts = [index for index, letter in enumerate(head) if letter != " " and (index == 0 or head[index - 1] == " ")]
    ends = [*starts[1:], None]
    return {head[start:end].strip(): row[start:end].strip() for start, end in zip(starts, ends, strict=True)}


def test_a_training_job_shows_in_columns(kubectl: Kubectl) -> None:
    row = table(kubectl("get", "tj", "seen-trainingjob"))
    assert row.pop("AGE")
    assert row == {
        "NAME": "seen-trainingjob",
        "PHASE": "Succeeded",
        "ATTEMPT": "2",
        "GATE": "Passed",
        "VERSION": "7",
        "RUN": "r1",
    }
    wide = table(kubectl("get", "tj", "seen-trainingjob", "-o", "wide"))
    assert wide["MESSAGE"] == "version 7 of churn is registered"


def test_a_model_deployment_shows_in_columns(kubectl: Kubectl) -> None:
    ready = put(DEPLOYMENT["status"]["conditions"][0], "type", "Ready")
    patch = json.dumps({"status": {"conditions": [ready]}})
    kubectl("patch", "md", "seen-modeldeployment", "--subresource=status", "--type=merge", f"--patch={patch}")
    row = table(kubectl("get", "md", "seen-modeldeployment", "-o", "wide"))
    assert row.pop("AGE")
    assert row == {
        "NAME": "seen-modeldeployment",
        "READY": "True",
        "PHASE": "Progressing",
        "STABLE": "6",
        "CANARY": "6",
        "WEIGHT": "90",
        "STEP": "2/5",
        "ALIAS": "champion",
        "VERDICT": "Inconclusive",
        "URL": "https://churn.example.com/churn",
        "MESSAGE": "step 2 of 5, waiting for a verdict",
    }


def test_the_category_shows_both_kinds(kubectl: Kubectl) -> None:
    names = kubectl("get", "serinus", "-o", "name").split()
    assert "trainingjob.serinus.dev/seen-trainingjob" in names
    assert "modeldeployment.serinus.dev/seen-modeldeployment" in names


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("trainingjob.spec.gate", "What counts as good: the run passes if every check does."),
        ("tj.spec.inputs.expect.columns", "Every value is one of these. Default: any."),
        ("tj.spec.workers", "Number of pods that train together."),
        ("md.spec.rollout.soak.duration", "Default: 15m."),
        ("modeldeployment.spec.rollout.steps", "Wait for some time, or with {} for the action `promote`."),
        ("md.status.canary.verifiedWeight", "Percentage of the traffic that it really got, as measured."),
    ],
)
def test_kubectl_explains(kubectl: Kubectl, what: str, says: str) -> None:
    assert says in " ".join(kubectl("explain", what).split())


def test_a_new_object_is_not_settled_before_somebody_looked_at_it(kubectl: Kubectl) -> None:
    assert kubectl.get("tj", "seen-trainingjob-configmap")["status"] == {"observedGeneration": -1}


def test_a_deployment_scales(kubectl: Kubectl) -> None:
    scale = "/apis/serinus.dev/v1alpha1/namespaces/default/modeldeployments/seen-modeldeployment-pinned/scale"
    kubectl("scale", "md", "seen-modeldeployment-pinned", "--replicas=3")
    seen: Json = json.loads(kubectl("get", "--raw", scale))
    assert seen["spec"]["replicas"] == 3
    assert kubectl.get("md", "seen-modeldeployment-pinned")["spec"]["server"] == {"replicas": 3}


def test_an_autoscaler_finds_no_number_where_none_was_written(kubectl: Kubectl) -> None:
    kubectl("patch", "md", "seen-modeldeployment-pinned", "--type=merge", '--patch={"spec": {"server": null}}')
    scale = "/apis/serinus.dev/v1alpha1/namespaces/default/modeldeployments/seen-modeldeployment-pinned/scale"
    assert ".spec.server.replicas" in kubectl.try_("get", "--raw", scale).stderr
    kubectl("scale", "md", "seen-modeldeployment-pinned", "--replicas=2")
    assert json.loads(kubectl("get", "--raw", scale))["spec"]["replicas"] == 2


def test_a_deployment_that_scales_itself_refuses_to_be_scaled(kubectl: Kubectl) -> None:
    done = kubectl.try_("scale", "md", "seen-modeldeployment", "--replicas=3")
    assert done.returncode != 0
    assert "replicas and autoscaling exclude each other: leave out replicas" in done.stderr


def test_a_misspelt_field_is_refused_by_kubectl(kubectl: Kubectl) -> None:
    misspelt = put(put(JOB, "spec.wokers", 2), "metadata.name", "misspelt")
    done = kubectl.try_("create", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(misspelt))
    assert done.returncode != 0
    assert 'unknown field "spec.wokers"' in done.stderr


def test_all_that_is_wrong_is_said_at_once(kubectl: Kubectl) -> None:
    wrong = put(put(JOB, "spec.gate[0]", {"metric": "f1"}), "metadata.name", "wrong")
    wrong = put(wrong, "spec.env[0].name", "MLFLOW_RUN_ID")
    done = kubectl.try_("create", "-f", "-", stdin=yaml.safe_dump(wrong))
    assert "f1: a check needs a bound: set min, max, or versus with minDelta or maxDelta" in done.stderr
    assert "are set by the operator, so that the code joins its run: leave them out" in done.stderr


def test_a_second_apply_from_git_sees_no_difference(kubectl: Kubectl) -> None:
    document = put({key: JOB[key] for key in ("apiVersion", "kind", "metadata", "spec")}, "metadata.name", "from-git")
    text = yaml.safe_dump(document)
    kubectl("apply", "-f", "-", stdin=text)
    try:
        assert kubectl.try_("diff", "-f", "-", stdin=text).stdout == ""
        assert "unchanged" in kubectl("apply", "-f", "-", stdin=text)
    finally:
        kubectl("delete", "tj", "from-git", "--wait=false")
