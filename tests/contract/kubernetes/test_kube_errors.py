"""What the adapter makes of a server that refuses, is not there, or says nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from serinus.adapters.kubernetes.errors import Unserved
from serinus.adapters.kubernetes.kube import AioKube
from serinus.api.modeldeployment import ModelDeployment
from serinus.objects import DEPLOYMENT, LEASE, ObjectKind, Ref, kind_of
from serinus.ports import Conflict, Forbidden, KubeError, Missing, Refused, Unavailable
from tests.cluster.cluster import Cluster
from tests.contract.kubernetes.connections import (
    CONFIG_MAP,
    Calls,
    answering,
    config_map,
    kube,
    kube_at,
    silent,
    token,
    with_user,
)

RESOURCE = kind_of(ModelDeployment)
NO_KIND = ObjectKind("serinus.dev/v1alpha1", "Nothing", "nothings")
NO_GROUP = ObjectKind("nothing.dev/v1", "Nothing", "nothings")
REF = Ref(CONFIG_MAP, "shop", "one")

# The HTTP client finds bodies of more than 1 MiB worth a warning.
LARGE = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

type Call = Callable[[AioKube], Awaitable[object]]


def error_of(kubeconfig: Path, call: Call) -> KubeError:
    """What the adapter raises, which is one line."""

    async def story() -> KubeError:
        async with kube(kubeconfig) as adapter:
            with pytest.raises(KubeError) as raised:
                await call(adapter)
            return raised.value

    error = asyncio.run(story())
    assert "\n" not in str(error)
    return error


def with_name(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}


def deployment_of_two_megabytes(namespace: str) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i", "env": [{"name": "A", "value": "x" * 2_000_000}]}]
    labels = {"a": "b"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "large", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def test_a_namespace_that_is_not_there(kubeconfig: Path) -> None:
    for error in (
        error_of(kubeconfig, lambda adapter: adapter.create(CONFIG_MAP, config_map("no-such"))),
        error_of(kubeconfig, lambda adapter: adapter.apply(CONFIG_MAP, config_map("no-such"))),
    ):
        assert isinstance(error, Missing)
        assert 'namespaces "no-such" not found' in str(error)


@pytest.mark.parametrize("kind", [NO_KIND, NO_GROUP], ids=["kind", "group"])
def test_a_kind_that_is_not_served(kubeconfig: Path, namespace: str, kind: ObjectKind) -> None:
    ref = Ref(kind, namespace, "one")
    manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "one", "namespace": namespace}}
    calls: list[Call] = [
        lambda adapter: adapter.get(ref),
        lambda adapter: adapter.list_versions(kind),
        lambda adapter: adapter.apply(kind, manifest),
        lambda adapter: adapter.create(kind, manifest),
        lambda adapter: adapter.delete(ref, "any"),
        lambda adapter: adapter.patch_status(ref, {}, "1"),
    ]
    for call in calls:
        error = error_of(kubeconfig, call)
        assert isinstance(error, Unserved)
        assert f"does not serve nothings in {kind.api_version}: is its CustomResourceDefinition installed?" in str(
            error
        )


@LARGE
def test_objects_that_cannot_be(kubeconfig: Path, namespace: str) -> None:
    cases: dict[str, Call] = {
        "must consist of lower case.*(422)": lambda adapter: adapter.create(
            CONFIG_MAP, with_name(config_map(namespace), "UPPER")
        ),
        "(422)": lambda adapter: adapter.apply(CONFIG_MAP, with_name(config_map(namespace), "UPPER")),
        ".nonsense: field not declared in schema (": lambda adapter: adapter.apply(
            CONFIG_MAP, {**config_map(namespace), "nonsense": 1}
        ),
        "too large": lambda adapter: adapter.create(CONFIG_MAP, config_map(namespace, text="x" * 4_000_000)),
        "cannot be a name": lambda adapter: adapter.get(Ref(CONFIG_MAP, namespace, "../secrets/one")),
        ".data: expected map": lambda adapter: adapter.apply(CONFIG_MAP, {**config_map(namespace), "data": "text"}),
        "name or generateName is required": lambda adapter: adapter.create(
            CONFIG_MAP, with_name(config_map(namespace), "")
        ),
    }
    said = {expected: error_of(kubeconfig, call) for expected, call in cases.items()}
    for expected, error in said.items():
        assert isinstance(error, Refused)
        for part in expected.split(".*"):
            assert part in str(error)


@LARGE
def test_an_object_that_is_too_large_to_store(kubeconfig: Path, namespace: str) -> None:
    error = error_of(kubeconfig, lambda adapter: adapter.create(DEPLOYMENT, deployment_of_two_megabytes(namespace)))
    assert isinstance(error, Refused)
    assert "too large" in str(error)


def test_what_rbac_forbids_is_said_with_verb_and_resource(
    control_plane: Cluster, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    limited = with_user(kubeconfig, tmp_path, {"token": token(control_plane, namespace)})
    error = error_of(limited, lambda adapter: adapter.patch_status(Ref(RESOURCE, namespace, "churn"), {}, "1"))
    assert isinstance(error, Forbidden)
    assert str(error) == (
        f"cannot patch the status of ModelDeployment {namespace}/churn: RBAC forbids it: give "
        f"system:serviceaccount:{namespace}:limited a Role with the verb 'patch' on 'modeldeployments/status' "
        f"in API group 'serinus.dev', namespace '{namespace}'"
    )
    error = error_of(limited, lambda adapter: adapter.list_versions(LEASE))
    assert "the verb 'list' on 'leases' in API group 'coordination.k8s.io', all namespaces" in str(error)


def test_a_namespace_that_is_going(control_plane: Cluster, kubeconfig: Path, namespace: str) -> None:
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    error = error_of(kubeconfig, lambda adapter: adapter.create(CONFIG_MAP, config_map(namespace)))
    assert isinstance(error, Missing)
    assert "because it is being terminated (403)" in str(error)


def test_a_login_that_is_not_accepted(kubeconfig: Path, tmp_path: Path) -> None:
    error = error_of(with_user(kubeconfig, tmp_path, {"token": "worn-out"}), lambda adapter: adapter.get(REF))
    assert isinstance(error, Forbidden)
    assert "does not accept our login" in str(error)


def test_start_up_learns_what_is_missing(
    control_plane: Cluster, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    rules = [{"apiGroups": ["", "nothing.dev"], "resources": ["configmaps", "nothings"], "verbs": ["list"]}]
    limited = with_user(kubeconfig, tmp_path, {"token": token(control_plane, namespace, *rules)})

    async def story() -> None:
        async with kube(limited, namespaces=[namespace]) as adapter:
            kinds = (CONFIG_MAP, RESOURCE, NO_KIND, NO_GROUP)
            assert await adapter.unserved(kinds) == (NO_KIND, NO_GROUP)
            trials = await adapter.trials(kinds)
        assert {kind: type(error) for kind, error in trials.items()} == {
            RESOURCE: Forbidden,
            NO_KIND: Forbidden,
            NO_GROUP: Unserved,
        }
        assert "the verb 'list' on 'modeldeployments'" in str(trials[RESOURCE])

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "headers", "error", "retry_after"),
    [
        (429, {"Retry-After": "7"}, Unavailable, 7.0),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, Unavailable, None),
        (500, {}, Unavailable, None),
        (503, {"Retry-After": "1"}, Unavailable, 1.0),
        (599, {}, Unavailable, None),
        (400, {}, Refused, None),
        (413, {}, Refused, None),
        (415, {}, Refused, None),
        (422, {}, Refused, None),
        (409, {}, Conflict, None),
    ],
)
def test_every_status_has_its_error(
    status: int, headers: dict[str, str], error: type[KubeError], retry_after: float | None
) -> None:
    async def story() -> KubeError:
        async with answering(status, "no\nJSON", headers) as address, kube_at(address) as adapter:
            with pytest.raises(error) as raised:
                await adapter.get(REF)
            return raised.value

    raised = asyncio.run(story())
    assert f"cannot get ConfigMap shop/one: no JSON ({status})" in str(raised) or isinstance(raised, Conflict)
    assert getattr(raised, "retry_after", None) == retry_after


def test_an_answer_that_is_no_json() -> None:
    async def story() -> None:
        async with answering(200, "<html>") as address, kube_at(address) as adapter:
            with pytest.raises(Unavailable, match="something else than JSON"):
                await adapter.get(REF)

    asyncio.run(story())


def test_a_server_that_says_nothing() -> None:
    async def story() -> None:
        meter, loop = Calls(), asyncio.get_running_loop()
        async with silent() as address, kube_at(address, timeout=0.2, meter=meter) as adapter:
            began = loop.time()
            with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
                await adapter.get(REF)
            assert 0.15 < loop.time() - began < 2
        assert meter.made == [("kubernetes", "get configmaps", "unavailable")]

    asyncio.run(story())


def test_a_server_that_is_not_there() -> None:
    async def story() -> None:
        async with answering(200, "{}") as gone:
            pass
        async with kube_at(gone) as adapter:
            with pytest.raises(Unavailable, match=f"{gone} does not answer: "):
                await adapter.get(REF)

    asyncio.run(story())


def test_every_request_is_counted() -> None:
    async def story() -> list[tuple[str, str, str]]:
        meter = Calls()
        async with answering(404, '{"kind": "Status"}') as address, kube_at(address, meter=meter) as adapter:
            await adapter.get(REF)
            await adapter.delete(REF, "any")
            with pytest.raises(Missing):
                await adapter.patch_status(Ref(RESOURCE, "shop", "churn"), {}, "1")
        async with answering(200, "{}") as address, kube_at(address, meter=meter) as adapter:
            await adapter.apply(CONFIG_MAP, config_map("shop"))
            await adapter.list_versions(CONFIG_MAP)
        return meter.made

    assert asyncio.run(story()) == [
        ("kubernetes", "get configmaps", "missing"),
        ("kubernetes", "delete configmaps", "missing"),
        ("kubernetes", "patch modeldeployments/status", "missing"),
        ("kubernetes", "apply configmaps", "ok"),
        ("kubernetes", "list configmaps", "ok"),
    ]
