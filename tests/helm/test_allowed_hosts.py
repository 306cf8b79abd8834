"""MLflow accepts the names and addresses under which a cluster reaches it, and refuses strangers."""

from fnmatch import fnmatch
from urllib.parse import urlsplit

import pytest

from tests.helm.chart import Helm, pod_specs


def accepts(patterns: list[str], host: str) -> bool:
    """MLflow's rule: fnmatch for what has a star, equality for the rest."""
    return any(fnmatch(host, pattern) if "*" in pattern else host == pattern for pattern in patterns)


@pytest.fixture(scope="module")
def patterns(helm: Helm) -> list[str]:
    """The list that the server is started with."""
    values = {"clusterDomain": "corp.local", "mlflow": {"allowedHosts": ["mlflow.example.com", "*.ml.example"]}}
    (container,) = pod_specs(helm.manifests(values))["Deployment/serinus-mlflow"]["containers"]
    (argument,) = [one for one in container["args"] if one.startswith("--allowed-hosts=")]
    listed: str = argument.removeprefix("--allowed-hosts=")
    return listed.split(",")


@pytest.mark.parametrize(
    "host",
    [
        "serinus-mlflow",
        "serinus-mlflow:5000",
        "serinus-mlflow.serinus:5000",
        "serinus-mlflow.serinus.svc:5000",
        "serinus-mlflow.serinus.svc.corp.local",
        "serinus-mlflow.serinus.svc.corp.local:5000",
        "localhost:8080",
        "127.0.0.1:5000",
        "[::1]:5000",
        "10.244.0.7:5000",
        "172.16.0.1:5000",
        "172.31.255.1",
        "192.168.1.2:80",
        "100.64.0.9:5000",
        "100.127.1.1",
        "[fd00::1]:5000",
        "mlflow.example.com",
        "team.ml.example",
    ],
)
def test_it_answers_to(patterns: list[str], host: str) -> None:
    assert accepts(patterns, host)


def test_it_answers_to_the_operator(helm: Helm, patterns: list[str]) -> None:
    (operator,) = pod_specs(helm.manifests())["Deployment/serinus-operator"]["containers"]
    (uri,) = [one["value"] for one in operator["env"] if one["name"] == "SERINUS_TRACKING_URI"]
    assert accepts(patterns, urlsplit(uri).netloc)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "serinus-mlflow.evil.example",
        "serinus-mlflow.other:5000",
        "serinus-mlflow.serinus.svc.cluster.local",
        "8.8.8.8:5000",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "[2001:db8::1]:5000",
    ],
)
def test_it_refuses(patterns: list[str], host: str) -> None:
    assert not accepts(patterns, host)
