"""Everything that the operator can be told, read once from variables that begin with SERINUS_.

`Settings.read` takes all of them or says of each what is wrong with it. A variable that is empty is as one that is not
set. The fields are the one source: docs/reference/settings.md is made of them.
"""

import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from serinus.api.rules import broken
from serinus.api.scalars import duration, duration_text
from serinus.logs import LogFormat, LogLevel
from serinus.plan import Defaults

PREFIX = "SERINUS_"

# Kubernetes describes each Service of the namespace to its pods, and ours are called serinus-…, hence SERINUS_….
_SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINK_VALUE = re.compile("(tcp|udp|sctp)://")
_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LONGEST_SHOWN = 100


class SettingsError(Exception):
    """Settings that are wrong: what, why and what to do, a line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"the operator's settings are wrong:{lines}\n  → docs/reference/settings.md lists them all")


@dataclass(frozen=True)
class Form[T]:
    """Metadata of a field: how it is written, in words and as a function; and what holds of a value."""

    allowed: str
    read: Callable[[str], object]
    holds: Callable[[T], bool] = lambda _: True

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        checked = core_schema.no_info_after_validator_function(self._check, handler(source))
        return core_schema.no_info_before_validator_function(self._read, checked)

    def _read(self, value: object) -> object:
        try:
            return self.read(value) if isinstance(value, str) else value
        except (ValueError, LookupError):
            raise broken(self.allowed) from None

    def _check(self, value: T) -> T:
        if not self.holds(value):
            raise broken(self.allowed)
        return value


def _whole(low: int, high: int) -> Form[int]:
    return Form(f"a whole number from {low} to {high}", int, lambda value: low <= value <= high)


def _duration(low: str, high: str) -> Form[timedelta]:
    shortest, longest = duration(low), duration(high)
    return Form(
        f"a duration from {low} to {high}, such as 90s or 1m30s", duration, lambda value: shortest <= value <= longest
    )


def _matching(pattern: str, allowed: str) -> Form[str]:
    return Form(allowed, str, lambda value: re.fullmatch(pattern, value) is not None)


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in re.split(r"[,\s]+", text) if name))


def _are_labels(names: tuple[str, ...]) -> bool:
    return all(re.fullmatch(_LABEL, name) for name in names)


_LEVEL: Form[str] = Form("DEBUG, INFO, WARNING or ERROR", str.upper)
_FORMAT: Form[str] = Form("json or text", str.lower)
_TRUTH: Form[bool] = Form("true or false", lambda text: {"true": True, "false": False}[text.lower()])
_NAMESPACE = _matching(_LABEL, "the name of a namespace")
_NAMESPACES: Form[tuple[str, ...]] = Form("names of namespaces, separated by commas", _split, _are_labels)
_OBJECT = _matching(rf"(?=.{{1,253}}$){_LABEL}([.]{_LABEL})*", "a name as Kubernetes has them: a-z, 0-9, '-' and '.'")
_IDENTITY = _matching(r"\S{1,253}", "a name without spaces")
_ADDRESS = _matching(
    r"(https?://[^\s/@]+(/\S*)?)?",
    "an address such as http://mlflow.example.com:5000, without user and password: those have variables of their own",
)
_IMAGE = _matching("([a-zA-Z0-9][-a-zA-Z0-9._:/@]*)?", "an image such as registry.example/serinus/trainer:1.0")
# A line break in a header is refused by the HTTP client, in the middle of every request.
_SECRET: Form[SecretStr] = Form(
    "one line without control characters; a Secret made with `echo` ends in a line break, with `printf` it does not",
    str,
    lambda value: value.get_secret_value().isprintable(),
)


def _set(default: object, meaning: str, chart: str = "", *, shown: str = "") -> Any:  # noqa: ANN401 (as pydantic's Field)
    """A field, with its default or a function that makes it; `chart` is the chart's value that leads to it."""
    extra: dict[str, Any] = {"chart": chart, "default": shown}
    if callable(default):
        return Field(default_factory=default, description=meaning, json_schema_extra=extra)
    return Field(default, description=meaning, json_schema_extra=extra)


