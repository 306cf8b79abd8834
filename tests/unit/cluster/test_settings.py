"""What the environment may say about the local cluster, and what it may not."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from tests.cluster import network, settings
from tests.cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        pytest.param({"SERINUS_CACHE": "/big/disk"}, "/big/disk", id="its-own-variable-first"),
        pytest.param({"XDG_CACHE_HOME": "/x"}, "/x/serinus", id="then-the-desktop-standard"),
        pytest.param({}, str(Path.home() / ".cache" / "serinus"), id="then-the-home"),
    ],
)
def test_cache_lies_where_the_environment_says(environment: dict[str, str], cache: str) -> None:
    assert settings.read(environment).cache == Path(cache)


@pytest.mark.parametrize(
    ("environment", "name", "words"),
    [
        pytest.param({"CLUSTER": "kind"}, "dev", "CLUSTER=kind", id="unknown-cluster"),
        pytest.param({"CLUSTER_NETWORK": "10.1.0.0/24"}, "dev", "not a /16", id="network-too-small"),
        pytest.param({"CLUSTER_NETWORK": "ten"}, "dev", "CLUSTER_NETWORK=ten", id="no-network"),
        pytest.param({"CLUSTER_NETWORK": "10.1.2.0/16"}, "dev", "host bits", id="host-bits"),
        pytest.param({}, "Dev", "'Dev'", id="capital-in-name"),
        pytest.param({}, "a" * 21, "a" * 21, id="name-too-long"),
        pytest.param({}, "../x", "'../x'", id="path-in-name"),
    ],
)
def test_wrong_choices_are_named_with_a_remedy(environment: dict[str, str], name: str, words: str) -> None:
    with pytest.raises(ClusterError) as caught:
        settings.read(environment, name=name)
    assert words in caught.value.message
    assert caught.value.remedy


def test_clusters_of_one_checkout_do_not_share_a_folder() -> None:
    assert settings.read({}, name="one").state != settings.read({}, name="two").state


def test_addresses_of_a_cluster_do_not_overlap() -> None:
    addresses = settings.Addresses(IPv4Network("10.213.0.0/16"))
    assert not addresses.pods.overlaps(addresses.services)
    assert addresses.kubernetes == IPv4Address("10.213.128.1")
    assert addresses.dns in addresses.services
    assert all(one not in addresses.pods and one not in addresses.services for one in (addresses.node, addresses.host))
    assert IPv4Network((addresses.host, 30), strict=False) == IPv4Network((addresses.node, 30), strict=False)


def test_the_first_free_network_is_chosen() -> None:
    first, second = network.CANDIDATES[:2]
    assert network.choose([]) == first
    assert network.choose([IPv4Network((first[77], 32))]) == second
    assert network.choose([first], wanted=IPv4Network("10.9.0.0/16")) == IPv4Network("10.9.0.0/16")


def test_a_network_in_use_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"10\.9\.0\.0/16 is in use here \(10\.9\.4\.0/24\)"):
        network.choose([IPv4Network("10.9.4.0/24")], wanted=IPv4Network("10.9.0.0/16"))
    with pytest.raises(ClusterError, match="CLUSTER_NETWORK"):
        network.choose([IPv4Network("10.0.0.0/8")])
