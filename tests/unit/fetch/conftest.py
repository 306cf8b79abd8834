"""What the tests of the trainer's helper share: no waiting, and real servers on this machine."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from serinus_fetch import inputs
from serinus_fetch.places import Places
from serinus_fetch.retry import Patience
from tests.unit.fetch.servers import WebServer, web_server


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits before it tries again, and nothing tries often."""
    monkeypatch.setattr(inputs, "Patience", partial(Patience, seconds=20, sleep=lambda _: None))
    monkeypatch.setattr("serinus_fetch.source.Patience", partial(Patience, seconds=20, sleep=lambda _: None))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A pod's folders."""
    root = tmp_path / "serinus"
    (root / "data").mkdir(parents=True)
    return Places(root)


@pytest.fixture
def web() -> Iterator[WebServer]:
    """An HTTP server whose answers a test decides."""
    with web_server() as server:
        yield server


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listened at a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
