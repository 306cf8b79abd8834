"""The local cluster itself: what it leaves behind (nothing), what it survives, and what it says when it cannot start.

These tests start clusters of their own beside the one that the other stories use: two never collide.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import binaries, cluster, external, health, node, processes, settings
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Profile
from tests.cluster.settings import Settings

SOON = 60.0
PARTS = (
    "etcd",
    "kube-apiserver",
    "containerd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "provisioner",
    "metrics-server",
)


DEAD_KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: gone, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: gone, context: {cluster: gone, user: me}}]
users: [{name: me, user: {token: x}}]
current-context: gone
"""


@pytest.fixture
def chosen() -> Iterator[Settings]:
    """A cluster name of our own, removed at the end whatever happened."""
    mine = settings.read(name="lifecycle")
    yield mine
    cluster.down(mine, print)


@dataclass(frozen=True)
class Traces:
    """What a cluster could leave on a machine."""

    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    routes: frozenset[str]
    rules: frozenset[str]
    cgroups: frozenset[str]
    kernel: tuple[str, ...]

    @classmethod
    def of(cls, chosen: Settings) -> "Traces":
        """Look for traces of one cluster, and at what belongs to the whole machine."""
        commands = (" ".join(processes.command_line(int(p.name))) for p in Path("/proc").iterdir() if p.name.isdigit())
        interface = f"srn-{chosen.checkout}"
        return cls(
            processes=frozenset(line for line in commands if str(chosen.state) in line),
            mounts=_lines(Path("/proc/self/mountinfo").read_text(), str(chosen.state)),
            interfaces=_lines(_output("ip", "-o", "link"), interface),
            routes=_lines(_output("ip", "route"), interface),
            rules=_lines(_output("nft", "list", "ruleset"), "kube"),
            cgroups=frozenset(
                str(top) for root in node.hierarchies() if (top := root / f"serinus-{chosen.identity}").exists()
            ),
            kernel=tuple((Path("/proc/sys") / name).read_text() for name in node.KERNEL_SETTINGS),
        )


def _lines(text: str, word: str) -> frozenset[str]:
    return frozenset(line for line in text.splitlines() if word in line)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _pid(chosen: Settings, part: str) -> int:
    """The pid of a part as this machine sees it: the supervisor knows only the node's own numbers."""
    pids = processes.descendants(processes.supervisor(chosen.state) or 0)
    return next(pid for pid in pids if (words := processes.command_line(pid)) and _is(part, words))


def _is(part: str, words: list[str]) -> bool:
    program = Path(words[0])
    return program.name == part or (part == "etcd" and program.parent.name.startswith("etcd-"))


@pytest.mark.local
def test_down_leaves_nothing_and_a_killed_part_comes_back(chosen: Settings) -> None:
    before = Traces.of(chosen)
    cluster.up(chosen, Profile.FULL, print)
    during = Traces.of(chosen)
    assert during.processes
    assert during.interfaces
    assert during.cgroups
    assert during.kernel == before.kernel
    for part in PARTS:
        os.kill(_pid(chosen, part), signal.SIGKILL)
        assert processes.wait_until(partial(_restarted, chosen, part), SOON), part
    assert processes.wait_until(lambda: all(part.pid for part in health.parts(chosen.state)), SOON)
    running = cluster.up(chosen, Profile.FULL, print)
    assert "serinus" in running.kubectl("get", "nodes", "-o", "name")
    cluster.down(chosen, print)
    assert Traces.of(chosen) == before
    assert not chosen.state.exists()


def _restarted(chosen: Settings, name: str) -> bool:
    return any(part.name == name and part.restarts and part.pid for part in health.parts(chosen.state))


@pytest.mark.local
@pytest.mark.parametrize("part", ["supervisor", "containerd", "kubelet"])
def test_down_after_a_crash_leaves_nothing(chosen: Settings, part: str) -> None:
    before = Traces.of(chosen)
    running = cluster.up(chosen, Profile.FULL, print)
    running.kubectl("run", "sleeper", "--image=serinus/pause:1")
    running.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
    victim = processes.supervisor(chosen.state) if part == "supervisor" else _pid(chosen, part)
    os.kill(victim or 0, signal.SIGKILL)
    cluster.down(chosen, print)
    assert Traces.of(chosen) == before


