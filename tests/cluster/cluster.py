"""One local cluster from outside: start it, find it, remove it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cluster import (
    addons,
    binaries,
    containers,
    files,
    health,
    layout,
    network,
    node,
    plan,
    prerequisites,
    processes,
)
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import Layout, Profile
from tests.cluster.locks import attempt, exclusive
from tests.cluster.settings import CHECKOUT, Settings

Say = Callable[[str], None]
READY_SECONDS = 120.0
GONE_SECONDS = 20.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Cluster:
    """A cluster that was started by `up`."""

    layout: Layout

    @property
    def kubectl(self) -> Kubectl:
        """kubectl of the cluster's own version, as its administrator."""
        return Kubectl(self.layout.program("kubernetes", "kubectl"), self.layout.kubeconfig)


def up(settings: Settings, profile: Profile, say: Say, *, kwok_nodes: int = 0) -> Cluster:
    """Start the cluster, or find it running; when this returns, it works."""
    layout.check(settings.state, profile)
    if profile is Profile.FULL:
        prerequisites.require_root()
        prerequisites.require_programs(prerequisites.NODE_PROGRAMS, say)
    programs = binaries.build(layout.modules(profile), settings.cache, say)
    with exclusive(_lock(settings), lambda: say("another command works on this cluster: waiting for it")):
        if processes.supervisor(settings.state) is None:
            _start(settings, profile, programs, say)
        cluster = _same(find(settings), profile, programs)
        _finish(cluster, settings, say, kwok_nodes)
        return cluster


def down(settings: Settings, say: Say) -> None:
    """Remove everything that belongs to the cluster, whatever state it is in."""
    with exclusive(_lock(settings), lambda: say("another command works on this cluster: waiting for it")):
        if not settings.state.exists() and processes.supervisor(settings.state) is None:
            say(f"no cluster {settings.name}: nothing to remove")
            return
        _remove(settings)
        say(f"cluster {settings.name} is gone")


def clean(settings: Settings, say: Say) -> None:
    """Remove every cluster of this checkout, and the cache unless another checkout's cluster runs out of it."""
    states = [path for path in (settings.cache / "clusters").glob("*-*") if path.is_dir()]
    ours = [path for path in states if path.name.endswith(f"-{settings.checkout}")]
    for state in ours:
        down(replace(settings, name=state.name.rpartition("-")[0]), say)
    others = [path.name for path in states if path not in ours and processes.supervisor(path) is not None]
    if others:
        say(f"the cache {settings.cache} stays: {', '.join(others)} of another checkout runs out of it")
        return
    say(f"removing the cache {settings.cache}")
    shutil.rmtree(settings.cache, ignore_errors=True)


@contextmanager
def borrowed(settings: Settings, profile: Profile, say: Say, *, kwok_nodes: int = 0) -> Iterator[Cluster]:
    """A cluster for as long as the context is open. One that was running before is running after it."""
    was_running = processes.supervisor(settings.state) is not None
    try:
        yield up(settings, profile, say, kwok_nodes=kwok_nodes)
    finally:
        if not was_running:
            down(settings, say)


def find(settings: Settings) -> Cluster:
    """The running cluster, or a ClusterError that says how to start it."""
    planned = plan.read(settings)
    if planned is None or processes.supervisor(settings.state) is None:
        raise ClusterError(f"the cluster {settings.name} is not running", remedy="start it: make cluster-up")
    return Cluster(planned)


def _lock(settings: Settings) -> Path:
    return settings.state.with_name(f".{settings.identity}.lock")


