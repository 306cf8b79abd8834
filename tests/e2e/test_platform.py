"""What the chart installs and what a cluster gives, seen as its users see it."""

import json
import subprocess
from typing import Any

import pytest

from tests import platform
from tests.cluster import processes
from tests.cluster.errors import ClusterError
from tests.cluster.target import Target
from tests.e2e import pods, stores
from tests.platform import Platform

REQUESTS = 10_000

# A client as a pod: asks over a few kept connections and counts who answered.
COUNT = """
import collections, concurrent.futures, http.client, json
def ask(count):
    connection, answers = http.client.HTTPConnection("{host}", timeout=30), collections.Counter()
    for _ in range(count):
        connection.request("GET", "/", headers={{"Host": "split.example.com"}})
        answer = connection.getresponse()
        answers[answer.read().decode() if answer.status == 200 else str(answer.status)] += 1
    return answers
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(json.dumps(sum(pool.map(ask, [{requests} // 4] * 4), collections.Counter())))
"""


# Asks each name until it answers.
ASK = """
import time, urllib.request
def ask(name):
    for _ in range(100):
        try:
            return urllib.request.urlopen("http://" + name, timeout=20).read()
        except OSError as error:
            last = error
            time.sleep(0.1)
    return last
print([ask(name) for name in {names}])
"""


def test_a_service_is_reached_by_every_form_of_its_name(where: Target, namespace: str) -> None:
    pods.apply(where.kubectl, namespace, *pods.echo(where, "echo"))
    where.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/echo", "--timeout=60s")
    # A pod is ready a moment before its Service leads there.
    names = ["echo", f"echo.{namespace}", f"echo.{namespace}.svc", f"echo.{namespace}.svc.cluster.local"]
    assert pods.run(where, namespace, ASK.format(names=names)).strip() == str([b"echo"] * 4)


def test_a_name_that_does_not_exist_fails_at_once(where: Target, namespace: str) -> None:
    code = """
import socket, time
started = time.monotonic()
try:
    socket.getaddrinfo("nowhere.example.com", 80)
except socket.gaierror as error:
    print(error.errno == socket.EAI_NONAME, time.monotonic() - started < 5)
"""
    assert pods.run(where, namespace, code).strip() == "True True"


def test_logs_and_exec_reach_a_pod(where: Target, namespace: str) -> None:
    code = "import time; print('hello from inside', flush=True); time.sleep(1000)"
    pods.apply(where.kubectl, namespace, pods.python_pod(where, "talker", code))
    where.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/talker", "--timeout=60s")
    assert "hello from inside" in where.kubectl("logs", "-n", namespace, "talker")
    assert where.kubectl("exec", "-n", namespace, "talker", "--", "id", "-u").strip() == "65532"


def test_a_volume_keeps_what_a_pod_without_rights_wrote(where: Target, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    writer, reader = (
        _with_volume(pods.python_pod(where, name, code))
        for name, code in (
            ("writer", "open('/data/kept', 'w').write('still here')"),
            ("reader", "print(open('/data/kept').read())"),
        )
    )
    for pod in (writer, reader):
        pods.apply(where.kubectl, namespace, claim, pod)
        pods.wait_for_end(where.kubectl, namespace, pod["metadata"]["name"])
    assert where.kubectl("logs", "-n", namespace, "reader").strip() == "still here"


def _with_volume(pod: dict[str, Any]) -> dict[str, Any]:
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return pod


def test_pods_with_rights_are_refused_where_serinus_runs(installed: Platform) -> None:
    done = installed.target.kubectl.try_("run", "root", "--image=any", "-n", platform.NAMESPACE)
    assert done.returncode != 0
    assert "violates PodSecurity" in done.stderr


def test_traffic_is_split_as_the_weights_say(installed: Platform, namespace: str) -> None:
    where = installed.target
    backends = [("stable", 90), ("canary", 10)]
    for name, _ in backends:
        pods.apply(where.kubectl, namespace, *pods.echo(where, name))
    pods.apply(where.kubectl, namespace, _route(backends))
    where.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    accepted = "--for=jsonpath={.status.parents[0].conditions[?(@.type=='Accepted')].status}=True"
    where.kubectl("wait", "-n", namespace, "httproute/split", accepted, "--timeout=60s")
    _wait_until_served(installed)
    host = f"{platform.RELEASE}-gateway.{platform.NAMESPACE}"
    counted = json.loads(pods.run(where, namespace, COUNT.format(host=host, requests=REQUESTS), "client"))
    assert counted == {"stable": 9000, "canary": 1000}


def _route(backends: list[tuple[str, int]]) -> dict[str, Any]:
    references = [{"name": name, "port": 80, "weight": weight} for name, weight in backends]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "split"},
        "spec": {
            "parentRefs": [{"name": f"{platform.RELEASE}-gateway", "namespace": platform.NAMESPACE}],
            "hostnames": ["split.example.com"],
            "rules": [{"backendRefs": references}],
        },
    }