@pytest.mark.local
def test_a_start_killed_half_way_is_cleaned_up(chosen: Settings) -> None:
    before = Traces.of(chosen)
    command = [".venv/bin/python", "-m", "tests.cluster", "--name", chosen.name, "up"]
    starting = subprocess.Popen(command, cwd=settings.CHECKOUT)
    assert processes.wait_until(lambda: processes.supervisor(chosen.state) is not None, SOON)
    starting.kill()
    starting.wait()
    cluster.down(chosen, print)
    assert Traces.of(chosen) == before


@pytest.mark.local
def test_a_crashed_cluster_is_started_anew(chosen: Settings) -> None:
    cluster.up(chosen, Profile.CONTROL_PLANE, print).kubectl("create", "namespace", "lost")
    os.kill(processes.supervisor(chosen.state) or 0, signal.SIGKILL)
    assert processes.wait_until(lambda: processes.supervisor(chosen.state) is None, SOON)
    with pytest.raises(ClusterError, match="not running"):
        cluster.find(chosen)
    again = cluster.up(chosen, Profile.CONTROL_PLANE, print)
    assert "lost" not in again.kubectl("get", "namespaces", "-o", "name")


@pytest.mark.local
def test_what_a_crashed_cluster_of_another_checkout_left_is_swept_away(chosen: Settings) -> None:
    other = replace(chosen, checkout="0dd0dd")
    cluster.up(other, Profile.CONTROL_PLANE, print)
    cluster.up(chosen, Profile.CONTROL_PLANE, print)
    assert other.state.exists()
    os.kill(processes.supervisor(other.state) or 0, signal.SIGKILL)
    cluster.down(chosen, print)
    assert other.state.exists()
    cluster.up(chosen, Profile.CONTROL_PLANE, print)
    assert not other.state.exists()


@pytest.mark.local
def test_another_profile_than_the_running_one_is_refused(chosen: Settings) -> None:
    cluster.up(chosen, Profile.CONTROL_PLANE, print)
    with pytest.raises(ClusterError, match="control-plane") as caught:
        cluster.up(chosen, Profile.KWOK, print)
    assert "cluster-down" in caught.value.remedy


@pytest.mark.local
def test_a_kubelet_that_does_not_come_back_is_named_with_its_last_words(chosen: Settings) -> None:
    running = cluster.up(chosen, Profile.FULL, print)
    (running.layout.state / "kubelet.yaml").write_text("kind: Nonsense\n")
    os.kill(_pid(chosen, "kubelet"), signal.SIGKILL)
    assert processes.wait_until(lambda: health.hopeless(chosen.state), SOON)
    with pytest.raises(ClusterError, match="kubelet: failing") as caught:
        cluster.up(chosen, Profile.FULL, print)
    assert "Nonsense" in caught.value.message
    assert "cluster-down" in caught.value.remedy


@pytest.mark.local
def test_ports_that_others_use_are_no_obstacle(chosen: Settings) -> None:
    with socket.create_server(("127.0.0.1", 6443)), socket.create_server(("127.0.0.1", 2379)):
        cluster.up(chosen, Profile.CONTROL_PLANE, print)
        cluster.down(chosen, print)
        cluster.up(chosen, Profile.FULL, print)


@pytest.mark.local
def test_kwok_nodes_run_pods_that_only_pretend(chosen: Settings) -> None:
    kubectl = cluster.up(chosen, Profile.KWOK, print, kwok_nodes=3).kubectl
    toleration = '{"spec":{"template":{"spec":{"tolerations":[{"operator":"Exists"}]}}}}'
    kubectl("create", "deployment", "many", "--image=none", "--replicas=50")
    kubectl("patch", "deployment", "many", "--patch", toleration)
    kubectl("rollout", "status", "deployment/many", "--timeout=60s")
    nodes = {pod["spec"]["nodeName"] for pod in kubectl.get("pods", "-l", "app=many")["items"] if _running(pod)}
    assert nodes == {"kwok-0", "kwok-1", "kwok-2"}


def _running(pod: dict[str, dict[str, str]]) -> bool:
    return pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]


def test_an_unreachable_kubeconfig_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(DEAD_KUBECONFIG)
    tools = binaries.build(["kubernetes"], settings.read().cache, print)["kubernetes"]
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(ClusterError, match=r"https://127\.0\.0\.1:1") as caught:
        external.find()
    assert "kubectl config use-context" in caught.value.remedy
