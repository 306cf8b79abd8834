"""What the adapter promises of each method, on a real kube-apiserver."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from serinus.adapters.kubernetes.kube import AioKube
from serinus.api.modeldeployment import ModelDeployment
from serinus.objects import DEPLOYMENT, EVENT, Manifest, Ref, kind_of, ref_of, uid, version
from serinus.ports import Conflict, Missing, Refused
from tests.contract.kubernetes.connections import CONFIG_MAP, config_map, kube

RESOURCE = kind_of(ModelDeployment)

# A pair in JSON's escapes, line breaks of YAML, what YAML refuses unless it is escaped, and what looks escaped.
TRICKY = "ü € 𝄞 😀 \x7f \x85 \u2028 \u2029 \ufeff \b \f \t \r\n ' \" \\ \\u0041 # : - {} 1e3 ~"

type Story = Callable[[AioKube], Awaitable[None]]


@pytest.fixture
def tell(kubeconfig: Path) -> Callable[[Story], None]:
    """Run a story with the adapter."""

    async def told(story: Story) -> None:
        async with kube(kubeconfig) as adapter:
            await story(adapter)

    return lambda story: asyncio.run(told(story))


type Tell = Callable[[Story], None]


def resource(namespace: str, **metadata: object) -> dict[str, Any]:
    return {
        "apiVersion": RESOURCE.api_version,
        "kind": RESOURCE.kind,
        "metadata": {"name": "churn", "namespace": namespace, **metadata},
        "spec": {"model": {"name": "churn", "alias": "champion"}},
    }


def test_what_is_not_there_is_none(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        assert await adapter.get(Ref(CONFIG_MAP, namespace, "none")) is None
        assert await adapter.get(Ref(CONFIG_MAP, "no-such-namespace", "none")) is None

    tell(story)


def test_an_object_comes_back_as_it_was_stored_without_its_managed_fields(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        applied = await adapter.apply(CONFIG_MAP, config_map(namespace, text=TRICKY))
        assert applied["data"] == {"text": TRICKY}
        assert await adapter.get(ref_of(CONFIG_MAP, applied)) == applied
        created = await adapter.create(CONFIG_MAP, config_map(namespace, "two", text=TRICKY))
        assert created["data"] == {"text": TRICKY}
        for manifest in (applied, created):
            assert "managedFields" not in manifest["metadata"]

    tell(story)


def test_an_apply_that_changes_nothing_writes_nothing(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        first = await adapter.apply(CONFIG_MAP, config_map(namespace, a="1"))
        assert await adapter.apply(CONFIG_MAP, config_map(namespace, a="1")) == first

    tell(story)


def test_an_apply_takes_out_what_was_applied_before_and_leaves_what_others_wrote(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        applied = await adapter.apply(CONFIG_MAP, config_map(namespace, ours="1", dropped="1"))
        await adapter.replace(CONFIG_MAP, {**applied, "data": {**applied["data"], "theirs": "1"}})
        again = await adapter.apply(CONFIG_MAP, config_map(namespace, ours="2"))
        assert "dropped" not in again["data"]
        assert again["data"]["ours"] == "2"
        assert version(again) > version(applied)

    tell(story)


def test_an_apply_takes_over_what_another_manager_wrote_only_if_it_names_the_very_object(
    tell: Tell,
    namespace: str,
    control_plane: Any,  # noqa: ANN401
) -> None:
    control_plane.kubectl("-n", namespace, "create", "configmap", "one", "--from-literal=a=theirs")

    async def story(adapter: AioKube) -> None:
        ours = config_map(namespace, a="ours")
        with pytest.raises(Conflict):
            await adapter.apply(CONFIG_MAP, ours)
        theirs = await adapter.get(Ref(CONFIG_MAP, namespace, "one"))
        assert theirs is not None
        assert theirs["data"] == {"a": "theirs"}
        this = {**ours, "metadata": {**ours["metadata"], "uid": uid(theirs)}}
        assert (await adapter.apply(CONFIG_MAP, this))["data"] == {"a": "ours"}

    tell(story)


def test_an_apply_with_a_uid_means_this_very_object(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        for kind, manifest in ((CONFIG_MAP, config_map(namespace, a="1")), (RESOURCE, resource(namespace))):

            def with_uid(of: str, wanted: Manifest = manifest) -> Manifest:
                return {**wanted, "metadata": {**wanted["metadata"], "uid": of}}

            with pytest.raises(Conflict, match="no existing object was found"):
                await adapter.apply(kind, with_uid("6b1ff9b7-8d4c-4c9c-9a39-5f1d3a2f0c11"))
            assert await adapter.get(ref_of(kind, manifest)) is None
            stored = await adapter.apply(kind, manifest)
            assert uid(await adapter.apply(kind, with_uid(uid(stored)))) == uid(stored)
            with pytest.raises(Conflict, match="another object has taken its name"):
                await adapter.apply(kind, with_uid("6b1ff9b7-8d4c-4c9c-9a39-5f1d3a2f0c11"))

    tell(story)


def test_create_does_not_touch_what_is_there(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        await adapter.create(CONFIG_MAP, config_map(namespace, a="1"))
        with pytest.raises(Conflict, match=f"cannot create configmaps in {namespace}: .* already exists"):
            await adapter.create(CONFIG_MAP, config_map(namespace, a="2"))

    tell(story)


def test_replace_is_tied_to_a_version(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        first = await adapter.create(CONFIG_MAP, config_map(namespace, a="1"))
        second = await adapter.replace(CONFIG_MAP, {**first, "data": {"b": "2"}})
        assert second["data"] == {"b": "2"}
        with pytest.raises(Conflict, match="has been modified"):
            await adapter.replace(CONFIG_MAP, {**first, "data": {}})
        await adapter.delete(ref_of(CONFIG_MAP, first), uid(first))
        with pytest.raises((Missing, Conflict)):
            await adapter.replace(CONFIG_MAP, second)

    tell(story)


def test_delete_takes_this_very_object_and_no_other(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        first = await adapter.create(CONFIG_MAP, config_map(namespace))
        ref = ref_of(CONFIG_MAP, first)
        await adapter.delete(ref, "another")
        assert await adapter.get(ref) == first
        await adapter.delete(ref, uid(first))
        assert await adapter.get(ref) is None
        await adapter.delete(ref, uid(first))

    tell(story)


def test_patch_status_changes_status_alone(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        stored = await adapter.apply(RESOURCE, resource(namespace))
        ref = ref_of(RESOURCE, stored)
        patched = await adapter.patch_status(ref, {"observedGeneration": 1}, str(version(stored)))
        assert patched["status"]["observedGeneration"] == 1
        assert patched["spec"] == stored["spec"]
        assert patched["metadata"]["generation"] == stored["metadata"]["generation"]
        assert await adapter.get(ref) == patched
        again = await adapter.patch_status(ref, {"observedGeneration": 1}, str(version(patched)))
        assert again == patched

    tell(story)


def test_patch_status_is_tied_to_a_version(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        stored = await adapter.apply(RESOURCE, resource(namespace))
        ref = ref_of(RESOURCE, stored)
        await adapter.patch_status(ref, {"observedGeneration": 1}, str(version(stored)))
        with pytest.raises(Conflict, match=r"cannot patch the status of ModelDeployment .*/churn: .*has been modified"):
            await adapter.patch_status(ref, {"observedGeneration": 2}, str(version(stored)))
        with pytest.raises(Refused, match=r"must be of type integer.*\(422\)"):
            await adapter.patch_status(ref, {"observedGeneration": "x"}, str(version(await adapter.get(ref) or {})))
        await adapter.delete(ref, uid(stored))
        with pytest.raises(Missing, match="not found"):
            await adapter.patch_status(ref, {"observedGeneration": 2}, str(version(stored)))

    tell(story)


def test_the_newest_warning_about_this_very_object_is_told(tell: Tell, namespace: str) -> None:
    async def story(adapter: AioKube) -> None:
        one = await adapter.apply(CONFIG_MAP, config_map(namespace))
        assert await adapter.warning(ref_of(CONFIG_MAP, one), uid(one)) == ""
        told = (("Warning", "FailedCreate", 1), ("Warning", "FailedMount", 3), ("Normal", "Pulled", 5))
        for kind, reason, second in told:
            await adapter.create(EVENT, _event(one, kind, reason, second))
        assert await adapter.warning(ref_of(CONFIG_MAP, one), uid(one)) == "FailedMount: secret is not there"
        assert await adapter.warning(ref_of(CONFIG_MAP, one), "another-uid") == ""

    tell(story)


def _event(about: Manifest, kind: str, reason: str, second: int) -> Manifest:
    metadata = about["metadata"]
    involved = {"kind": "ConfigMap", "name": metadata["name"], "namespace": metadata["namespace"], "uid": uid(about)}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"event-{second}", "namespace": metadata["namespace"]},
        "involvedObject": involved,
        "type": kind,
        "reason": reason,
        "message": "secret\nis  not there",
        "lastTimestamp": f"2026-01-01T12:00:0{second}Z",
    }


def test_a_large_object_survives(tell: Tell, namespace: str) -> None:
    """256 KiB of annotations and 1 MiB of data are what Kubernetes takes."""

    async def story(adapter: AioKube) -> None:
        large = resource(namespace, annotations={"note": "é" * 120_000})
        stored = await adapter.apply(RESOURCE, large)
        ref = ref_of(RESOURCE, stored)
        patched = await adapter.patch_status(ref, {"observedGeneration": 1}, str(version(stored)))
        assert (await adapter.get(ref) or {})["metadata"]["annotations"] == large["metadata"]["annotations"]
        assert patched["metadata"]["annotations"] == large["metadata"]["annotations"]
        data = config_map(namespace, text="x" * 1_000_000)
        assert (await adapter.apply(CONFIG_MAP, data))["data"] == data["data"]

    tell(story)


def test_list_versions_tells_uid_and_version_of_what_we_watch(kubeconfig: Path, namespace: str) -> None:
    async def story() -> None:
        async with kube(kubeconfig) as adapter:
            labelled = {**config_map(namespace, "ours"), "metadata": {"name": "ours", "namespace": namespace}}
            labelled["metadata"]["labels"] = {"app": "serinus"}
            ours = await adapter.create(CONFIG_MAP, labelled)
            theirs = await adapter.create(CONFIG_MAP, config_map(namespace, "theirs"))
        expected: Mapping[Ref, tuple[str, int]] = {
            ref_of(CONFIG_MAP, one): (uid(one), version(one)) for one in (ours, theirs)
        }
        async with kube(kubeconfig, namespaces=[namespace, "no-such-namespace"]) as adapter:
            assert await _until(lambda: adapter.list_versions(CONFIG_MAP), expected)
        async with kube(kubeconfig) as adapter:
            assert expected.items() <= (await adapter.list_versions(CONFIG_MAP)).items()
        async with kube(kubeconfig, namespaces=[namespace], selectors={CONFIG_MAP: "app in (serinus)"}) as adapter:
            assert await adapter.list_versions(CONFIG_MAP, current=True) == await adapter.list_versions(CONFIG_MAP)
            assert list(await adapter.list_versions(CONFIG_MAP)) == [ref_of(CONFIG_MAP, ours)]
            assert await adapter.list_versions(DEPLOYMENT) == {}

    asyncio.run(story())


async def _until[T](ask: Callable[[], Awaitable[T]], expected: T) -> bool:
    """Whether it comes to be so: a list may be a little old."""
    for _ in range(100):
        if await ask() == expected:
            return True
        await asyncio.sleep(0.02)
    return False