def _format_for_terminal() -> LogFormat:
    return "text" if sys.stderr.isatty() else "json"


class Settings(BaseModel):
    """What the operator was told; every value is one that it can work with."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    namespace: Annotated[str, _NAMESPACE] = _set(
        "default", "The operator's own namespace, where its Lease is.", "the release's namespace"
    )
    pod_name: Annotated[str, _IDENTITY] = _set(
        socket.gethostname, "Who it is among its replicas.", "the pod's name", shown="the host's name"
    )
    watch_namespaces: Annotated[tuple[str, ...], _NAMESPACES] = _set(
        (), "Where it looks after resources; empty: everywhere.", "operator.watchNamespaces"
    )
    log_level: Annotated[LogLevel, _LEVEL] = _set("INFO", "What is logged: this and worse.", "operator.logLevel")
    log_format: Annotated[LogFormat, _FORMAT] = _set(
        _format_for_terminal,
        "One JSON object a line, or text for people.",
        shown="json; text on a terminal",
    )
    port: Annotated[int, _whole(0, 65535)] = _set(
        8080, "Where /healthz, /readyz and /metrics answer; 0: any free port."
    )
    workers: Annotated[int, _whole(1, 64)] = _set(
        8, "How many resources are worked on at the same time.", "operator.workers"
    )
    reconcile_timeout: Annotated[timedelta, _duration("1s", "10m")] = _set(
        timedelta(seconds=60), "How long one pass over a resource may take before it is given up and tried again."
    )
    resync: Annotated[timedelta, _duration("1s", "24h")] = _set(
        timedelta(minutes=10), "How often every resource is looked at again, should an event have been lost."
    )
    stuck_after: Annotated[timedelta, _duration("1s", "1h")] = _set(
        timedelta(minutes=5),
        "How long a resource may wait in the queue before /healthz fails and Kubernetes restarts the operator.",
    )
    leader_election: Annotated[bool, _TRUTH] = _set(
        default=True, meaning="Whether replicas choose one that works. false is for a single process, as on a laptop."
    )
    lease_name: Annotated[str, _OBJECT] = _set(
        "serinus-operator", "The Lease by which replicas choose.", "the operator's full name"
    )
    lease_duration: Annotated[timedelta, _duration("1s", "10m")] = _set(
        timedelta(seconds=10), "How long a leader that is silent stays leader."
    )
    lease_renew_deadline: Annotated[timedelta, _duration("100ms", "10m")] = _set(
        timedelta(seconds=7), "How long a leader tries to renew before it stops working."
    )
    lease_retry_period: Annotated[timedelta, _duration("10ms", "10m")] = _set(
        timedelta(seconds=2), "How long it waits between two tries."
    )
    tracking_uri: Annotated[str, _ADDRESS] = _set(
        "", "The MLflow server of resources that name none.", "the chart's MLflow, or mlflow.externalUri"
    )
    mlflow_username: Annotated[SecretStr, _SECRET] = _set(
        SecretStr(""), "The operator's user at that server.", "mlflow.credentials.usernameKey"
    )
    mlflow_password: Annotated[SecretStr, _SECRET] = _set(
        SecretStr(""), "The password of that user.", "mlflow.credentials.passwordKey"
    )
    mlflow_token: Annotated[SecretStr, _SECRET] = _set(
        SecretStr(""), "A token, instead of user and password.", "mlflow.credentials.tokenKey"
    )
    registry_poll: Annotated[timedelta, _duration("1s", "1h")] = _set(
        timedelta(seconds=30), "How often MLflow is asked whether an alias points elsewhere."
    )
    registry_timeout: Annotated[timedelta, _duration("100ms", "2m")] = _set(
        timedelta(seconds=10), "How long one request to MLflow may take."
    )
    registry_concurrency: Annotated[int, _whole(1, 64)] = _set(
        8, "How many requests one MLflow server gets at the same time."
    )
    trainer_image: Annotated[str, _IMAGE] = _set("", "The image of TrainingJobs that name none.", "trainer.image")
    server_image: Annotated[str, _IMAGE] = _set("", "The image of ModelDeployments that name none.", "server.image")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings that the environment names, or a SettingsError that lists all that is wrong."""
        given = {name: value for name, value in environ.items() if _is_ours(name, value)}
        fields = {variable(field): field for field in cls.model_fields}
        unknown = [_unknown(name, fields) for name in sorted(given.keys() - fields.keys())]
        values = {fields[name]: value for name, value in given.items() if name in fields and value}
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            # Not "from error": that one may show values.
            raise SettingsError([*unknown, *_problems(error, values)]) from None
        if unknown:
            raise SettingsError(unknown)
        return settings

    @property
    def defaults(self) -> Defaults:
        """What resources get where they are silent."""
        return Defaults(
            tracking_uri=self.tracking_uri,
            trainer_image=self.trainer_image,
            server_image=self.server_image,
            registry_poll=self.registry_poll,
            namespaces=self.watch_namespaces,
        )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if contradictions := "\n".join(self._contradictions()):
            raise broken(contradictions)
        return self

    def _contradictions(self) -> Iterator[str]:
        # A deadline within which nobody tries twice loses the lease with the first lost packet.
        if not 2 * self.lease_retry_period <= self.lease_renew_deadline < self.lease_duration:
            lease = ("lease_retry_period", "lease_renew_deadline", "lease_duration")
            yield f"{self._said(*lease)}: the deadline must be at least twice the period, and shorter than the duration"
        if self.stuck_after <= self.reconcile_timeout:
            yield (
                f"{self._said('stuck_after', 'reconcile_timeout')}: a pass that is slow would restart the operator; "
                "the first must be longer than the second"
            )
        user, password = self.mlflow_username.get_secret_value(), self.mlflow_password.get_secret_value()
        if bool(user) != bool(password):
            there, missing = ("username", "password") if user else ("password", "username")
            yield f"{variable(f'mlflow_{there}')} is set, {variable(f'mlflow_{missing}')} is not: set both or neither"
        if self.mlflow_token.get_secret_value() and (user or password):
            yield f"{variable('mlflow_token')} and user and password are set: MLflow takes one or the other; remove one"

    def _said(self, *fields: str) -> str:
        return ", ".join(f"{variable(field)}={duration_text(getattr(self, field))}" for field in fields)


