"""The node: namespaces of its own, a link to this machine, and the supervisor inside.

`python -m tests.cluster.node STATE` makes the namespaces and returns once the node runs on its own. If this process
is killed half-way, the node's first process sees the pipe close and ends, and everything made so far goes with it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster import processes, supervisor
from tests.cluster.errors import ClusterError
from tests.cluster.layout import HIDDEN
from tests.cluster.settings import Addresses

CGROUPS = Path("/sys/fs/cgroup")
GO = b"go"
EMPTY_SECONDS = 20.0
# Settings of the whole machine that a kubelet insists on writing.
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def start(state: Path) -> None:
    """Make the first process of a new node, connect it to this machine and let it go."""
    plan = json.loads((state / "plan.json").read_text())
    addresses = Addresses(IPv4Network(plan["network"]))
    make_cgroups(plan["cgroup"])
    waiting, letting_go = os.pipe()
    first = _fork_into_namespaces(state, addresses, waiting, letting_go)
    processes.expect(state, first)
    _link(plan["interface"], addresses, first)
    os.write(letting_go, GO)


def _fork_into_namespaces(state: Path, addresses: Addresses, waiting: int, letting_go: int) -> int:
    """The pid of the node's first process, as this machine sees it.

    Namespaces are entered by a process in between, which ends at once: this one stays where the link's end is.
    """
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(letting_go)
        os.unshare(os.CLONE_NEWNS | os.CLONE_NEWNET | os.CLONE_NEWPID)
        first = os.fork()
        if first == 0:
            os.close(writing)
            _first_process(state, addresses, waiting)
        else:
            os.write(writing, str(first).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    return int(os.read(reading, 16))


def _first_process(state: Path, addresses: Addresses, waiting: int) -> None:
    os.setsid()
    if os.read(waiting, len(GO)) != GO:
        return
    _mount(state)
    _configure_link(addresses)
    supervisor.main(state)


def _mount(state: Path) -> None:
    """Give the node its own view of what the parts write outside their folder."""
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "proc", "proc", "/proc")
    for folder in HIDDEN:
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "serinus", folder)
    for setting in KERNEL_SETTINGS:
        # Files take the writes instead: in the node's view they lie over the machine's own settings.
        stand_in = state / "kernel" / setting.replace("/", ".")
        shutil.copyfile(Path("/proc/sys") / setting, stand_in)
        _run("mount", "--bind", str(stand_in), f"/proc/sys/{setting}")
    # What pods mount with propagation is shared inside the node, and ends there.
    _run("mount", "--make-rshared", "/")


def _configure_link(addresses: Addresses) -> None:
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{addresses.node}/30", "dev", "eth0")
    _run("ip", "link", "set", "eth0", "up")
    _run("ip", "route", "add", "default", "via", str(addresses.host))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _link(interface: str, addresses: Addresses, node: int) -> None:
    """Connect machine and node; the pair goes when the node's end goes."""
    _run("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", str(node))
    _run("ip", "address", "add", f"{addresses.host}/30", "dev", interface)
    _run("ip", "link", "set", interface, "up")
    _run("ip", "route", "add", str(addresses.network), "via", str(addresses.node))


def make_cgroups(name: str) -> None:
    """Make the cgroup above all pods, with every controller that there is."""
    for hierarchy in hierarchies():
        (hierarchy / name.strip("/")).mkdir(exist_ok=True)
        if (hierarchy / "cgroup.controllers").exists() and hierarchy == CGROUPS:
            wanted = " ".join(f"+{c}" for c in (hierarchy / "cgroup.controllers").read_text().split())
            (hierarchy / "cgroup.subtree_control").write_text(wanted)


def remove_cgroups(name: str) -> None:
    """Remove what `make_cgroups` made and what the kubelet made below it.

    The kernel may still be at ending the processes inside: a cgroup is busy until the last is gone.
    """
    tops = [hierarchy / name.strip("/") for hierarchy in hierarchies()]
    if not processes.wait_until(lambda: all(_removed(top) for top in tops), EMPTY_SECONDS):
        raise ClusterError(
            f"processes are left in the cgroup {name}",
            remedy=f"see which with `cat /sys/fs/cgroup/*{name}/cgroup.procs`, then run `make cluster-down` again",
        )


def _removed(top: Path) -> bool:
    for folder, _, _ in sorted(os.walk(top), reverse=True):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not top.exists()


def hierarchies() -> list[Path]:
    """The roots of the machine's cgroup hierarchies: one, or one for each group of controllers."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted({path.resolve() for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()})


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    start(Path(sys.argv[1]))
