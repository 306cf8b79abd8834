"""A free network for a new cluster: addresses that nothing on this machine uses or routes."""

import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster.errors import ClusterError

CANDIDATES = tuple(IPv4Network(f"10.{second}.0.0/16") for second in range(213, 245))


def choose(taken: Iterable[IPv4Network], wanted: IPv4Network | None = None) -> IPv4Network:
    """The first candidate that overlaps nothing, or the one that was asked for if it is free."""
    used = list(taken)
    for network in (wanted,) if wanted else CANDIDATES:
        if not any(network.overlaps(other) for other in used):
            return network
    clash = next(str(other) for other in used if other.overlaps(wanted or CANDIDATES[0]))
    raise ClusterError(
        f"the network {wanted or '10.213.0.0/16 to 10.244.0.0/16'} is in use here ({clash})",
        remedy="name a free one: CLUSTER_NETWORK=10.99.0.0/16",
    )


def taken() -> list[IPv4Network]:
    """Every network that this machine routes, but the way to everywhere."""
    printed = subprocess.run(
        ["ip", "-j", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True
    )
    routes = [route["dst"] for route in json.loads(printed.stdout) if route["dst"] != "default"]
    return [IPv4Network(destination, strict=False) for destination in routes if ":" not in destination]


def exists(interface: str) -> bool:
    """Whether this machine has an interface of that name."""
    return (Path("/sys/class/net") / interface).exists()
