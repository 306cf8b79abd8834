"""Where things lie and what may be chosen, read from the environment once."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.cluster.errors import ClusterError

CHECKOUT = Path(__file__).resolve().parents[2]
NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """The choices of one invocation."""

    cache: Path
    name: str
    checkout: str
    external: bool
    registry: str
    network: IPv4Network | None

    @property
    def state(self) -> Path:
        """The one folder that holds all files of this cluster."""
        return self.cache / "clusters" / self.identity

    @property
    def identity(self) -> str:
        """The cluster's name, made unique among the checkouts on this machine."""
        return f"{self.name}-{self.checkout}"


@dataclass(frozen=True)
class Addresses:
    """The addresses of one cluster, all out of one /16."""

    network: IPv4Network

    @property
    def host(self) -> IPv4Address:
        """This machine, seen from the cluster."""
        return self.network[0xFF01]

    @property
    def node(self) -> IPv4Address:
        """The node, seen from this machine."""
        return self.network[0xFF02]

    @property
    def pods(self) -> IPv4Network:
        """Where pods get their addresses."""
        return IPv4Network((self.network[0], 20))

    @property
    def services(self) -> IPv4Network:
        """Where Services get theirs."""
        return IPv4Network((self.network[0x8000], 20))

    @property
    def kubernetes(self) -> IPv4Address:
        """The Service of the API server."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """The Service of the cluster's name server."""
        return self.services[10]


def read(environment: Mapping[str, str] = os.environ, *, name: str = "dev") -> Settings:
    """The settings that the environment names, or a ClusterError that says which value is wrong."""
    mode = environment.get("CLUSTER", "local")
    if mode not in {"local", "kubeconfig"}:
        raise ClusterError(
            f"CLUSTER={mode} is unknown",
            remedy="leave it out for a cluster of our own, or set CLUSTER=kubeconfig to use yours",
        )
    if not NAME_PATTERN.fullmatch(name):
        raise ClusterError(
            f"the cluster name {name!r} does not fit",
            remedy="use at most 20 of a-z, 0-9 and '-', for example 'dev'",
        )
    return Settings(
        cache=_cache(environment),
        name=name,
        checkout=hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6],
        external=mode == "kubeconfig",
        registry=environment.get("IMAGE_REGISTRY", "").rstrip("/"),
        network=_network(environment.get("CLUSTER_NETWORK", "")),
    )


def _cache(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(environment.get("SERINUS_CACHE") or Path(home) / "serinus").absolute()


def _network(text: str) -> IPv4Network | None:
    if not text:
        return None
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise ClusterError(
            f"CLUSTER_NETWORK={text}: {error}", remedy="use a free /16, for example 10.213.0.0/16"
        ) from error
    if network.prefixlen != 16:
        raise ClusterError(f"CLUSTER_NETWORK={text} is not a /16", remedy="use a free /16, for example 10.213.0.0/16")
    return network
