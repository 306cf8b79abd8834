"""What the container that fetches code and data comes to, in the words that images/trainer/serinus_fetch leaves."""

import base64
import hashlib
import json
from typing import Final

from serinus.objects import Manifest
from tests.sim.fields import Json, get

CONTAINER: Final = "serinus-fetch"
PERMANENT: Final = 65
TRANSIENT: Final = 1
COMMIT: Final = "c0ffee" + "0" * 34
# Places where something is for good not as it should be, and the reason that is told.
UNFIT: Final = {
    "configmap://data/broken": "ExpectationsBroken",
    "configmap://data/other": "DigestMismatch",
    "https://git.example/gone": "SourceUnreadable",
}
BROKEN: Final = {"input": "train", "column": "age", "expected": "min 0", "found": "-1 in row 7"}


def order_of(pod: Manifest) -> Json | None:
    """What is to be fetched; None if there is nothing."""
    for container in get(pod, "spec", "initContainers") or ():
        if container["name"] == CONTAINER:
            env = {one["name"]: one.get("value", "") for one in container.get("env") or ()}
            return json.loads(env["SERINUS_FETCH"].replace("$$", "$"))
    return None


def carried_out(order: Json, *, fails: bool) -> tuple[int, str]:
    """The exit code, and what it says; `fails` is a failure that passes, and is told where it still can be."""
    url = get(order, "source", "git", "url")
    places = [*([url] if url else []), *(one["uri"] for one in order["inputs"])]
    reason = next((UNFIT[place] for place in places if place in UNFIT), "")
    if reason:
        failure = {"reason": reason, "message": f"{places[0]} is not as it should be"}
        broken = {"broken": [BROKEN]} if reason == "ExpectationsBroken" else {}
        return PERMANENT, json.dumps({"failure": failure, **broken})
    if fails:
        return TRANSIENT, json.dumps({"failure": {"reason": "InputUnreadable", "message": "timed out"}})
    inputs = [[_digest(one["uri"]), 100] for one in order["inputs"]]
    return 0, json.dumps({**({"commit": COMMIT} if url else {}), **({"inputs": inputs} if inputs else {})})


def at_work() -> Json:
    """The status of the container while it fetches."""
    return {"name": CONTAINER, "state": {"running": {}}}


def ended(code: int, said: str, now: str) -> Json:
    """The status of the container at its end."""
    reason = "Error" if code else "Completed"
    state = {"exitCode": code, "reason": reason, "message": said, "finishedAt": now}
    return {"name": CONTAINER, "state": {"terminated": state}}


def _digest(uri: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(uri.encode()).digest()).decode().rstrip("=")
