"""Inputs in claims and ConfigMaps: read where they are, and nowhere else."""

import os
from pathlib import Path

import pytest

from serinus_fetch import inputs
from serinus_fetch.failures import Permanent
from serinus_fetch.order import Input
from serinus_fetch.places import Places


@pytest.fixture
def claim(places: Places) -> Path:
    """A claim named store, with a file and a folder."""
    (places.claims / "store" / "churn" / "deep").mkdir(parents=True)
    (places.claims / "store" / "churn" / "a.csv").write_text("a\n1\n")
    (places.claims / "store" / "churn" / "deep" / "b.csv").write_text("a\n2\n")
    return places.claims / "store"


def _fetch(uri: str, places: Places) -> inputs.Fetched:
    return inputs.fetch(Input("train", uri), places)


def test_file_stays_where_it_is(claim: Path, places: Places) -> None:
    fetched = _fetch("pvc://store/churn/a.csv", places)
    assert fetched.files == (("a.csv", claim / "churn" / "a.csv"),)
    assert list((places.root / "data").iterdir()) == []


@pytest.mark.parametrize("uri", ["pvc://store/churn", "pvc://store/churn/"])
def test_folder_stays_where_it_is(uri: str, claim: Path, places: Places) -> None:
    fetched = _fetch(uri, places)
    assert fetched.files == (("a.csv", claim / "churn/a.csv"), ("deep/b.csv", claim / "churn/deep/b.csv"))


def test_key_of_a_config_map(places: Places) -> None:
    """Mounted as the kubelet does it, through links."""
    folder = places.config_maps / "settings"
    (folder / "..2026").mkdir(parents=True)
    (folder / "..2026" / "plans.csv").write_text("plan\nfree\n")
    (folder / "..data").symlink_to("..2026")
    (folder / "plans.csv").symlink_to("..data/plans.csv")
    assert _fetch("configmap://settings/plans.csv", places).files == (("plans.csv", folder / "plans.csv"),)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("pvc://store/chrun", "volume claim 'store' holds no 'chrun'"),
        ("configmap://settings/plans.csv", "no ConfigMap 'settings' with key 'plans.csv': create it"),
        ("configmap://settings/..", "no path below a folder"),
        ("pvc://store/../other/x", "no path below a folder"),
        ("pvc://store/churn/../../other", "no path below a folder"),
        ("pvc://store//etc/passwd", "no path below a folder"),
    ],
)
def test_what_is_not_there_is_named(uri: str, words: str, claim: Path, places: Places) -> None:
    assert claim.exists()
    with pytest.raises(Permanent, match=words):
        _fetch(uri, places)


@pytest.mark.parametrize("uri", ["pvc://store/churn/link", "pvc://store/churn"])
def test_link_out_of_the_claim_is_refused(uri: str, claim: Path, places: Places) -> None:
    (claim / "churn" / "link").symlink_to("/etc/hostname")
    with pytest.raises(Permanent, match="'link' is a link that leads out of its volume"):
        _fetch(uri, places)


def test_link_within_the_claim_is_followed(claim: Path, places: Places) -> None:
    (claim / "churn" / "deep" / "b.csv").unlink()
    before = _fetch("pvc://store/churn", places)
    (claim / "blob").write_text("a\n1\n")
    (claim / "churn" / "a.csv").unlink()
    (claim / "churn" / "a.csv").symlink_to("../blob")
    assert _fetch("pvc://store/churn", places).sha256 == before.sha256


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_what_is_no_file_is_refused(kind: str, claim: Path, places: Places) -> None:
    if kind == "fifo":
        os.mkfifo(claim / "churn" / "odd")
    else:
        (claim / "churn" / "odd").symlink_to("deep")
    with pytest.raises(Permanent, match="'odd' is neither a file nor a folder"):
        _fetch("pvc://store/churn", places)
