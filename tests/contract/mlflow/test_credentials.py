"""Credentials: found in Secrets, sent to those they are for, and shown to nobody."""

import asyncio
import base64
import logging
from collections.abc import Mapping
from dataclasses import replace

import pytest

from serinus.adapters.mlflow import Credentials
from serinus.asks import Absent, ReadRun, Server, Trouble, TroubleKind
from serinus.objects import SECRET, Ref
from serinus.ports import Forbidden, KubeError, Unavailable
from tests.contract.mlflow import proxy
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local

PASSWORD = "pässword: hunter2"  # noqa: S105 (a password is what this is about)
TOKEN = "token-hunter3"  # noqa: S105 (likewise)
BASIC = f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}"
BEARER = f"Bearer {TOKEN}"

USER = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": f"{PASSWORD}\n"}
MACHINE = {"MLFLOW_TRACKING_TOKEN": TOKEN}


async def _ask(desk: Desk) -> object:
    (answer,) = await desk.answers(ReadRun(server=desk.server, run_id="0" * 32))
    return answer


def _asked(mlflow: Rest, desk: Desk, demand: str, values: Mapping[str, str] | None) -> object:
    """The answer from behind a proxy with this demand, to who has a Secret with these values."""
    if values is not None:
        desk.kube.put("ml", "mlflow-login", values)

    async def story() -> object:
        async with proxy.forwarding(mlflow.address, proxy.demanding(demand)) as address:
            return await _ask(replace(desk, server=Server(address, "ml", "mlflow-login")))

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("demand", "values"),
    [(BASIC, USER), (BEARER, MACHINE), (BASIC, {**USER, **MACHINE})],
    ids=["user", "token", "both"],
)
def test_credentials_in_a_secret_are_used(mlflow: Rest, desk: Desk, demand: str, values: Mapping[str, str]) -> None:
    assert isinstance(_asked(mlflow, desk, demand, values), Absent)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (None, "Secret ml/mlflow-login does not exist: create it with MLFLOW_TRACKING_USERNAME and"),
        ({}, "has no MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD and no MLFLOW_TRACKING_TOKEN: add"),
        ({"MLFLOW_TRACKING_USERNAME": "ada"}, "has no MLFLOW_TRACKING_PASSWORD and no MLFLOW_TRACKING_TOKEN: add"),
        ({"MLFLOW_TRACKING_PASSWORD": PASSWORD}, "has no MLFLOW_TRACKING_USERNAME and no MLFLOW_TRACKING_TOKEN: add"),
        ({"MLFLOW_TRACKING_TOKEN": f"{TOKEN}\r\nX: y"}, "holds no plain text under MLFLOW_TRACKING_TOKEN: set"),
    ],
    ids=["no Secret", "no keys", "no password", "no user", "no header"],
)
def test_a_secret_without_credentials_says_what_is_missing(
    mlflow: Rest, desk: Desk, values: Mapping[str, str] | None, said: str
) -> None:
    trouble = _asked(mlflow, desk, BASIC, values)
    assert isinstance(trouble, Trouble)
    assert trouble.kind == TroubleKind.CREDENTIALS_MISSING
    assert trouble.message.startswith("Secret ml/mlflow-login")
    assert said in trouble.message
    assert desk.meter.calls == []


@pytest.mark.parametrize("data", ["not base64", base64.b64encode(b"\xff\xfe").decode()])
def test_a_secret_that_holds_no_text_is_named(mlflow: Rest, desk: Desk, data: str) -> None:
    ref = Ref(SECRET, "ml", "mlflow-login")
    desk.kube.secrets[ref] = {"metadata": {}, "data": {"MLFLOW_TRACKING_TOKEN": data}}
    trouble = _asked(mlflow, desk, BASIC, None)
    assert isinstance(trouble, Trouble)
    assert trouble.message == "Secret ml/mlflow-login holds no plain text under MLFLOW_TRACKING_TOKEN: set the key anew"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Forbidden("secrets is forbidden"), TroubleKind.CREDENTIALS_MISSING),
        (Unavailable("the API server does not answer"), TroubleKind.UNREACHABLE),
    ],
)
def test_a_secret_that_cannot_be_read_says_why(mlflow: Rest, desk: Desk, error: KubeError, kind: TroubleKind) -> None:
    desk.kube.error = error
    trouble = _asked(mlflow, desk, BASIC, None)
    assert isinstance(trouble, Trouble)
    assert trouble.kind == kind
    assert "Secret ml/mlflow-login" in trouble.message
    assert str(error) in trouble.message


def test_wrong_credentials_are_told_and_right_ones_taken_at_once(mlflow: Rest, desk: Desk) -> None:
    desk.kube.put("ml", "mlflow-login", {**USER, "MLFLOW_TRACKING_PASSWORD": "old"})

    async def story(ask: ReadRun) -> list[object]:
        async with desk.registry() as registry:
            answers = [(await registry.answer(ask.server, [ask]))[ask]]
            desk.kube.put("ml", "mlflow-login", USER)
            return [*answers, *[(await registry.answer(ask.server, [ask]))[ask] for _ in range(2)]]

    async def behind_proxy() -> list[object]:
        async with proxy.forwarding(mlflow.address, proxy.demanding(BASIC)) as address:
            return await story(ReadRun(server=Server(address, "ml", "mlflow-login"), run_id="0" * 32))

    denied, *later = asyncio.run(behind_proxy())
    assert isinstance(denied, Trouble)
    assert denied.kind == TroubleKind.UNAUTHORIZED
    assert "check the user and the keys in Secret ml/mlflow-login" in denied.message
    assert not any(isinstance(answer, Trouble) for answer in later)
    # The wrong ones, the right ones; the last answer was had with those that were kept.
    assert desk.kube.reads == 2


def test_the_operators_credentials_are_for_its_own_server_only(mlflow: Rest, desk: Desk) -> None:
    async def story() -> tuple[object, object]:
        async with proxy.forwarding(mlflow.address, proxy.demanding(BEARER)) as address:
            theirs = replace(desk, server=Server(address), home=mlflow.address, own=Credentials(token=TOKEN))
            return await _ask(replace(theirs, home=f"{address}/")), await _ask(theirs)

    known, denied = asyncio.run(story())
    assert isinstance(known, Absent)
    assert isinstance(denied, Trouble)
    assert denied.kind == TroubleKind.UNAUTHORIZED
    assert "name a Secret with credentials for it in credentialsSecret" in denied.message


def test_nobody_is_shown_a_password(mlflow: Rest, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(Credentials("ada", PASSWORD, TOKEN))]
    for demand, values in ((BASIC, USER), (BEARER, USER), (BASIC, MACHINE), (BEARER, MACHINE)):
        shown.append(repr(_asked(mlflow, desk, demand, values)))
    uri = "http://ada:hunter2@127.0.0.1:1/?key=hunter2"
    odd = [Server(address, "ml", "mlflow-login") for address in (uri, uri.replace(":1", ":99999"), f"ftp{uri[4:]}")]
    shown += [repr(asyncio.run(_ask(replace(desk, server=server)))) for server in odd]
    said = "\n".join([*shown, caplog.text])
    assert "hunter" not in said
    assert BASIC.removeprefix("Basic ") not in said
