"""The operator takes the settings that it can work with, and says of all others what is wrong with them."""

import re
import socket
from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError

from serinus.plan import Defaults
from serinus.settings import Settings, SettingsError, variable
from serinus.settings_reference import PATH, reference
from tests.cluster.settings import CHECKOUT


def refused(environ: dict[str, str]) -> tuple[str, ...]:
    """What is said of settings that must be wrong."""
    with pytest.raises(SettingsError) as caught:
        Settings.read(environ)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.read({})
    assert settings.pod_name == socket.gethostname()
    assert settings.watch_namespaces == ()
    assert settings.leader_election is True
    assert settings.stuck_after == timedelta(minutes=5)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_an_empty_variable_is_as_one_that_is_not_set(field: str) -> None:
    assert Settings.read({variable(field): ""}) == Settings.read({})


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("namespace", "ml-platform", "ml-platform"),
        ("pod_name", "serinus-operator-0", "serinus-operator-0"),
        ("watch_namespaces", "ml, ,data,ml", ("ml", "data")),
        ("log_level", "debug", "DEBUG"),
        ("log_format", "text", "text"),
        ("port", "0", 0),
        ("workers", "64", 64),
        ("reconcile_timeout", "1m30s", timedelta(seconds=90)),
        ("resync", "1h", timedelta(hours=1)),
        ("stuck_after", "61s", timedelta(seconds=61)),
        ("leader_election", "false", False),
        ("lease_name", "team-a.operator", "team-a.operator"),
        ("lease_duration", "15s", timedelta(seconds=15)),
        ("lease_renew_deadline", "9s", timedelta(seconds=9)),
        ("lease_retry_period", "500ms", timedelta(milliseconds=500)),
        ("tracking_uri", "http://serinus-mlflow.serinus:5000", "http://serinus-mlflow.serinus:5000"),
        ("mlflow_token", "t0ken", SecretStr("t0ken")),
        ("registry_poll", "5s", timedelta(seconds=5)),
        ("registry_timeout", "3s", timedelta(seconds=3)),
        ("registry_concurrency", "1", 1),
        ("trainer_image", "registry.example:5000/serinus/trainer@sha256:" + "ab" * 32, None),
        ("server_image", "serinus/server:0.1.0", "serinus/server:0.1.0"),
    ],
)
def test_a_variable_is_read(field: str, text: str, value: object) -> None:
    assert getattr(Settings.read({variable(field): text}), field) == (text if value is None else value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SERINUS_NAMESPACE", "My_Space", "is 'My_Space': write the name of a namespace"),
        ("SERINUS_POD_NAME", "a b", "is 'a b': write a name without spaces"),
        ("SERINUS_WATCH_NAMESPACES", "ml,Data", "is 'ml,Data': write names of namespaces, separated by commas"),
        ("SERINUS_LOG_LEVEL", "loud", "is 'loud': write DEBUG, INFO, WARNING or ERROR"),
        ("SERINUS_LOG_FORMAT", "xml", "is 'xml': write json or text"),
        ("SERINUS_PORT", "65536", "is '65536': write a whole number from 0 to 65535"),
        ("SERINUS_WORKERS", "0", "is '0': write a whole number from 1 to 64"),
        ("SERINUS_WORKERS", "many", "is 'many': write a whole number from 1 to 64"),
        ("SERINUS_RESYNC", "600", "is '600': write a duration from 1s to 24h, such as 90s or 1m30s"),
        ("SERINUS_RESYNC", "0s", "is '0s': write a duration from 1s to 24h, such as 90s or 1m30s"),
        ("SERINUS_LEADER_ELECTION", "yes", "is 'yes': write true or false"),
        ("SERINUS_LEASE_NAME", "-lease", "is '-lease': write a name as Kubernetes has them"),
        ("SERINUS_TRACKING_URI", "mlflow:5000", "is 'mlflow:5000': write an address such as http://"),
        ("SERINUS_TRAINER_IMAGE", "a b", "is 'a b': write an image such as"),
        ("SERINUS_SERVER_IMAGE", "x" * 101 + " ", f"is '{'x' * 100}…': write an image such as"),
        ("SERINUS_POD_NAME", "a\nb", r"is 'a\nb': write a name without spaces"),
    ],
)
def test_a_wrong_value_is_shown_with_what_is_allowed(name: str, value: str, problem: str) -> None:
    (said,) = refused({name: value})
    assert said.startswith(f"{name} {problem}")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = {"SERINUS_WORKERS": "0", "SERINUS_LOG_LEVL": "INFO", "SERINUS_RESYNC": "soon", "SERINUS_SPEED": "9"}
    assert refused(wrong) == (
        "SERINUS_LOG_LEVL is unknown: did you mean SERINUS_LOG_LEVEL?",
        "SERINUS_SPEED is unknown: remove it",
        "SERINUS_WORKERS is '0': write a whole number from 1 to 64",
        "SERINUS_RESYNC is 'soon': write a duration from 1s to 24h, such as 90s or 1m30s",
    )


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"SERINUS_MLFLOW_PASSWORD": "hunter2\n", "SERINUS_MLFLOW_USERNAME": "u"}, id="line break"),
        pytest.param({"SERINUS_MLFLOW_PASWORD": "hunter2"}, id="mistyped name"),
        pytest.param({"SERINUS_TRACKING_URI": "http://user:hunter2@mlflow:5000"}, id="password in the address"),
        pytest.param({"SERINUS_MLFLOW_TOKEN": "hunter2", "SERINUS_MLFLOW_PASSWORD": "hunter2"}, id="contradiction"),
    ],
)
def test_no_secret_is_said(environ: dict[str, str]) -> None:
    assert "hunter2" not in "\n".join(refused(environ))


