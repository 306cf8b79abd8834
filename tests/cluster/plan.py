"""The plan of one cluster: decided once when it starts, read by every later command."""

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from tests.cluster import components, network
from tests.cluster.layout import Layout, Ports, Profile
from tests.cluster.settings import Addresses, Settings

FILE = "plan.json"


def make(settings: Settings, profile: Profile, binaries: Mapping[str, Path]) -> Layout:
    """A layout whose addresses and ports nobody uses."""
    if profile is Profile.FULL:
        addresses, ports = Addresses(network.choose(network.taken(), settings.network)), Ports()
    else:
        addresses, ports = Addresses(settings.network or network.CANDIDATES[0]), Ports(*_free_ports(6))
    return Layout(settings.identity, profile, settings.state, binaries, addresses, ports)


def write(layout: Layout) -> None:
    """Write it down: the supervisor runs what it says."""
    (layout.state / FILE).write_text(json.dumps(_as_json(layout), indent=2))


def read(settings: Settings) -> Layout | None:
    """The layout that was planned, or None where there is none."""
    try:
        plan = json.loads((settings.state / FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    programs = {name: Path(path) for name, path in plan["binaries"].items()}
    addresses = Addresses(IPv4Network(plan["network"]))
    profile, ports = Profile(plan["profile"]), Ports(**plan["ports"])
    return Layout(settings.identity, profile, settings.state, programs, addresses, ports)


def _as_json(layout: Layout) -> dict[str, Any]:
    return {
        "profile": layout.profile,
        "network": str(layout.addresses.network),
        "interface": layout.interface,
        "cgroup": layout.cgroup,
        "binaries": {name: str(path) for name, path in layout.binaries.items()},
        "ports": asdict(layout.ports),
        "components": [asdict(component) for component in components.components(layout)],
    }


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