def _wait_until_served(installed: Platform) -> None:
    """An accepted route takes a moment to reach the gateway's listeners: ask from the gateway's namespace."""
    code = """
import time, urllib.request as u
request = u.Request("http://serinus-gateway", headers={"Host": "split.example.com"})
for _ in range(100):
    try:
        print(u.urlopen(request, timeout=5).status)
        break
    except OSError:
        time.sleep(0.2)
"""
    remove = ["delete", "pod", "probe", "-n", platform.NAMESPACE, "--ignore-not-found"]
    installed.target.kubectl(*remove)
    assert pods.run(installed.target, platform.NAMESPACE, code, "probe").strip() == "200"
    installed.target.kubectl(*remove, "--wait=false")


def test_the_release_passes_its_own_test(installed: Platform) -> None:
    where = installed.target
    config = [f"--kubeconfig={where.kubectl.kubeconfig}"] if where.kubectl.kubeconfig else []
    command = [str(where.helm), "test", platform.RELEASE, "--namespace", platform.NAMESPACE, *config]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_job_trains_and_registers_and_mlflow_keeps_it(installed: Platform, namespace: str) -> None:
    kubectl = installed.target.kubectl
    kubectl("apply", "-n", namespace, "-f", "-", stdin=installed.example("quickstart-job"))
    platform.wait_for_job(installed.target, "quickstart", namespace)
    before = installed.mlflow("registered-models/alias", name="quickstart", alias="challenger")["model_version"]
    assert before["status"] == "READY"
    assert before["run_id"] in kubectl("logs", "-n", namespace, "job/quickstart")
    kubectl("rollout", "restart", "deployment/serinus-mlflow", "-n", platform.NAMESPACE)
    kubectl("rollout", "status", "deployment/serinus-mlflow", "-n", platform.NAMESPACE, "--timeout=180s")
    assert processes.wait_until(lambda: _asked(installed) == before, 60)
    run = installed.mlflow("runs/get", run_id=before["run_id"])["run"]
    assert run["info"]["status"] == "FINISHED"
    assert {metric["key"] for metric in run["data"]["metrics"]} >= {"val_accuracy", "val_f1"}


def _asked(installed: Platform) -> object:
    try:
        return installed.mlflow("registered-models/alias", name="quickstart", alias="challenger")["model_version"]
    except ClusterError:
        return None


@pytest.mark.local
def test_an_autoscaler_gets_its_figures(installed: Platform) -> None:
    kubectl = installed.target.kubectl
    scale = ["autoscale", "deployment/serinus-gateway", "-n", platform.NAMESPACE, "--min=1", "--max=1", "--cpu=80%"]
    remove = ["delete", "hpa", "serinus-gateway", "-n", platform.NAMESPACE, "--ignore-not-found"]
    kubectl(*remove)
    kubectl(*scale)
    read = ["get", "hpa", "serinus-gateway", "-n", platform.NAMESPACE, "-o"]
    active = "jsonpath={.status.conditions[?(@.type=='ScalingActive')].status}"
    assert processes.wait_until(lambda: kubectl(*read, active) == "True", 90), kubectl(*read, "yaml")
    kubectl(*remove)


@pytest.mark.local
def test_mlflow_keeps_runs_in_postgres_and_models_in_s3(where: Target, namespace: str) -> None:
    assert where.local is not None
    host = str(where.local.layout.addresses.host)
    with stores.postgres(host) as postgres, stores.s3(host, where.settings) as s3:
        literals = [
            f"uri={postgres.uri}",
            f"AWS_ACCESS_KEY_ID={s3.access_key}",
            f"AWS_SECRET_ACCESS_KEY={s3.secret_key}",
        ]
        where.kubectl(
            "create", "secret", "generic", "stores", "-n", namespace, *[f"--from-literal={x}" for x in literals]
        )
        mlflow = {
            "database": {"existingSecret": "stores"},
            "s3": {
                "uri": f"s3://{s3.bucket}/ml",
                "endpoint": s3.endpoint,
                "region": "us-east-1",
                "existingSecret": "stores",
            },
        }
        off = {"enabled": False}
        platform.helm_install(where, namespace, {"mlflow": mlflow, "gateway": off, "operator": off})
        _train(where, namespace)
        assert postgres.rows("select status from runs") == ["FINISHED"]
        assert postgres.rows("select name, version, current_stage from model_versions") == ["quickstart|1|None"]
        assert [path.parent.name for path in s3.folder.rglob("MLmodel")] == ["artifacts"]
        assert where.kubectl("get", "pvc", "-n", namespace, "-o", "name") == ""
        where.kubectl("delete", "deployment", "serinus-mlflow", "-n", namespace)


def _train(where: Target, namespace: str) -> None:
    """Run the quickstart against the MLflow of this namespace."""
    manifests = Platform(where).example("quickstart-job").replace("serinus-mlflow.serinus:", "serinus-mlflow:")
    where.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifests)
    platform.wait_for_job(where, "quickstart", namespace)