def test_no_secret_is_shown_by_the_settings() -> None:
    settings = Settings.read({"SERINUS_MLFLOW_TOKEN": "hunter2"})
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        pytest.param(
            {"SERINUS_LEASE_DURATION": "7s"}, "SERINUS_LEASE_RENEW_DEADLINE=7s, SERINUS_LEASE_DURATION=7s", id="lease"
        ),
        pytest.param({"SERINUS_LEASE_RETRY_PERIOD": "4s"}, "at least twice the period", id="one try only"),
        pytest.param(
            {"SERINUS_STUCK_AFTER": "60s"}, "SERINUS_STUCK_AFTER=1m, SERINUS_RECONCILE_TIMEOUT=1m", id="stuck"
        ),
        pytest.param(
            {"SERINUS_MLFLOW_USERNAME": "u"},
            "SERINUS_MLFLOW_USERNAME is set, SERINUS_MLFLOW_PASSWORD is not: set both or neither",
            id="no password",
        ),
        pytest.param(
            {"SERINUS_MLFLOW_PASSWORD": "p"},
            "SERINUS_MLFLOW_PASSWORD is set, SERINUS_MLFLOW_USERNAME is not: set both or neither",
            id="no user",
        ),
        pytest.param(
            {"SERINUS_MLFLOW_USERNAME": "u", "SERINUS_MLFLOW_PASSWORD": "p", "SERINUS_MLFLOW_TOKEN": "t"},
            "MLflow takes one or the other",
            id="two ways to log in",
        ),
    ],
)
def test_contradictions_are_refused(environ: dict[str, str], problem: str) -> None:
    (said,) = refused(environ)
    assert problem in said


def test_two_contradictions_are_two_lines() -> None:
    assert len(refused({"SERINUS_STUCK_AFTER": "1s", "SERINUS_MLFLOW_USERNAME": "u"})) == 2


def test_what_kubernetes_says_of_services_is_no_setting() -> None:
    links = {
        "SERINUS_MLFLOW_SERVICE_HOST": "10.0.0.1",
        "SERINUS_MLFLOW_SERVICE_PORT": "5000",
        "SERINUS_MLFLOW_SERVICE_PORT_HTTP": "5000",
        "SERINUS_MLFLOW_PORT": "tcp://10.0.0.1:5000",
        "SERINUS_GATEWAY_PORT_80_TCP": "tcp://10.0.0.2:80",
        "SERINUS_GATEWAY_PORT_80_TCP_PROTO": "tcp",
        "SERINUS_GATEWAY_PORT_80_TCP_PORT": "80",
        "SERINUS_GATEWAY_PORT_80_TCP_ADDR": "10.0.0.2",
        # Of a Service that is called just `serinus`.
        "SERINUS_SERVICE_HOST": "10.0.0.3",
        "SERINUS_PORT": "tcp://10.0.0.3:80",
    }
    assert Settings.read(links) == Settings.read({})


def test_variables_of_others_are_left_alone() -> None:
    assert Settings.read({"PATH": "/bin", "MLFLOW_TRACKING_URI": "x"}) == Settings.read({})


def test_settings_stay_as_they_are() -> None:
    with pytest.raises(ValidationError):
        Settings.read({}).workers = 3


def test_settings_made_in_code_keep_the_same_rules() -> None:
    with pytest.raises(ValidationError, match="from 1 to 64"):
        Settings(workers=0)


def test_resources_get_the_defaults() -> None:
    environ = {
        "SERINUS_TRACKING_URI": "http://mlflow:5000",
        "SERINUS_TRAINER_IMAGE": "t:1",
        "SERINUS_SERVER_IMAGE": "s:1",
        "SERINUS_REGISTRY_POLL": "1m",
    }
    assert Settings.read(environ).defaults == Defaults("http://mlflow:5000", "t:1", "s:1", timedelta(minutes=1))


def test_the_page_in_the_checkout_is_what_would_be_generated() -> None:
    assert (CHECKOUT / PATH).read_text() == reference(), "→ make generate"


def test_the_page_has_a_row_for_each_setting() -> None:
    rows = dict(re.findall(r"^\| `(SERINUS_\w+)` \|(.*)\|$", reference(), re.MULTILINE))
    assert list(rows) == [variable(field) for field in Settings.model_fields]
    assert all(row.count("|") == 3 for row in rows.values())
