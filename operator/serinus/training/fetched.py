"""What the init container says of the code and the data that it fetched: it leaves a few words where it ended."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from serinus.api.conditions import Reason
from serinus.api.trainingjob import TrainingJob
from serinus.api.trainingjob_status import BrokenExpectation, ResolvedInput
from serinus.objects import Manifest

CONTAINER: Final = "serinus-fetch"
# Its exit code where trying again would not help.
PERMANENT: Final = 65
REASONS: Final = frozenset(
    {Reason.DIGEST_MISMATCH, Reason.EXPECTATIONS_BROKEN, Reason.INPUT_UNREADABLE, Reason.SOURCE_UNREADABLE}
)
INPUT_REASONS: Final = REASONS - {Reason.SOURCE_UNREADABLE}


@dataclass(frozen=True)
class Failure:
    """Why the code or the data could not be had, or may not be used."""

    reason: Reason
    message: str
    permanent: bool
    broken: tuple[BrokenExpectation, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """What was fetched: the commit of the code, and the inputs."""

    commit: str = ""
    inputs: tuple[ResolvedInput, ...] = ()


def failed(status: Manifest) -> bool:
    """Whether this container has failed, whatever it could still say. Of a pod's status."""
    return bool(_terminated(status).get("exitCode"))


def failure(pod: Manifest) -> Failure | None:
    """Why it failed, if it is this container that failed and it could still say so. Of a pod's status."""
    state = _terminated(pod)
    said = _said(state)
    told = said.get("failure")
    word = _text(told.get("reason")) if isinstance(told, Mapping) else ""
    if not state.get("exitCode") or not isinstance(told, Mapping) or word not in REASONS:
        return None
    reason, message = Reason(word), _text(told.get("message"))
    more = int(said["more"]) if str(said.get("more", "")).isdecimal() else 0
    words = f"{message} (and {more} more)" if more else message
    return Failure(reason, words, state["exitCode"] == PERMANENT, _broken(said.get("broken")))


def of_pod(job: TrainingJob, pod: Manifest) -> Fetched | None:
    """What it fetched; None where there is nothing to fetch, or it has not ended yet."""
    said = _said(_terminated(pod.get("status", {})))
    if not said:
        return None
    each = said.get("inputs")
    pairs = zip(job.spec.inputs, each, strict=False) if isinstance(each, list) else ()
    inputs = tuple(found for one, entry in pairs if (found := _input(one.name, entry)) is not None)
    return Fetched(_text(said.get("commit")), inputs)


def _terminated(status: Manifest) -> Mapping[str, Any]:
    every = status.get("initContainerStatuses") or ()
    states = (one.get("state", {}).get("terminated") for one in every if one["name"] == CONTAINER)
    return next((state for state in states if state), {})


def _said(state: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        said = json.loads(state.get("message") or "{}")
    except ValueError:
        # Cut short, or the words of somebody else: a kill, or the last lines of a log.
        return {}
    return said if isinstance(said, Mapping) else {}


def _text(value: object) -> str:
    """A text, without the halves of letters that JSON allows and no status does."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _input(name: str, entry: object) -> ResolvedInput | None:
    match entry:
        case [str(text), int() | None as rows]:
            try:
                digest = base64.urlsafe_b64decode(f"{text}=").hex()
            except ValueError:
                return None
            return ResolvedInput(name=name, sha256=digest, rows=rows)
        case _:
            return None


def _broken(entries: object) -> tuple[BrokenExpectation, ...]:
    try:
        return tuple(BrokenExpectation.model_validate(one) for one in entries) if isinstance(entries, list) else ()
    except ValidationError:
        return ()
