"""What people do meanwhile: with resources, with what the operator made, and with the registry."""

import json
from typing import Any, Final

from serinus import objects
from serinus.asks import ModelVersion
from serinus.objects import SERVICE, Manifest, ObjectKind, Ref, ref_of
from tests.sim.fields import Json
from tests.sim.judge_status import PASSWORD
from tests.sim.kinds import CHILDREN, KINDS, OURS, TRAINING_JOB
from tests.sim.lines import squat
from tests.sim.mlflow import Mlflow
from tests.sim.stage import Stage

NAMESPACE: Final = "ml"
NAMES: Final = ("churn", "fraud", "a-name-that-is-as-long-as-a-name-may-be-x")
MODEL: Final = "churn"
TRAINED: Final = "trained"
MINIMUM: Final = 0.8
ALIASES: Final = ("champion", "challenger")
SECRET_ENV: Final = [{"name": "TOKEN", "value": PASSWORD}]
# The operator's own reference that nobody knows: what `parse` alone refuses.
INVALID_ARGS: Final = ["$(params.nobody)"]
BROKEN_IMAGE: Final = "broken/server:1"


class Users:
    """Act from time to time, until told to stop."""

    def __init__(self, stage: Stage, mlflow: Mlflow) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow
        self._random = stage.random
        self._acting = True
        self._lost: list[Ref] = []
        self._actions = (
            (4, self._create),
            (8, self._edit),
            (1, self._annotate),
            (1, self._delete),
            (2, self._wipe_status),
            (2, self._delete_child),
            (3, self._edit_child),
            (1, self._take_a_name),
            (1, self._free_a_name),
            (2, self._new_version),
            (2, self._move_alias),
            (1, self._lose_alias),
        )

    def start(self) -> None:
        """A registry with versions, and the first resources."""
        self._server.namespaces[NAMESPACE] = True
        for _ in range(2):
            self._new_version()
        self._mlflow.set_alias(MODEL, ALIASES[0], "1")
        for _ in range(3):
            self._stage.later(0.0, 5.0, self._create)
        self._next()

    def stop(self) -> None:
        """Go home."""
        self._acting = False

    def last_wish(self) -> None:
        """A version that nobody has served yet."""
        self._new_version()
        number = str(sum(model == MODEL for model, _ in self._mlflow.versions))
        self._mlflow.set_alias(MODEL, ALIASES[0], number)

    def _next(self) -> None:
        self._stage.later(0.1, 2 * self._stage.weather.action_every, self._act)

    def _act(self) -> None:
        if not self._acting:
            return
        weights, actions = zip(*self._actions, strict=True)
        self._random.choices(actions, weights)[0]()
        self._next()

    # --- resources

    def _create(self) -> None:
        kind = self._random.choice(OURS)
        ref = Ref(kind, NAMESPACE, self._random.choice(NAMES))
        if self._server.get(ref) is None:
            metadata = {"name": ref.name, "namespace": ref.namespace, "labels": {"team": "growth"}}
            spec = self._spec(kind)
            self._stage.story.tell("user", "wants", ref, json.dumps(spec))
            self._server.create("user", kind, {"metadata": metadata, "spec": spec})

    def _edit(self) -> None:
        """A few specs only, so that people often come back to what they had."""
        resource = self._one_of(OURS)
        if resource is not None:
            kind = KINDS[resource["kind"]]
            spec = self._spec(kind)
            self._stage.story.tell("user", "edits", _ref(resource), json.dumps(spec))
            self._server.replace("user", kind, {**_naked(resource), "spec": spec})

    def _spec(self, kind: ObjectKind) -> Json:
        return self._training() if kind == TRAINING_JOB else self._serving()

    def _training(self) -> Json:
        random = self._random
        spec: dict[str, Any] = {
            "image": "mine/trainer:1",
            "parameters": {"depth": random.randint(1, 2)},
            "env": SECRET_ENV,
        }
        if random.random() < 0.2:
            spec["suspend"] = True
        if random.random() < 0.2:
            spec["backoffLimit"] = random.choice((0, 2))
        if random.random() < 0.1:
            spec["args"] = INVALID_ARGS
        if random.random() < 0.2:
            spec["ttlSecondsAfterFinished"] = 60
        return spec | (self._judging() if random.random() < 0.5 else {})

    def _judging(self) -> Json:
        """A gate, a registration, or both; jobs register into one model, and compare with each other's versions."""
        random = self._random
        register = {"model": TRAINED, "alias": ALIASES[1]}
        absolute = {"metric": "val_f1", "min": MINIMUM}
        relative = {"metric": "val_f1", "versus": {"alias": ALIASES[1]}, "minDelta": -1}
        return random.choice(
            (
                {"register": register},
                {"gate": [absolute]},
                {"gate": [absolute], "register": register},
                {"gate": [absolute, relative], "register": register},
            )
        )

    def _serving(self) -> Json:
        random = self._random
        model = {"alias": ALIASES[0]} if random.random() < 0.7 else {"version": str(random.randint(1, 3))}
        server: dict[str, Any] = {"env": SECRET_ENV, "replicas": random.choice((1, 1, 2))}
        if random.random() < 0.3:
            server["image"] = random.choice(("mine/server:1", "mine/server:2"))
        if random.random() < 0.1:
            server["image"] = BROKEN_IMAGE
        return {"model": {"name": MODEL, **model}, "server": server}

    def _annotate(self) -> None:
        resource = self._one_of(OURS)
        if resource is not None:
            note = {"metadata": {"annotations": {"note": str(self._random.randrange(3))}}}
            self._server.patch("user", _ref(resource), note)

    def _delete(self) -> None:
        resource = self._one_of(OURS)
        if resource is not None:
            self._server.delete("user", _ref(resource), foreground=self._stage.chance(0.3))

    def _wipe_status(self) -> None:
        resource = self._one_of(OURS)
        if resource is not None:
            self._server.put_status("user", _ref(resource), {"observedGeneration": -1})

    # --- children

    def _delete_child(self) -> None:
        child = self._one_of(CHILDREN)
        if child is not None:
            self._lost.append(_ref(child))
            self._server.delete("user", _ref(child), foreground=self._stage.chance(0.3))

    def _edit_child(self) -> None:
        child = self._one_of(CHILDREN)
        if child is not None:
            edits: list[Json] = [
                {"metadata": {"labels": {"team": "curious"}}},
                {"metadata": {"labels": dict.fromkeys(objects.labels(child))}},
                {"metadata": {"annotations": None}},
                {"metadata": {"ownerReferences": None}},
            ]
            if child["kind"] == "Deployment":
                edits += [{"spec": {"replicas": 3}}, {"spec": {"minReadySeconds": 5}}]
            if child["kind"] == "Service":
                edits += [{"spec": {"selector": {"app": "elsewhere"}}}, {"spec": {"selector": None}}]
            edit = self._random.choice(edits)
            self._stage.story.tell("user", "edits by hand", _ref(child), json.dumps(edit))
            self._server.patch("user", _ref(child), edit)

    def _take_a_name(self) -> None:
        """An object of somebody else has the name that a child of ours had, or will have."""
        names = [*self._lost, *(Ref(SERVICE, NAMESPACE, name) for name in NAMES)]
        ref = self._random.choice(names)
        if self._server.get(ref) is None:
            squat(self._stage, ref)

    def _free_a_name(self) -> None:
        theirs = [
            one for kind in CHILDREN for one in self._server.of(kind) if objects.labels(one).get("app") == "squatter"
        ]
        if theirs:
            self._server.delete("squatter", _ref(self._random.choice(theirs)))

    def _one_of(self, kinds: tuple[ObjectKind, ...]) -> Manifest | None:
        there = [one for kind in kinds for one in self._server.of(kind) if objects.labels(one).get("app") != "squatter"]
        return self._random.choice(there) if there else None

    # --- the registry

    def _new_version(self) -> None:
        self._mlflow.make_version("", ModelVersion(MODEL, "", ready=True))

    def _move_alias(self) -> None:
        versions = sorted(version for model, version in self._mlflow.versions if model == MODEL)
        self._mlflow.set_alias(MODEL, ALIASES[0], self._random.choice(versions))

    def _lose_alias(self) -> None:
        if self._stage.chance(0.3):
            self._mlflow.lose_alias(MODEL, ALIASES[0])


def _ref(manifest: Manifest) -> Ref:
    return ref_of(KINDS[manifest["kind"]], manifest)


def _naked(resource: Manifest) -> dict[str, Any]:
    """What a person writes again: no version, so that it is not refused for being old."""
    metadata = {key: value for key, value in resource["metadata"].items() if key != "resourceVersion"}
    return {**resource, "metadata": metadata}
