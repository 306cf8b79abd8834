"""The chart lints, and renders what was reviewed: a snapshot per value set.

After a change that is meant: UPDATE_SNAPSHOTS=1 pytest tests/helm, and read the difference.
"""

import os
from pathlib import Path

import pytest

from tests.helm.chart import CASES, HERE, Helm, load, of_kind

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)


@each_case
def test_it_lints_strictly(helm: Helm, case: Path) -> None:
    done = helm.lint(case)
    assert done.returncode == 0, done.stdout + done.stderr


def without_definitions(text: str) -> str:
    """What is rendered, without the resource definitions: those are generated, and compared in test_operator."""
    documents = text.split("---\n")
    return "---\n".join(one for one in documents if "\nkind: CustomResourceDefinition\n" not in one)


@each_case
def test_it_renders_as_reviewed(helm: Helm, case: Path) -> None:
    snapshot = HERE / "snapshots" / case.name
    rendered = without_definitions(helm.text(load(case)))
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(rendered)
    assert rendered == snapshot.read_text(), "if this is meant: UPDATE_SNAPSHOTS=1 pytest tests/helm"


def test_every_snapshot_has_its_values() -> None:
    assert [snapshot.name for snapshot in sorted((HERE / "snapshots").iterdir())] == [case.name for case in CASES]


def test_a_switched_off_component_leaves_nothing_behind(helm: Helm) -> None:
    off = {
        "mlflow": {"enabled": False, "externalUri": "https://mlflow.example.com"},
        "gateway": {"enabled": False},
        "operator": {"enabled": False},
    }
    assert helm.manifests(off) == []


def test_two_releases_share_no_name_outside_their_namespaces(helm: Helm) -> None:
    names = [
        (manifest["kind"], manifest["metadata"]["name"])
        for release in ("left", "right")
        for manifest in helm.manifests({"fullnameOverride": release, "crds": {"install": release == "left"}})
        if "namespace" not in manifest["metadata"]
    ]
    assert {kind for kind, _ in names} == {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
    }
    assert len(names) == len(set(names))


def test_long_names_stay_valid(helm: Helm) -> None:
    for manifest in helm.manifests({"fullnameOverride": "a" * 63}):
        assert len(manifest["metadata"]["name"]) <= 63


def test_a_new_chart_version_alone_restarts_no_pod(helm: Helm) -> None:
    for deployment in of_kind(helm.manifests(), "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys()


def test_sqlite_never_has_two_servers(helm: Helm) -> None:
    (mlflow,) = [one for one in of_kind(helm.manifests(), "Deployment") if one["metadata"]["name"] == "serinus-mlflow"]
    assert mlflow["spec"]["replicas"] == 1
    assert mlflow["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("keep", [True, False])
def test_the_claim_outlives_the_release_unless_told_otherwise(helm: Helm, keep: bool) -> None:  # noqa: FBT001 (the case)
    (claim,) = of_kind(helm.manifests({"mlflow": {"persistence": {"keep": keep}}}), "PersistentVolumeClaim")
    assert claim["metadata"].get("annotations", {}) == ({"helm.sh/resource-policy": "keep"} if keep else {})


@pytest.mark.parametrize(
    "persistence", [{"enabled": False}, {"existingClaim": "models"}], ids=["emptyDir", "existing claim"]
)
def test_no_claim_is_made_that_nobody_uses(helm: Helm, persistence: dict[str, object]) -> None:
    assert not of_kind(helm.manifests({"mlflow": {"persistence": persistence}}), "PersistentVolumeClaim")
