"""Servers that are away, overloaded, in the way or not MLflow: what is said, and how soon."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiohttp import web

from serinus.adapters.mlflow import Limits
from serinus.asks import (
    EnsureRun,
    Known,
    ModelVersion,
    ReadRun,
    RegistryAsk,
    ResolveVersion,
    Run,
    Server,
    SetAlias,
    Trouble,
    TroubleKind,
)
from tests.contract.mlflow import proxy
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local


def _told(desk: Desk, uri: str) -> Trouble:
    """What is said of a server with this address."""
    at = replace(desk, server=Server(uri))
    return at.trouble(ReadRun(server=at.server, run_id="0" * 32))


def _told_of(desk: Desk, target: str, refusal: proxy.Refusal, host: str = "") -> Trouble:
    """What is said of a server that answers so."""

    async def story() -> object:
        async with proxy.forwarding(target, refusal, host=host) as address:
            at = replace(desk, server=Server(address))
            return (await at.answers(ReadRun(server=at.server, run_id="0" * 32)))[0]

    trouble = asyncio.run(story())
    assert isinstance(trouble, Trouble)
    assert "MLflow at http://127.0.0.1:" in trouble.message
    assert "\n" not in trouble.message
    return trouble


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://127.0.0.1:1", "takes no connections (Connect call failed"),
        ("http://nowhere.invalid", "has a name that is not known to DNS"),
        ("mlflow:5000", "'mlflow:5000' is no address of MLflow: write it as http://name:port"),
        ("http://", "'http://' is no address of MLflow"),
        ("http://mlflow:port", "'http://mlflow:port' is no address of MLflow"),
        (f"http://{'a' * 70}.example", "MLflow at"),
    ],
)
def test_an_address_where_nothing_answers(desk: Desk, uri: str, said: str) -> None:
    trouble = _told(desk, uri)
    assert trouble.kind == TroubleKind.UNREACHABLE
    assert said in trouble.message


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        (proxy.always(502, "<h1>Bad Gateway</h1>"), TroubleKind.UNREACHABLE, "with 502: it sent text/html"),
        (
            proxy.always(503, '{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "a\\nb"}'),
            TroubleKind.UNREACHABLE,
            ": a b;",
        ),
        (proxy.always(429), TroubleKind.UNREACHABLE, "with 429"),
        (proxy.always(200, "<form>user, password</form>"), TroubleKind.UNREACHABLE, "no login page"),
        (proxy.always(200, "[]", "application/json"), TroubleKind.UNREACHABLE, "instead of MLflow's JSON"),
        (proxy.always(200, "{}", "application/json"), TroubleKind.UNREACHABLE, "MLflow would not give"),
        (proxy.always(404, "not found"), TroubleKind.UNREACHABLE, "is it the address of MLflow"),
        (proxy.always(403, "forbidden"), TroubleKind.UNAUTHORIZED, "does not permit"),
        (
            proxy.always(302, headers={"Location": "https://login.example.com/start?state=hidden"}),
            TroubleKind.UNAUTHORIZED,
            "redirects runs/get to https://login.example.com/start, a login page?",
        ),
        (
            proxy.always(308, headers={"Location": "https://mlflow.example.com/api/2.0/mlflow/runs/get?run_id=0"}),
            TroubleKind.UNREACHABLE,
            "use the address it leads to",
        ),
    ],
    ids=["502", "503", "429", "login page", "a list", "nothing", "404", "403", "redirect to login", "moved"],
)
def test_what_is_not_an_answer_of_mlflow(
    desk: Desk, mlflow: Rest, refusal: proxy.Refusal, kind: TroubleKind, said: str
) -> None:
    trouble = _told_of(desk, mlflow.address, refusal)
    assert trouble.kind == kind
    assert said in trouble.message


def test_a_server_that_does_not_know_its_name(desk: Desk, mlflow: Rest) -> None:
    trouble = _told_of(desk, mlflow.address, lambda _: None, host="mlflow.example.com")
    assert trouble.kind == TroubleKind.UNREACHABLE
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in trouble.message


def test_a_server_that_never_answers_holds_up_nobody_for_long(desk: Desk) -> None:
    hasty = replace(desk, limits=Limits(concurrency=2, request_seconds=0.5, answer_seconds=1.0))
    started = time.monotonic()

    async def story() -> Sequence[Trouble]:
        async with proxy.silent() as address:
            at = replace(hasty, server=Server(address))
            asks: list[RegistryAsk[object]] = [ReadRun(server=at.server, run_id=f"{number:032}") for number in range(9)]
            return await at.answers(*asks, EnsureRun(server=at.server, experiment="any", key="any"))

    troubles = asyncio.run(story())
    assert time.monotonic() - started < 10
    assert {trouble.kind for trouble in troubles} == {TroubleKind.UNREACHABLE}
    assert {trouble.message.split(" did not answer ")[1].split(":")[0] for trouble in troubles} == {
        "within 0.5 s",
        "all within 1 s",
    }
    assert set(hasty.meter.calls) <= {("runs/get", "unreachable"), ("experiments/get-by-name", "unreachable")}


def test_a_run_is_completed_after_an_outage_in_between(desk: Desk, mlflow: Rest, name: str) -> None:
    def refusal(request: web.Request) -> web.Response | None:
        return web.Response(status=502) if request.path.endswith("log-batch") else None

    async def story() -> object:
        async with proxy.forwarding(mlflow.address, refusal) as address:
            at = replace(desk, server=Server(address))
            order = EnsureRun(server=at.server, experiment=name, key=name, params=(("depth", "7"),))
            return (await at.answers(order))[0]

    assert isinstance(asyncio.run(story()), Trouble)
    run = desk.ask(EnsureRun(server=desk.server, experiment=name, key=name, params=(("depth", "7"),)))
    found = mlflow.runs(run.experiment_id)
    assert [one["info"]["run_id"] for one in found] == [run.id]
    assert found[0]["data"]["params"] == [{"key": "depth", "value": "7"}]


def test_an_alias_that_two_make_at_the_same_moment_is_made_by_both(desk: Desk, mlflow: Rest, name: str) -> None:
    mlflow.model(name)
    clash = proxy.always(400, '{"error_code": "BAD_REQUEST", "message": "UNIQUE constraint"}', "application/json")
    refusals = iter([clash])

    def refusal(request: web.Request) -> web.Response | None:
        is_set = request.method == "POST" and request.path.endswith("registered-models/alias")
        refused = next(refusals, None) if is_set else None
        return refused(request) if refused else None

    async def story() -> object:
        async with proxy.forwarding(mlflow.address, refusal) as address:
            at = replace(desk, server=Server(address))
            return (await at.answers(SetAlias(server=at.server, model=name, alias="champion", version="1")))[0]

    assert isinstance(asyncio.run(story()), ModelVersion)
    found = desk.ask(ResolveVersion(server=desk.server, model=name, alias="champion"))
    assert isinstance(found, ModelVersion)
    assert found.version == "1"


def test_one_trouble_is_not_that_of_others(desk: Desk, mlflow: Rest, name: str) -> None:
    run_id = mlflow.run(mlflow.experiment(name))
    asks = [ReadRun(server=desk.server, run_id=run_id), ResolveVersion(server=desk.server, model="a/b", version="1")]
    run, trouble = asyncio.run(desk.answers(*asks))
    assert isinstance(run, Run)
    assert isinstance(trouble, Trouble)


def test_a_server_without_lists_is_asked_one_by_one(desk: Desk, mlflow: Rest, name: str) -> None:
    mlflow.model(name, versions=10)
    refused = proxy.always(400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "no IN"}', "application/json")

    def refusal(request: web.Request) -> web.Response | None:
        return refused(request) if "IN (" in request.query.get("filter", "") else None

    async def story() -> list[object]:
        async with proxy.forwarding(mlflow.address, refusal) as address:
            at = replace(desk, server=Server(address))
            asks = [ResolveVersion(server=at.server, model=name, version=str(number)) for number in range(1, 11)]
            return [answer.version for answer in await at.answers(*asks)]

    assert asyncio.run(story()) == [str(number) for number in range(1, 11)]


def test_an_answer_is_as_old_as_its_question(desk: Desk, mlflow: Rest, name: str) -> None:
    ask = ReadRun(server=desk.server, run_id=mlflow.run(mlflow.experiment(name)))
    clock_before = time.time()

    async def story() -> object:
        async with desk.registry() as registry:
            return (await registry.answer(desk.server, [ask]))[ask]

    answer = asyncio.run(story())
    assert isinstance(answer, Known)
    assert clock_before - 1 <= answer.at.timestamp() <= time.time()
