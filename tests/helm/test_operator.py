"""The operator as the chart runs it: what it is told, what it may do, and the definitions that come with it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus.settings import Settings
from serinus.settings_reference import reference
from tests.helm.chart import CASES, CHART, CHECKOUT, Helm, Manifest, load, of_kind, pod_specs

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)

OWN = ("modeldeployments", "trainingjobs")
CHILDREN = [("batch", "jobs"), ("apps", "deployments"), ("", "services"), ("", "persistentvolumeclaims")]
# Where resources are. A rule more than the code needs is a risk, one less is an outage: both change this list.
OPERATOR_MAY = {
    *(("serinus.dev", kind, verb) for kind in OWN for verb in ("get", "list", "watch")),
    *(("serinus.dev", f"{kind}/status", "patch") for kind in OWN),
    *(("serinus.dev", f"{kind}/finalizers", "update") for kind in OWN),
    *((*child, verb) for child in CHILDREN for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *(("", "pods", verb) for verb in ("get", "list", "watch")),
    ("", "secrets", "get"),
    ("", "events", "create"),
    ("", "events", "patch"),
    ("", "events", "list"),
}
EVERYWHERE: Manifest = {}
IN_TWO: Manifest = {"operator": {"watchNamespaces": ["ml", "serinus"]}}

type Right = tuple[str, str, str]


def the_operator(helm: Helm, values: Manifest | None = None) -> Manifest:
    """Its container."""
    (container,) = pod_specs(helm.manifests(values))["Deployment/serinus-operator"]["containers"]
    assert isinstance(container, dict)
    return container


def environment(container: Manifest) -> dict[str, str]:
    """Its environment, as a cluster would fill it in."""
    given = {"metadata.namespace": "serinus", "metadata.name": "serinus-operator-abc"}
    filled = {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        field = given.get(source.get("fieldRef", {}).get("fieldPath"), "from-a-secret")
        filled[variable["name"]] = variable.get("value", field)
    return filled


def told(helm: Helm, values: Manifest) -> Settings:
    """The settings that the operator reads in its pod."""
    return Settings.read(environment(the_operator(helm, values)))


def rights(roles: Iterable[Manifest]) -> set[Right]:
    """What roles grant."""
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def bound(manifests: list[Manifest], account: str) -> list[Manifest]:
    """The roles that a service account has."""
    bindings = [*of_kind(manifests, "ClusterRoleBinding"), *of_kind(manifests, "RoleBinding")]
    chosen = {
        (binding["roleRef"]["kind"], binding["metadata"].get("namespace"), binding["roleRef"]["name"])
        for binding in bindings
        if binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "serinus"}]
    }
    roles = [*of_kind(manifests, "ClusterRole"), *of_kind(manifests, "Role")]
    return [one for one in roles if (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) in chosen]


@each_case
def test_it_understands_what_the_chart_tells_it(helm: Helm, case: Path) -> None:
    settings = told(helm, load(case))
    assert (settings.namespace, settings.pod_name) == ("serinus", "serinus-operator-abc")
    assert settings.leader_election
    assert settings.port == the_operator(helm, load(case))["ports"][0]["containerPort"]


def test_it_is_told_of_the_release(helm: Helm) -> None:
    settings = told(helm, {"trainer": {"image": {"registry": "r.example", "tag": "7"}}, **IN_TWO})
    assert settings.tracking_uri == "http://serinus-mlflow.serinus:5000"
    assert settings.trainer_image == "r.example/serinus/trainer:7"
    assert settings.server_image == "serinus/server:0.1.0"
    assert settings.watch_namespaces == ("ml", "serinus")
    assert settings.lease_name == "serinus-operator"


def test_values_reach_it(helm: Helm) -> None:
    extra = [{"name": "SERINUS_RESYNC", "value": "1m"}, {"name": "SERINUS_LOG_FORMAT", "value": "text"}]
    settings = told(helm, {"operator": {"logLevel": "ERROR", "workers": 2, "extraEnv": extra}})
    assert (settings.log_level, settings.workers, settings.resync.seconds) == ("ERROR", 2, 60)
    assert settings.log_format == "text", "extraEnv has the last word"


def test_an_mlflow_that_is_there_gets_the_operators_login(helm: Helm) -> None:
    login: Manifest = {"existingSecret": "login"}
    there: Manifest = {"enabled": False, "externalUri": "https://mlflow.example.com", "credentials": login}
    settings = told(helm, {"mlflow": there})
    assert settings.tracking_uri == "https://mlflow.example.com"
    assert (settings.mlflow_username.get_secret_value(), settings.mlflow_token.get_secret_value()) == (
        "from-a-secret",
        "",
    )
    settings = told(helm, {"mlflow": {**there, "credentials": {**login, "tokenKey": "token"}}})
    assert (settings.mlflow_username.get_secret_value(), settings.mlflow_token.get_secret_value()) == (
        "",
        "from-a-secret",
    )


def test_the_reference_names_values_that_exist(helm: Helm) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = set(re.findall(r"\| `([a-z]\w*(?:[.]\w+)+)` \|$", reference(), re.MULTILINE))
    assert "operator.workers" in named
    for path in named:
        place: Any = values
        for step in path.split("."):
            place = place[step]
    assert helm.manifests()


@pytest.mark.parametrize("values", [EVERYWHERE, IN_TWO], ids=["everywhere", "in two namespaces"])
def test_it_may_do_what_it_needs_and_no_more(helm: Helm, values: Manifest) -> None:
    roles = bound(helm.manifests(values), "serinus-operator")
    assert rights(role for role in roles if role["metadata"]["name"] == "serinus-operator") == OPERATOR_MAY
    (leader,) = [role for role in roles if role["metadata"]["name"] == "serinus-leader"]
    assert leader["kind"] == "Role"
    assert leader["metadata"]["namespace"] == "serinus"
    assert rights([leader]) == {("coordination.k8s.io", "leases", verb) for verb in ("get", "update", "create")}
    (cluster,) = [role for role in roles if role["metadata"]["name"] == "serinus-cluster"]
    assert cluster["kind"] == "ClusterRole"
    assert cluster["rules"] == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
    ], "by which the cluster is known"
    (named,) = [rule for rule in leader["rules"] if "resourceNames" in rule]
    assert named["resourceNames"] == [told(helm, values).lease_name]
    assert named["verbs"] == ["get", "update"]


def test_with_namespaces_it_has_no_right_elsewhere_but_to_know_the_cluster(helm: Helm) -> None:
    roles = bound(helm.manifests(IN_TWO), "serinus-operator")
    assert {(role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]) for role in roles} == {
        ("Role", "ml", "serinus-operator"),
        ("Role", "serinus", "serinus-operator"),
        ("Role", "serinus", "serinus-leader"),
        ("ClusterRole", None, "serinus-cluster"),
    }


@each_case
def test_no_role_grants_everything(helm: Helm, case: Path) -> None:
    manifests = helm.manifests(load(case))
    granted = rights([*of_kind(manifests, "ClusterRole"), *of_kind(manifests, "Role")])
    assert not [right for right in granted if "*" in right]
    assert not [right for right in granted if right[2] in {"bind", "escalate", "impersonate"}]
    own = rights(bound(manifests, "serinus-operator"))
    assert {verb for group, resource, verb in own if resource == "secrets"} == {"get"}
    assert not [right for right in own if right[1] in {"pods/exec", "pods/attach", "nodes"}]
    assert {verb for group, resource, verb in own if resource == "namespaces"} == {"get"}


@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1)])
def test_a_budget_only_where_it_does_not_block_a_drain(helm: Helm, replicas: int, budgets: int) -> None:
    manifests = helm.manifests({"operator": {"replicas": replicas}})
    assert len(of_kind(manifests, "PodDisruptionBudget")) == budgets


def test_the_definitions_are_those_of_the_checkout(helm: Helm) -> None:
    rendered = {one["metadata"]["name"]: one for one in of_kind(helm.manifests(), "CustomResourceDefinition")}
    generated = [yaml.safe_load(path.read_text()) for path in sorted((CHECKOUT / "crds").glob("*.yaml"))]
    assert [one["metadata"]["name"] for one in generated] == sorted(rendered)
    for definition in generated:
        assert rendered[definition["metadata"]["name"]]["spec"] == definition["spec"]


@pytest.mark.parametrize("keep", [True, False])
def test_the_definitions_outlive_the_release_unless_told_otherwise(helm: Helm, keep: bool) -> None:  # noqa: FBT001 (the case)
    for definition in of_kind(helm.manifests({"crds": {"keep": keep}}), "CustomResourceDefinition"):
        kept = {"helm.sh/resource-policy": "keep"} if keep else {}
        assert definition["metadata"].get("annotations", {}) == kept
        assert definition["metadata"]["labels"]["app.kubernetes.io/part-of"] == "serinus"


@pytest.mark.parametrize("values", [{"crds": {"install": False}}, {"operator": {"enabled": False}}], ids=str)
def test_without_definitions_there_are_no_roles_for_them(helm: Helm, values: Manifest) -> None:
    manifests = helm.manifests(values)
    assert not of_kind(manifests, "CustomResourceDefinition")
    assert not [role for role in of_kind(manifests, "ClusterRole") if "rbac" in str(role["metadata"]["labels"])]


def test_who_may_edit_a_namespace_may_edit_what_is_ours_but_not_its_status(helm: Helm) -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind(helm.manifests(), "ClusterRole")}
    to = "rbac.authorization.k8s.io/aggregate-to-"
    aggregated = {
        name: {label.removeprefix(to) for label in role["metadata"]["labels"] if label.startswith(to)}
        for name, role in roles.items()
    }
    assert aggregated["serinus-view"] == {"view", "edit", "admin"}
    assert aggregated["serinus-edit"] == {"edit", "admin"}
    assert {verb for _, _, verb in rights([roles["serinus-view"]])} == {"get", "list", "watch"}
    assert not [right for right in rights([roles["serinus-edit"]]) if "status" in right[1] or "finalizers" in right[1]]


def test_prometheus_finds_the_service(helm: Helm) -> None:
    labels = {"release": "prometheus"}
    manifests = helm.manifests({"monitoring": {"serviceMonitor": {"enabled": True, "labels": labels}}})
    (monitor,) = of_kind(manifests, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    (service,) = [one for one in of_kind(manifests, "Service") if wanted.items() <= one["metadata"]["labels"].items()]
    assert [port["name"] for port in service["spec"]["ports"]] == [one["port"] for one in monitor["spec"]["endpoints"]]
    assert labels.items() <= monitor["metadata"]["labels"].items()
