"""Which cluster it is: asked until the API server answers, and done without where it may not be known."""

import asyncio
from collections.abc import Callable

import pytest

from serinus import objects
from serinus.ports import Forbidden, Unavailable
from serinus.runtime import identity
from tests import virtual_time
from tests.unit.fakes import FakeKube, seeded

UID = "uid-of-this-cluster"


def _identity(kube: FakeKube, meanwhile: Callable[[], None] = lambda: None) -> str:
    async def told() -> str:
        asyncio.get_running_loop().call_later(10.0, meanwhile)
        return await identity.cluster(kube, seeded())

    return virtual_time.run(told())


def test_a_cluster_is_known_by_the_uid_of_its_first_namespace() -> None:
    kube = FakeKube()
    kube.put(objects.NAMESPACE, {"metadata": {"name": "kube-system", "uid": UID}})
    kube.fails["get"] = Unavailable("no answer")
    assert _identity(kube, kube.fails.clear) == UID
    assert 2 < len(kube.requests) < 10


def test_a_cluster_that_does_not_tell_is_none(caplog: pytest.LogCaptureFixture) -> None:
    kube = FakeKube()
    kube.fails["get"] = Forbidden("RBAC forbids it: give me a Role with the verb 'get' on 'namespaces'")
    assert _identity(kube) == ""
    assert "'get' on 'namespaces'" in caplog.text
    assert "stay open" in caplog.text
    assert _identity(FakeKube()) == ""
