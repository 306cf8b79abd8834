"""What people write into their specs: random, and out of few parts, so that what was wanted comes back."""

from random import Random
from typing import Any, Final

from tests.sim import code
from tests.sim.fields import Json
from tests.sim.judge_status import PASSWORD

MODEL: Final = "churn"
TRAINED: Final = "trained"
MINIMUM: Final = 0.8
ALIASES: Final = ("champion", "challenger")
SECRET_ENV: Final = [{"name": "TOKEN", "value": PASSWORD}]
# The operator's own reference that nobody knows: what `parse` alone refuses.
INVALID_ARGS: Final = ["$(params.nobody)"]
BROKEN_IMAGE: Final = "broken/server:1"
DATA: Final = ("configmap://data/good", "configmap://data/good", "configmap://data/broken", "configmap://data/other")
GIT: Final = ("https://git.example/mine", "https://git.example/mine", "https://git.example/gone")
# Fields outside the revision, and what they may be; None leaves one out.
OUTSIDE: Final[dict[str, tuple[Json, ...]]] = {
    "suspend": (True, None, None, None),
    "backoffLimit": (0, 1, 3, None),
    "activeDeadlineSeconds": (3, 30, 300, None, None, None),
    "ttlSecondsAfterFinished": (60, None, None),
    "queue": ("team-a", None, None),
}


def training(random: Random) -> Json:
    """What to train."""
    spec: dict[str, Any] = {
        "image": "mine/trainer:1",
        "parameters": _parameters(random),
        "env": SECRET_ENV,
    }
    if random.random() < 0.1:
        spec["args"] = INVALID_ARGS
    for field in OUTSIDE:
        if random.random() < 0.4:
            spec = _with_another(random, spec, field)
    for part in (_sources, _inputs, _workers, _checkpoints):
        if random.random() < 0.2:
            spec |= part(random)
    return spec | (_judging(random) if random.random() < 0.6 else {})


def otherwise(random: Random, spec: Json) -> Json:
    """The same, done in another way."""
    return _with_another(random, spec, random.choice(tuple(OUTSIDE)))


def serving(random: Random) -> Json:
    """What to serve."""
    model = {"alias": ALIASES[0]} if random.random() < 0.7 else {"version": str(random.randint(1, 3))}
    server: dict[str, Any] = {"env": SECRET_ENV, "replicas": random.choice((1, 1, 2))}
    if random.random() < 0.3:
        server["image"] = random.choice(("mine/server:1", "mine/server:2"))
    if random.random() < 0.1:
        server["image"] = BROKEN_IMAGE
    return {"model": {"name": MODEL, **model}, "server": server}


def _with_another(random: Random, spec: Json, field: str) -> Json:
    value = random.choice(OUTSIDE[field])
    rest = {key: one for key, one in spec.items() if key != field}
    return rest if value is None else {**rest, field: value}


def _parameters(random: Random) -> Json:
    """Most code is good; what is not says so."""
    depth = {"depth": random.randint(1, 2)}
    return {**depth, "code": random.choice(code.KINDS)} if random.random() < 0.3 else depth


def _sources(random: Random) -> Json:
    if random.random() < 0.5:
        return {"source": {"configMap": {"name": "code"}}}
    return {"source": {"git": {"url": random.choice(GIT), "ref": "main"}}}


def _inputs(random: Random) -> Json:
    return {"inputs": [{"name": "train", "uri": random.choice(DATA), "mountPath": "/data"}]}


def _workers(random: Random) -> Json:
    return {"workers": random.choice((2, 3))}


def _checkpoints(_random: Random) -> Json:
    return {"checkpoints": {"size": "1Gi"}}


def _judging(random: Random) -> Json:
    """A gate, a registration, or both; jobs register into one model, and compare with each other's versions."""
    register = {"model": TRAINED, "alias": ALIASES[1]}
    absolute = {"metric": code.METRIC, "min": MINIMUM}
    lenient = {"metric": code.METRIC, "versus": {"alias": ALIASES[1]}, "minDelta": -1}
    strict = {**lenient, "minDelta": 0}
    return random.choice(
        (
            {"register": register},
            {"gate": [absolute]},
            {"gate": [absolute], "register": register},
            {"gate": [absolute, lenient], "register": register},
            {"gate": [strict], "register": register},
        )
    )