def _start(settings: Settings, profile: Profile, programs: Mapping[str, Path], say: Say) -> None:
    _remove(settings)
    _sweep(settings)
    # The network is chosen and taken under one lock, so that two clusters never choose the same.
    with exclusive(settings.cache / "clusters" / ".network"):
        planned = plan.make(settings, profile, programs)
        prerequisites.require_disk(settings.state, prerequisites.FREE_BYTES // 4)
        files.write(planned)
        plan.write(planned)
        say(f"starting cluster {settings.name} ({profile})")
        _launch(planned)


def _sweep(settings: Settings) -> None:
    """Remove what crashed clusters of other checkouts left in the cache: gigabytes that nobody would come back for."""
    for state in (path for path in settings.state.parent.glob("*-*") if path.is_dir()):
        left = replace(settings, name=state.name.rpartition("-")[0], checkout=state.name.rpartition("-")[2])
        with attempt(_lock(left)) as held:
            if held and processes.supervisor(state) is None:
                _remove(left)


def _launch(planned: Layout) -> None:
    """Start the supervisor: in a node of its own, or as a plain process where there is none."""
    module = "tests.cluster.node" if planned.profile is Profile.FULL else "tests.cluster.supervisor"
    environment = {"PATH": PATH, "HOME": str(Path.home()), "PYTHONDONTWRITEBYTECODE": "1"}
    with (planned.logs / "supervisor.log").open("ab") as log:
        done = subprocess.run(
            [sys.executable, "-m", module, str(planned.state)],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    if done.returncode != 0:
        raise ClusterError(
            f"the supervisor could not be set up:\n{health.last_lines(planned.logs / 'supervisor.log')}",
            remedy="the machine must allow root to make network, mount and pid namespaces",
        )


def _same(cluster: Cluster, profile: Profile, programs: Mapping[str, Path]) -> Cluster:
    """The running cluster, if it is the one that was asked for."""
    if cluster.layout.profile is not profile or cluster.layout.binaries != programs:
        raise ClusterError(
            f"the cluster runs already, as {cluster.layout.profile} or with other versions than this checkout's",
            remedy="remove it first: make cluster-down",
        )
    return cluster


def _finish(cluster: Cluster, settings: Settings, say: Say, kwok_nodes: int) -> None:
    """Wait until the cluster works and install what belongs to it; one that cannot work is removed."""
    started = time.monotonic()
    finished = settings.state / "ready"
    fresh = not finished.exists()
    try:
        _wait(cluster, settings, fresh=fresh)
    except ClusterError:
        if fresh:
            _keep_logs(settings)
            _remove(settings)
        raise
    addons.add_kwok_nodes(cluster.kubectl, kwok_nodes)
    finished.touch()
    how = f"after {time.monotonic() - started:.0f} s" if fresh else "(it was running)"
    say(f"cluster {settings.name} is ready {how}")


def _wait(cluster: Cluster, settings: Settings, *, fresh: bool) -> None:
    full = cluster.layout.profile is Profile.FULL
    _wait_for(lambda: _answers(cluster), settings, "the API server")
    if fresh:
        addons.install(cluster.layout, cluster.kubectl)
    if full:
        _wait_for(lambda: node_ready(cluster), settings, "the node")
    if cluster.layout.profile is not Profile.CONTROL_PLANE:
        # Until then no pod can be made: the controllers are the last to wake.
        _wait_for(lambda: _has_service_account(cluster), settings, "the controller manager")
    if full and fresh:
        containers.load_pause(cluster.layout)


def _wait_for(ready: Callable[[], bool], settings: Settings, what: str) -> None:
    state = settings.state
    if processes.wait_until(lambda: ready() or health.hopeless(state), READY_SECONDS) and not health.hopeless(state):
        return
    raise ClusterError(
        f"{what} did not get ready\n{health.troubles(state)}",
        remedy=f"`make cluster-down` and try again; if this was a first start, its logs are in {_kept_logs(settings)}",
    )


def _answers(cluster: Cluster) -> bool:
    return cluster.kubectl.try_("get", "--raw", "/readyz", "--request-timeout=5s").returncode == 0


def _has_service_account(cluster: Cluster) -> bool:
    return cluster.kubectl.try_("get", "serviceaccount", "default", "--request-timeout=5s").returncode == 0


def node_ready(cluster: Cluster) -> bool:
    """Whether the node says so itself."""
    query = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return cluster.kubectl.try_("get", "node", layout.NODE, "-o", query, "--request-timeout=5s").stdout == "True"


def _kept_logs(settings: Settings) -> Path:
    return settings.cache / "logs" / settings.identity


def _keep_logs(settings: Settings) -> None:
    """Logs outlive a cluster that did not start: they are all there is to learn from it."""
    shutil.rmtree(_kept_logs(settings), ignore_errors=True)
    shutil.copytree(settings.state / "logs", _kept_logs(settings))


def _remove(settings: Settings) -> None:
    processes.end(settings.state)
    planned = plan.read(settings)
    if planned is not None and planned.profile is Profile.FULL:
        # The kernel takes the node's network away a moment after its last process. Others have none of their own.
        processes.wait_until(lambda: not network.exists(planned.interface), GONE_SECONDS)
    if os.geteuid() == 0:
        node.remove_cgroups(layout.cgroup(settings.identity))
    if settings.state.exists():
        shutil.rmtree(settings.state)