def variable(field: str) -> str:
    """The name of a field in the environment."""
    return f"{PREFIX}{field.upper()}"


def form(field: FieldInfo) -> Form[Any]:
    """How a field is written."""
    return next(one for one in field.metadata if isinstance(one, Form))


def _is_ours(name: str, value: str) -> bool:
    """Whether somebody set this for us. A Service called `serinus` makes a SERINUS_PORT too, told by its value."""
    return name.startswith(PREFIX) and not (_SERVICE_LINK.fullmatch(name) or _LINK_VALUE.match(value))


def _unknown(name: str, known: Iterable[str]) -> str:
    """What is said of a variable that nobody knows; not its value, which may be a secret under a mistyped name."""
    names = {one.removeprefix(PREFIX): one for one in known}
    close = get_close_matches(name.removeprefix(PREFIX), names, n=1, cutoff=0.75)
    return f"{name} is unknown: {f'did you mean {names[close[0]]}?' if close else 'remove it'}"


def _problems(error: ValidationError, values: Mapping[str, str]) -> Iterator[str]:
    for one in error.errors(include_url=False, include_input=False):
        if one["loc"]:
            yield _problem(str(one["loc"][0]), values)
        else:
            yield from one["msg"].splitlines()


def _problem(name: str, values: Mapping[str, str]) -> str:
    field = Settings.model_fields[name]
    value = "a secret" if field.annotation is SecretStr else _shown(values[name])
    return f"{variable(name)} is {value}: write {form(field).allowed}"


def _shown(value: str) -> str:
    """The value, of a length and in letters that fit a line, without the password of an address."""
    text = re.sub("//[^/]*@", "//***@", value)
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
