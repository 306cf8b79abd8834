"""What the chart runs has no more rights than it needs, and gives no secret away."""

import re
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import CASES, CHECKOUT, Helm, Manifest, load, of_kind, pod_specs

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)

# Each was found necessary: without one of the reads Traefik serves no route at all; the updates are its statuses.
GATEWAY_MAY = {
    *(
        (group, resource, verb)
        for group, resource in [
            ("", "configmaps"),
            ("", "namespaces"),
            ("", "secrets"),
            ("", "services"),
            ("discovery.k8s.io", "endpointslices"),
            ("gateway.networking.k8s.io", "backendtlspolicies"),
            ("gateway.networking.k8s.io", "gatewayclasses"),
            ("gateway.networking.k8s.io", "gateways"),
            ("gateway.networking.k8s.io", "grpcroutes"),
            ("gateway.networking.k8s.io", "httproutes"),
            ("gateway.networking.k8s.io", "referencegrants"),
            ("gateway.networking.k8s.io", "tlsroutes"),
        ]
        for verb in ("list", "watch")
    ),
    *(
        ("gateway.networking.k8s.io", f"{resource}/status", "update")
        for resource in [
            "backendtlspolicies",
            "gatewayclasses",
            "gateways",
            "grpcroutes",
            "httproutes",
            "tlsroutes",
        ]
    ),
}


def assert_restricted(pod: Manifest) -> None:
    """The pod passes the Pod Security Standard "restricted", and its root file system is read-only besides."""
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == 65532
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all({"emptyDir", "configMap", "persistentVolumeClaim"} & volume.keys() for volume in pod.get("volumes", []))
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("hostPort" not in port for port in container.get("ports", []))
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@each_case
def test_every_pod_is_restricted(helm: Helm, case: Path) -> None:
    for pod in pod_specs(helm.manifests(load(case))).values():
        assert_restricted(pod)
        assert pod["enableServiceLinks"] is False


def test_the_quickstart_job_is_restricted() -> None:
    text = (CHECKOUT / "manifests" / "examples" / "quickstart-job" / "job.yaml").read_text()
    (pod,) = pod_specs([yaml.safe_load(text)]).values()
    assert_restricted(pod)
    assert pod["automountServiceAccountToken"] is False


def test_only_who_talks_to_the_api_server_gets_a_token(helm: Helm) -> None:
    manifests = helm.manifests()
    with_token = {name for name, pod in pod_specs(manifests).items() if pod["automountServiceAccountToken"]}
    assert with_token == {"Deployment/serinus-gateway", "Deployment/serinus-operator"}
    assert all(account["automountServiceAccountToken"] is False for account in of_kind(manifests, "ServiceAccount"))


def test_the_gateway_may_do_what_was_found_necessary_and_no_more(helm: Helm) -> None:
    manifests = helm.manifests()
    (role,) = [role for role in of_kind(manifests, "ClusterRole") if role["metadata"]["name"] == "serinus-gateway"]
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == GATEWAY_MAY
    bound = [*of_kind(manifests, "RoleBinding"), *of_kind(manifests, "ClusterRoleBinding")]
    assert [one["kind"] for one in bound if one["subjects"][0]["name"] == "serinus-gateway"] == ["ClusterRoleBinding"]


@each_case
def test_no_manifest_holds_a_secret(helm: Helm, case: Path) -> None:
    text = helm.text(load(case))
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    assert not of_kind(manifests, "Secret")
    assert not re.search(r"://[^/\s]*:[^/\s]*@", text), "a URI with a password"
    for pod in pod_specs(manifests).values():
        for variable in [entry for container in pod["containers"] for entry in container.get("env", [])]:
            if re.search("KEY|PASSWORD|SECRET|TOKEN|USERNAME", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"]


def test_the_database_uri_comes_from_the_secret(helm: Helm) -> None:
    manifests = helm.manifests({"mlflow": {"database": {"existingSecret": "db", "key": "dsn"}}})
    (container,) = pod_specs(manifests)["Deployment/serinus-mlflow"]["containers"]
    (uri,) = [variable for variable in container["env"] if variable["name"] == "MLFLOW_BACKEND_STORE_URI"]
    assert uri == {"name": "MLFLOW_BACKEND_STORE_URI", "valueFrom": {"secretKeyRef": {"name": "db", "key": "dsn"}}}
