"""Leader election on a real Lease. How it behaves in every kind of weather is tested in virtual time."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from serinus.objects import LEASE, Manifest, Ref
from serinus.runtime.leader import Elector, Terms
from tests.cluster.cluster import Cluster
from tests.contract.kubernetes.connections import kube, token, with_user

# Short, but not so short that a busy machine makes a healthy leader lose its term.
TERMS = Terms(timedelta(seconds=2), timedelta(seconds=1.5), timedelta(seconds=0.2))
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class WallClock:
    """The time of day."""

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)


@asynccontextmanager
async def candidate(kubeconfig: Path, namespace: str, name: str) -> AsyncIterator[Elector]:
    async with kube(kubeconfig) as adapter:
        lease = Ref(LEASE, namespace, "operator")
        random = Random(name)  # noqa: S311 (not a secret)
        yield Elector(kube=adapter, lease=lease, identity=name, clock=WallClock(), terms=TERMS, random=random)


@pytest.fixture
def free(control_plane: Cluster, namespace: str) -> str:
    """The namespace, with a Lease in it that nobody holds: nobody has to wait in case one was just deleted."""
    lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"name": "operator"}}
    control_plane.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(lease))
    return namespace


async def stored(kubeconfig: Path, namespace: str) -> Manifest:
    async with kube(kubeconfig) as adapter:
        found = await adapter.get(Ref(LEASE, namespace, "operator"))
    assert found is not None
    return found


def test_one_leads_and_the_other_follows_at_once_when_it_gives_up(kubeconfig: Path, free: str) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with candidate(kubeconfig, free, "a") as first, candidate(kubeconfig, free, "b") as second:
            await first.acquire()
            holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
            await asyncio.sleep(1.2 * TERMS.duration.total_seconds())
            assert first.leads
            assert not waiting.done()
            holding.cancel()
            await asyncio.wait([holding])
            await first.release()
            released = loop.time()
            await waiting
            assert loop.time() - released < TERMS.duration.total_seconds() / 2
            spec = (await stored(kubeconfig, free))["spec"]
            assert spec["holderIdentity"] == "b"
            assert spec["leaseTransitions"] == 1
            assert MICRO_TIME.fullmatch(spec["renewTime"])
            assert MICRO_TIME.fullmatch(spec["acquireTime"])

    asyncio.run(story())


def test_who_crashed_is_followed_after_its_term(kubeconfig: Path, free: str) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with candidate(kubeconfig, free, "a") as first, candidate(kubeconfig, free, "b") as second:
            await first.acquire()
            crashed = loop.time()
            await second.acquire()
            assert loop.time() - crashed >= TERMS.duration.total_seconds() - 0.05
            assert not first.leads
            await first.hold()
            await first.release()
            assert (await stored(kubeconfig, free))["spec"]["holderIdentity"] == "b"

    asyncio.run(story())


def test_a_deleted_lease_is_made_again_by_its_holder(control_plane: Cluster, kubeconfig: Path, free: str) -> None:
    async def story() -> None:
        async with candidate(kubeconfig, free, "a") as leader:
            await leader.acquire()
            holding = asyncio.create_task(leader.hold())
            await asyncio.to_thread(control_plane.kubectl, "-n", free, "delete", "lease", "operator")
            await asyncio.sleep(TERMS.duration.total_seconds())
            assert leader.leads
            assert (await stored(kubeconfig, free))["spec"]["holderIdentity"] == "a"
            holding.cancel()

    asyncio.run(story())


def test_a_role_that_lacks_a_verb_is_named_and_waited_for(
    control_plane: Cluster, kubeconfig: Path, namespace: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        limited = with_user(kubeconfig, tmp_path, {"token": token(control_plane, namespace)})
        async with candidate(limited, namespace, "a") as elector:
            waiting = asyncio.create_task(elector.acquire())
            await asyncio.sleep(0.3)
            verbs = ["get", "create", "update"]
            rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}
            await asyncio.to_thread(token, control_plane, namespace, rule)
            await waiting

    asyncio.run(story())
    lacking = [message for message in caplog.messages if "the verb 'get' on 'leases'" in message]
    assert len(lacking) == 1
