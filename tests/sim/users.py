"""What people do meanwhile: with resources, with what the operator made, and with the registry."""

import json
from typing import Any, Final

from serinus import objects
from serinus.api.names import Annotation
from serinus.asks import ModelVersion
from serinus.objects import POD, SERVICE, Manifest, ObjectKind, Ref, ref_of
from tests.sim import specs
from tests.sim.fields import Json, get
from tests.sim.kinds import CHILDREN, KINDS, OURS, TRAINING_JOB, is_of_job
from tests.sim.lines import squat
from tests.sim.mlflow import Mlflow
from tests.sim.specs import ALIASES, MODEL, TRAINED
from tests.sim.stage import Stage

NAMESPACE: Final = "ml"
NAMES: Final = ("churn", "fraud", "a-name-that-is-as-long-as-a-name-may-be-x")
# How often an edit leaves the revision as it is, and how often it or another goes back to what was wanted before.
EDITS_OUTSIDE: Final = 0.3
GOES_BACK: Final = 0.65
ACTIONS: Final = ("retry@{}", "retry@{}", "retry@{}", "retry@{}", "promote@{}", "retry")


class Users:
    """Act from time to time, until told to stop."""

    def __init__(self, stage: Stage, mlflow: Mlflow) -> None:
        self._stage = stage
        self._server = stage.server
        self._mlflow = mlflow
        self._random = stage.random
        self._acting = True
        self._lost: list[Ref] = []
        self._wanted: dict[Ref, list[Json]] = {}
        self._ids = 0
        self._actions = (
            (4, self._create),
            (8, self._edit),
            (1, self._annotate),
            (4, self._ask),
            (1, self._delete),
            (1, self._replace),
            (2, self._there_and_back),
            (2, self._wipe_status),
            (2, self._delete_child),
            (2, self._delete_pod),
            (3, self._edit_child),
            (1, self._take_a_name),
            (1, self._free_a_name),
            (2, self._new_version),
            (2, self._move_alias),
            (1, self._lose_alias),
            (1, self._move_trained),
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
        kind = self._random.choice((TRAINING_JOB, *OURS))
        ref = Ref(kind, NAMESPACE, self._random.choice(NAMES))
        if self._server.get(ref) is None:
            metadata = {"name": ref.name, "namespace": ref.namespace, "labels": {"team": "growth"}}
            spec = self._spec(ref)
            self._stage.story.tell("user", "wants", ref, json.dumps(spec))
            self._server.create("user", kind, {"metadata": metadata, "spec": spec})

    def _edit(self) -> None:
        """A few specs only, so that people often come back to what they had."""
        resource = self._one_of(OURS)
        if resource is not None:
            self._write(resource, self._spec(_ref(resource)))

    def _spec(self, ref: Ref) -> Json:
        """A new one, what was wanted earlier, or for training what changes nothing but how it is done."""
        before, known = self._server.get(ref), self._wanted.setdefault(ref, [])
        dice = self._random.random()
        if before is not None and ref.kind == TRAINING_JOB and dice < EDITS_OUTSIDE:
            return specs.otherwise(self._random, before["spec"])
        if known and dice < GOES_BACK:
            return self._random.choice(known)
        made = specs.training(self._random) if ref.kind == TRAINING_JOB else specs.serving(self._random)
        known.append(made)
        return made

    def _annotate(self) -> None:
        resource = self._one_of(OURS)
        if resource is not None:
            note = {"metadata": {"annotations": {"note": str(self._random.randrange(3))}}}
            self._server.patch("user", _ref(resource), note)

    def _ask(self) -> None:
        """An action: most for a new attempt, some once more, some that nobody understands."""
        there = [one for one in self._server.of(TRAINING_JOB) if objects.labels(one).get("app") != "squatter"]
        if not there:
            return
        ended = [one for one in there if get(one, "status", "phase") in {"Failed", "Rejected"}]
        self._ids += self._stage.chance(0.8)
        text = self._random.choice(ACTIONS).format(self._ids)
        if not ended and self._stage.chance(0.7):
            return
        ref = _ref(self._random.choice(ended or there))
        self._stage.story.tell("user", "asks", ref, text)
        self._server.patch("user", ref, {"metadata": {"annotations": {Annotation.ACTION: text}}})

    def _there_and_back(self) -> None:
        """What was wanted is wanted again soon after something else was, above all where it came to nothing."""
        there = self._server.of(TRAINING_JOB)
        bad = [one for one in there if get(one, "status", "phase") in {"Failed", "Rejected"}]
        if there:
            resource = self._random.choice(bad or there)
            self._write(resource, specs.training(self._random))
            self._stage.later(0.1, 60.0, lambda: self._back(_ref(resource), resource))

    def _back(self, ref: Ref, before: Manifest) -> None:
        live = self._server.get(ref)
        if live is not None and self._acting:
            self._write(live, before["spec"])

    def _write(self, resource: Manifest, spec: Json) -> None:
        self._stage.story.tell("user", "edits", _ref(resource), json.dumps(spec))
        self._server.replace("user", KINDS[resource["kind"]], {**_naked(resource), "spec": spec})

    def _replace(self) -> None:
        """A resource goes while it works, and another of its name comes at once."""
        there = self._server.of(TRAINING_JOB)
        if there:
            old = self._random.choice(there)
            spec = old["spec"] if self._stage.chance(0.5) else specs.training(self._random)
            self._server.delete("user", _ref(old))
            metadata = {"name": old["metadata"]["name"], "namespace": NAMESPACE}
            self._stage.story.tell("user", "wants again", _ref(old), json.dumps(spec))
            self._server.create("user", TRAINING_JOB, {"metadata": metadata, "spec": spec})

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

    def _delete_pod(self) -> None:
        """By hand, as pods of training are deleted: with patience, or by force where nothing is heard of one."""
        pods = [one for one in self._server.of(POD) if is_of_job(one)]
        if not pods:
            return
        ref = _ref(pod := self._random.choice(pods))
        if objects.is_going(pod) and get(pod, "status", "phase") not in {"Succeeded", "Failed"}:
            # The finalizer of its Job keeps even this one until it is counted: it is only given an end.
            self._server.put_status("user", ref, {**(pod.get("status") or {}), "phase": "Failed"})
        else:
            self._server.delete("user", ref)

    def _edit_child(self) -> None:
        child = self._one_of(CHILDREN)
        if child is not None:
            edit = self._random.choice(self._edits(child))
            self._stage.story.tell("user", "edits by hand", _ref(child), json.dumps(edit))
            self._server.patch("user", _ref(child), edit)

    @staticmethod
    def _edits(child: Manifest) -> list[Json]:
        edits: list[Json] = [{"metadata": {"labels": {"team": "curious"}}}, {"metadata": {"annotations": None}}]
        if not get(child, "spec", "template", "spec", "initContainers"):
            # A Job that fetches code says which, once that is known: it could not get its labels back by an apply.
            edits.append({"metadata": {"labels": dict.fromkeys(objects.labels(child))}})
        if child["kind"] != "Job":
            # A Job without its owner would be taken for that of a successor of the same name and spec.
            edits.append({"metadata": {"ownerReferences": None}})
        if child["kind"] == "Deployment":
            edits += [{"spec": {"replicas": 3}}, {"spec": {"minReadySeconds": 5}}]
        if child["kind"] == "Service":
            edits += [{"spec": {"selector": {"app": "elsewhere"}}}, {"spec": {"selector": None}}]
        return edits

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

    def _move_trained(self) -> None:
        """Somebody prefers another of the versions that were trained, or none."""
        versions = sorted(version for model, version in self._mlflow.versions if model == TRAINED)
        if versions and self._stage.chance(0.7):
            self._mlflow.set_alias(TRAINED, ALIASES[1], self._random.choice(versions))
        else:
            self._mlflow.lose_alias(TRAINED, ALIASES[1])

    def _lose_alias(self) -> None:
        if self._stage.chance(0.3):
            self._mlflow.lose_alias(MODEL, ALIASES[0])


def _ref(manifest: Manifest) -> Ref:
    return ref_of(KINDS[manifest["kind"]], manifest)


def _naked(resource: Manifest) -> dict[str, Any]:
    """What a person writes again: no version, so that it is not refused for being old."""
    metadata = {key: value for key, value in resource["metadata"].items() if key != "resourceVersion"}
    return {**resource, "metadata": metadata}
