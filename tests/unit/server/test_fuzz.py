"""A server process takes thousands of hostile requests: each is told why, no other is harmed, nothing is left of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server import fuzzing_models as models
from tests.unit.server.fuzzing import Fuzz
from tests.unit.server.fuzzing_client import Client, fault_of
from tests.unit.server.processes import Running, running

CONNECTIONS = 16
REQUESTS = {"mixed": 3000, "tensor": 2000}
# What the C library keeps for itself comes and goes.
LEEWAY_MB = 12
SOON_SECONDS = 1.0


@pytest.fixture(params=list(REQUESTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str, tmp_path: Path) -> Iterator[Running]:
    with running(models.write(tmp_path / "model", name), tmp_path / "log", MODEL_NAME="fuzz") as server:
        yield server


def memory(server: Running) -> float:
    """What is resident, in MB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def test_whatever_is_sent_is_answered_and_harms_nobody(name: str, server: Running) -> None:
    client = Client(server.port, Fuzz(models.TARGETS[name], seed=6), models.PROBES[name])
    client.run(0, 1000, CONNECTIONS)
    before = memory(server)
    found = client.run(1000, REQUESTS[name] - 1000, CONNECTIONS)
    assert not found.faults, f"{len(found.faults)} faults: " + "\n".join(found.faults[:5])
    assert found.sent == REQUESTS[name]
    assert found.statuses["400"] > found.sent / 3
    assert sorted(found.probes)[len(found.probes) * 99 // 100] < SOON_SECONDS, found.slowest
    assert server.process.poll() is None
    assert memory(server) < before + LEEWAY_MB
    assert [line for line in server.log if line.get("level") != "info"] == []


def test_the_same_number_makes_the_same_case() -> None:
    fuzz, same, other = (Fuzz(models.MIXED, seed) for seed in (1, 1, 2))
    assert [fuzz.case(number) for number in range(200)] == [same.case(number) for number in range(200)]
    assert fuzz.case(7) != other.case(7)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "it does not say why"),
        (b'{"message": ""}', "it does not say why"),
        (b'{"error": "too large"}', ""),
        (b"x" * 400, "it repeats what was sent"),
        (b"y" * 2000, "its message has 2000 characters"),
    ],
    ids=["empty", "empty message", "good", "echo", "long"],
)
def test_an_answer_that_says_too_little_or_too_much_is_found(body: bytes, fault: str) -> None:
    assert fault_of(body, b"x" * 1000) == fault
