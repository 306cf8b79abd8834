"""Actions: what users ask of a ModelDeployment by an annotation, without a change of its spec."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from serinus.api import names
from serinus.api.invalid import Invalid, Problem


class Verb(StrEnum):
    """What can be asked for."""

    PROMOTE = "promote"
    PROMOTE_FULL = "promote-full"
    ABORT = "abort"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    ROLLBACK = "rollback"
    RESTART = "restart"


MEANING: Final[Mapping[Verb, str]] = {
    Verb.PROMOTE: "go on to the next step",
    Verb.PROMOTE_FULL: "skip the steps that are left and promote the canary",
    Verb.ABORT: "take all traffic from the canary and give up this revision",
    Verb.RETRY: "try a rejected or aborted revision again, from the first step",
    Verb.PAUSE: "hold the rollout where it is",
    Verb.RESUME: "go on after `pause` or `rollback`",
    Verb.ROLLBACK: "go back to the previous stable revision; holds until `resume` or a new version",
    Verb.RESTART: "start the pods anew, and resolve the operator's defaults again",
}


@dataclass(frozen=True)
class Action:
    """One request; it is executed once for its id."""

    verb: Verb
    id: str


def requested(annotations: Mapping[str, str]) -> Action | Invalid | None:
    """The action that the annotations of a resource ask for, if any: `<verb>@<any id>`."""
    text = annotations.get(names.Annotation.ACTION)
    if not text:
        return None
    verb, _, name = text.partition("@")
    if verb in set(Verb) and re.fullmatch("[-A-Za-z0-9_.:]{1,64}", name):
        return Action(Verb(verb), name)
    wanted = f"write <verb>@<id>, with one of {', '.join(Verb)} and up to 64 letters, digits or - _ . : as the id"
    return Invalid(
        (Problem(f"metadata.annotations[{names.Annotation.ACTION}]", f"{text[:80]!r} is no action: {wanted}"),)
    )
