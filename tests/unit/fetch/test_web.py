"""Inputs over HTTP: whole or not at all, and again where the server was not well."""

import hashlib
import re
from pathlib import Path

import pytest

from serinus_fetch import inputs
from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.order import Input
from serinus_fetch.places import Places
from tests.unit.fetch.servers import Answer, WebServer

DATA = b"age,plan\n1,free\n" * 1000


def _fetch(uri: str, places: Places) -> inputs.Fetched:
    return inputs.fetch(Input("train", uri, at=places.root / "data" / "inputs" / "train"), places)


def test_file_is_where_the_order_says(web: WebServer, places: Places) -> None:
    web.answers["/churn.csv?v=1"] = [Answer(body=DATA)]
    fetched = _fetch(f"{web.url}/churn.csv?v=1", places)
    assert fetched.sha256 == hashlib.sha256(DATA).hexdigest()
    assert fetched.files == (("churn.csv", places.root / "data/inputs/train"),)
    assert fetched.files[0][1].read_bytes() == DATA


def test_log_says_what_was_fetched(web: WebServer, places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    """But not the query, which may hold a signature."""
    web.answers["/churn.csv?X-Signature=abc"] = [Answer(body=DATA)]
    _fetch(f"{web.url}/churn.csv?X-Signature=abc", places)
    out = capsys.readouterr().out
    assert f"fetching input train from {web.url}/churn.csv?…\n" in out
    assert re.search(
        rf"^fetched input train \(16.0 kB in \d+.\d s, sha256 {hashlib.sha256(DATA).hexdigest()}\)$", out, re.MULTILINE
    )
    assert "X-Signature" not in out


@pytest.mark.parametrize("first", [Answer(503), Answer(429), Answer(500, b"oh"), Answer(body=DATA, cut=5)])
def test_transient_failure_is_tried_again(first: Answer, web: WebServer, places: Places) -> None:
    web.answers["/churn.csv"] = [first, first, Answer(body=DATA)]
    assert _fetch(f"{web.url}/churn.csv", places).sha256 == hashlib.sha256(DATA).hexdigest()
    assert len(web.asked) == 3


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "404 Not Found: there is nothing at this address"), (403, "access is refused"), (401, "needs credentials")],
)
def test_refusal_is_final(status: int, words: str, web: WebServer, places: Places) -> None:
    web.answers["/churn.csv"] = [Answer(status)]
    with pytest.raises(Permanent, match=words):
        _fetch(f"{web.url}/churn.csv", places)
    assert len(web.asked) == 1


def test_server_that_stays_unwell(web: WebServer, places: Places) -> None:
    web.answers["/churn.csv"] = [Answer(503)]
    with pytest.raises(Transient, match="the server answered 503 Service Unavailable"):
        _fetch(f"{web.url}/churn.csv", places)


def test_nobody_listens(places: Places) -> None:
    with pytest.raises(Transient, match=r"no connection: .*refused"):
        _fetch("http://127.0.0.1:9/churn.csv", places)


def test_redirect_is_followed(web: WebServer, places: Places) -> None:
    web.answers["/churn.csv"] = [Answer(302, headers=(("Location", "/real"),))]
    web.answers["/real"] = [Answer(body=DATA)]
    assert _fetch(f"{web.url}/churn.csv", places).files[0][1].read_bytes() == DATA


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirect_to_another_scheme_is_not(location: str, web: WebServer, places: Places) -> None:
    web.answers["/churn.csv"] = [Answer(302, headers=(("Location", location),))]
    with pytest.raises(Permanent):
        _fetch(f"{web.url}/churn.csv", places)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://me:hush@127.0.0.1/churn.csv", "must hold no credentials"),
        ("http://127.0.0.1/churn/", "http knows no folders"),
        ("ftp://127.0.0.1/churn", "the scheme 'ftp' is unknown"),
    ],
)
def test_address_that_cannot_be_fetched(uri: str, words: str, places: Places) -> None:
    with pytest.raises(Permanent, match=words):
        _fetch(uri, places)


@pytest.mark.parametrize("is_folder", ["", "folder"])
def test_what_an_earlier_try_left_is_gone(is_folder: str, web: WebServer, places: Places) -> None:
    left = Path(places.root / "data/inputs/train", is_folder)
    left.mkdir(parents=True) if is_folder else left.parent.mkdir()
    web.answers["/churn.csv"] = [Answer(body=DATA)]
    assert _fetch(f"{web.url}/churn.csv", places).files[0][1].read_bytes() == DATA
