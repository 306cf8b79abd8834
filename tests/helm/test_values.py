"""Wrong values are refused, with a message that names the value and the remedy."""

from typing import Any

import pytest

from tests.helm.chart import Helm

# In the discovery of every real cluster, and in none of what helm assumes without one.
ANY_CLUSTER = "apiregistration.k8s.io/v1"


@pytest.mark.parametrize(
    ("values", "where", "why"),
    [
        pytest.param({"mflow": {}}, "at ''", "'mflow' not allowed", id="typo at the top"),
        pytest.param({"mlflow": {"imge": {}}}, "at '/mlflow'", "'imge' not allowed", id="typo in a component"),
        pytest.param(
            {"gateway": {"image": {"tga": "1"}}}, "at '/gateway/image'", "'tga' not allowed", id="typo in an image"
        ),
        pytest.param(
            {"mlflow": {"resources": {"limit": {}}}},
            "at '/mlflow/resources'",
            "'limit' not allowed",
            id="typo in resources",
        ),
        pytest.param(
            {"gateway": {"replicas": "two"}},
            "at '/gateway/replicas'",
            "got string, want integer",
            id="string for number",
        ),
        pytest.param(
            {"mlflow": {"enabled": "false"}},
            "at '/mlflow/enabled'",
            "got string, want boolean",
            id="string for boolean",
        ),
        pytest.param(
            {"gateway": {"service": {"type": "Loadbalancer"}}},
            "at '/gateway/service/type'",
            "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'",
            id="unknown choice",
        ),
        pytest.param(
            {"gateway": {"listener": {"port": 80}}}, "at '/gateway/listener/port'", "1,024", id="privileged port"
        ),
        pytest.param(
            {"gateway": {"listener": {"port": 8080}}}, "at '/gateway/listener/port'", "not", id="the metrics port"
        ),
        pytest.param({"mlflow": {"s3": {"uri": "models"}}}, "at '/mlflow/s3/uri'", "s3://", id="not an S3 URI"),
        pytest.param(
            {"mlflow": {"allowedHosts": ["a,b"]}},
            "at '/mlflow/allowedHosts/0'",
            "does not match",
            id="two hosts in one",
        ),
        pytest.param({"operator": {"workers": 65}}, "at '/operator/workers'", "64", id="too many workers"),
        pytest.param({"operator": {"replicas": -1}}, "at '/operator/replicas'", "0", id="fewer than none"),
        pytest.param(
            {"operator": {"logLevel": "WARN"}}, "at '/operator/logLevel'", "'WARNING'", id="another one's word"
        ),
        pytest.param(
            {"operator": {"watchNamespaces": ["a,b"]}},
            "at '/operator/watchNamespaces/0'",
            "does not match",
            id="two namespaces in one",
        ),
        pytest.param(
            {"trainer": {"image": {"pullPolicy": "Always"}}},
            "at '/trainer/image'",
            "'pullPolicy' not allowed",
            id="no pod of ours",
        ),
        pytest.param(
            {"mlflow": {"externalUri": "https://user:password@mlflow.example.com"}},
            "at '/mlflow/externalUri'",
            "does not match",
            id="a password in an address",
        ),
    ],
)
def test_the_schema_refuses(helm: Helm, values: dict[str, Any], where: str, why: str) -> None:
    message = helm.error(values)
    assert where in message
    assert why in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(
            {"mlflow": {"externalUri": "https://mlflow.example.com"}},
            'mlflow.externalUri is "https://mlflow.example.com", but mlflow.enabled is true: set mlflow.enabled=false',
            id="two servers",
        ),
        pytest.param(
            {"mlflow": {"enabled": False}},
            "mlflow.enabled is false and mlflow.externalUri is empty: set mlflow.externalUri",
            id="no server",
        ),
        pytest.param(
            {"mlflow": {"credentials": {"existingSecret": "login"}}},
            'mlflow.credentials.existingSecret is "login", but mlflow.enabled is true',
            id="a login where there is none",
        ),
        pytest.param(
            {"gateway": {"existing": {"name": "public", "namespace": "infra"}}},
            'gateway.existing.name is "public", but gateway.enabled is true: set gateway.enabled=false',
            id="two gateways",
        ),
        pytest.param(
            {"gateway": {"enabled": False, "existing": {"name": "public"}}},
            'gateway.existing.name is "public", but gateway.existing.namespace is empty',
            id="half a gateway",
        ),
        pytest.param(
            {"gateway": {"listener": {"allowedNamespaces": {"from": "Selector"}}}},
            'gateway.listener.allowedNamespaces.from is "Selector": a selector goes with',
            id="selector missing",
        ),
        pytest.param(
            {"gateway": {"listener": {"allowedNamespaces": {"from": "All", "selector": {}}}}},
            'gateway.listener.allowedNamespaces.from is "All": a selector goes with',
            id="selector unused",
        ),
    ],
)
def test_contradictions_are_refused(helm: Helm, values: dict[str, Any], message: str) -> None:
    assert message in helm.error(values)


def test_a_cluster_without_the_gateway_api_is_told_what_to_apply(helm: Helm) -> None:
    message = helm.error({}, apis=[ANY_CLUSTER])
    assert "does not serve gateway.networking.k8s.io/v1" in message
    assert "standard-install.yaml" in message
    assert "or set gateway.enabled=false" in message


def test_a_cluster_without_the_prometheus_operator_is_told_what_to_do(helm: Helm) -> None:
    values = {"monitoring": {"serviceMonitor": {"enabled": True}}}
    message = helm.error(values, apis=[ANY_CLUSTER, "gateway.networking.k8s.io/v1/HTTPRoute"])
    assert "does not serve monitoring.coreos.com/v1" in message
    assert "or set monitoring.serviceMonitor.enabled=false" in message


@pytest.mark.parametrize(
    ("values", "apis"),
    [
        pytest.param({}, [], id="no cluster to ask"),
        pytest.param({}, [ANY_CLUSTER, "gateway.networking.k8s.io/v1/HTTPRoute"], id="it is served"),
        pytest.param({"gateway": {"enabled": False}}, [ANY_CLUSTER], id="no gateway wanted"),
    ],
)
def test_the_gateway_api_is_asked_for_only_where_it_matters(
    helm: Helm, values: dict[str, Any], apis: list[str]
) -> None:
    done = helm.template(values, apis=apis)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "serinus/mlflow:0.1.0", id="the chart's own"),
        pytest.param({"tag": "dev"}, "serinus/mlflow:dev", id="tag"),
        pytest.param({"registry": "localhost:5000"}, "localhost:5000/serinus/mlflow:0.1.0", id="registry"),
        pytest.param(
            {"tag": "dev", "digest": "sha256:" + "ab" * 32}, "serinus/mlflow@sha256:" + "ab" * 32, id="a digest wins"
        ),
    ],
)
def test_image_references(helm: Helm, image: dict[str, str], reference: str) -> None:
    assert f"image: {reference}\n" in helm.text({"mlflow": {"image": image}})
    trainer = reference.replace("mlflow", "trainer")
    assert f"value: {trainer}\n" in helm.text({"trainer": {"image": image}})
