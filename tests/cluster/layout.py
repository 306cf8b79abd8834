"""What one cluster consists of before it runs: its folders, addresses, ports and identities."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.settings import Addresses

NODE = "serinus"
PAUSE_IMAGE = "serinus/pause:1"
SOCKET_PATH_LIMIT = 60  # the kernel takes 107 bytes; the kubelet and containerd append up to 45


class Profile(StrEnum):
    """How much of a cluster is wanted."""

    FULL = "full"  # a node that runs pods
    CONTROL_PLANE = "control-plane"  # etcd and the API server: seconds to start, no root
    KWOK = "kwok"  # the control plane with controllers, a scheduler and nodes that only pretend


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for: user and group towards the API server, names and addresses towards clients."""

    file: str
    user: str
    group: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """Where the control plane listens."""

    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259
    kwok: int = 10247


@dataclass(frozen=True)
class Layout:
    """Everything that the configuration of the parts is made from."""

    identity: str
    profile: Profile
    state: Path
    binaries: Mapping[str, Path]
    addresses: Addresses
    ports: Ports

    @property
    def api_address(self) -> str:
        """Where the API server listens: on the node, or on the loopback where there is none."""
        return str(self.addresses.node) if self.profile is Profile.FULL else "127.0.0.1"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.api_address}:{self.ports.api}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def keys(self) -> Path:
        """The folder of certificates and keys."""
        return self.state / "keys"

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.state / "logs"

    @property
    def registry(self) -> str:
        """Where a registry without TLS may listen on this machine for the node to pull from."""
        return f"{self.addresses.host}:5000"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd answers."""
        return self.state / "containerd.sock"

    @property
    def cgroup(self) -> str:
        """The cgroup above all pods."""
        return cgroup(self.identity)

    @property
    def interface(self) -> str:
        """This machine's end of the link to the node: 15 letters at most, as the kernel wants it."""
        checkout = self.identity.rpartition("-")[2]
        return f"srn-{checkout}-{self.addresses.network.network_address.packed[1]}"

    def program(self, module: str, name: str = "") -> str:
        """The path of a compiled program."""
        return str(self.binaries[module] / (name or module))


def cgroup(identity: str) -> str:
    """The cgroup above all pods of a cluster."""
    return f"/serinus-{identity}"


def modules(profile: Profile) -> list[str]:
    """The Go modules whose programs a profile runs."""
    match profile:
        case Profile.CONTROL_PLANE:
            return ["kubernetes", "etcd", "gateway-api"]
        case Profile.KWOK:
            return ["kubernetes", "etcd", "gateway-api", "kwok"]
        case Profile.FULL:
            node = ["containerd", "runc", "pause", "coredns", "provisioner", "metrics-server"]
            return ["kubernetes", "etcd", "gateway-api", *node, "helm"]


def identities(layout: Layout) -> list[Identity]:
    """Who gets a certificate of the cluster's authority."""
    addresses = layout.addresses
    api = "kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1"
    masters = "system:masters"
    return [
        Identity("admin", "admin", masters),
        Identity("apiserver", "kube-apiserver", masters, (*api, str(addresses.kubernetes), str(addresses.node))),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
        Identity("kubelet", f"system:node:{NODE}", "system:nodes", (NODE, str(addresses.node))),
    ]


def check(state: Path, profile: Profile) -> None:
    """Refuse a state folder in which the parts could not work."""
    if len(str(state)) > SOCKET_PATH_LIMIT:
        raise ClusterError(
            f"the path {state} is too long for the sockets in it",
            remedy="choose a shorter one: SERINUS_CACHE=/short/path",
        )
    hidden = [root for root in HIDDEN if state.is_relative_to(root)]
    if hidden and profile is Profile.FULL:
        raise ClusterError(
            f"{state} is under {hidden[0]}, which the node does not see",
            remedy="put the cache elsewhere: SERINUS_CACHE=/another/path",
        )


# Folders that the node sees empty, so that nothing of it appears in the machine's own.
HIDDEN = ("/run", "/var/lib", "/var/log")
