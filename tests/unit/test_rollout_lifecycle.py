"""The life of a ModelDeployment, told step by step: what was observed, what was decided, and who serves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus import rollout
from serinus.api import conditions
from serinus.api.names import Label
from serinus.asks import Absent, Answer, Ask, Known, ModelVersion, ResolveVersion, Trouble, TroubleKind
from serinus.objects import DEPLOYMENT, SERVICE, Manifest, ObjectKind, Ref, labels
from serinus.plan import Plan
from tests.unit.fakes import DEFAULTS, NOON, Json, Story, as_json, resource

GOLDEN = Path(__file__).parent / "golden"
AWAY = Trouble(TroubleKind.UNREACHABLE, "no answer from http://mlflow:5000")


class Life(Story[Any]):
    """A ModelDeployment, and a registry that says which version is desired."""

    def __init__(self, alias: str = "champion", version: str = "", **server: Json) -> None:
        self.says: Answer[ModelVersion | Absent] = known("1")
        model = {"version": version} if version else {"alias": alias}
        spec = {"model": {"name": "churn", **model}, **({"server": server} if server else {})}
        super().__init__(rollout.KIND, resource(rollout.KIND, spec), self._answer)

    def _answer(self, ask: Ask[Any]) -> Answer[Any] | None:
        assert isinstance(ask, ResolveVersion)
        if isinstance(self.says, Known) and isinstance(self.says.value, ModelVersion) and ask.version:
            return known(ask.version)
        return self.says

    def step(self) -> Plan:
        """One pass; where somebody serves, somebody serves after it."""
        served = self.is_served
        plan = super().step()
        assert self.is_served >= served, f"nobody serves after {self.effects[-3:]}"
        return plan

    def desire(self, version: str, *, ready: bool = True) -> None:
        """The registry says otherwise from now on."""
        self.says = known(version, ready=ready)
        self.forget_troubles()

    def answer(self, says: Answer[Any]) -> None:
        """The registry answers so from now on."""
        self.says = says
        self.forget_troubles()

    def make_ready(self, pods: int = 1) -> None:
        """All pods that there are become ready."""
        for one in self.of(DEPLOYMENT):
            self.set_status(one, readyReplicas=pods)

    def deployment(self, version: str) -> Manifest:
        """The Deployment of a version."""
        (found,) = [one for one in self.of(DEPLOYMENT) if labels(one)[Label.VERSION] == version]
        return found

    @property
    def versions(self) -> list[str]:
        """The versions that have pods."""
        return sorted(labels(one)[Label.VERSION] for one in self.of(DEPLOYMENT))

    @property
    def serving(self) -> str:
        """The version that the Service leads to."""
        return "".join(labels(one)[Label.VERSION] for one in self._led_to())

    @property
    def is_served(self) -> bool:
        """Whether the Service leads to pods that are ready."""
        return any(one.get("status", {}).get("readyReplicas") for one in self._led_to())

    def _led_to(self) -> list[Manifest]:
        led = {service["spec"]["selector"][Label.REVISION] for service in self.of(SERVICE)}
        return [one for one in self.of(DEPLOYMENT) if labels(one)[Label.REVISION] in led]

    @property
    def status(self) -> dict[str, Json]:
        """The status, as it is stored."""
        status: dict[str, Json] = self.raw["status"]
        return status

    def place(self) -> Json:
        """Where it is, for people and programs; without times and words."""
        places = {name: (self.status.get(name) or {}).get("version") for name in ("stable", "canary")}
        return self.status["phase"], places, self.conditions(), self.serving, self.versions


def known(version: str, *, ready: bool = True) -> Known[ModelVersion | Absent]:
    status = "READY" if ready else "PENDING_REGISTRATION"
    return Known(ModelVersion("churn", version, ready, "run-1", "s3://m/1", status=status), NOON)


def served(**server: Json) -> Life:
    life = Life(**server)
    life.run()
    life.make_ready(server.get("replicas", 1))
    life.run()
    assert (life.serving, life.status["phase"]) == ("1", "Healthy")
    return life


def rolling() -> Life:
    life = served()
    life.desire("2")
    life.run()
    return life


def image_of(deployment: Manifest) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def environment_of(deployment: Manifest) -> dict[str, str]:
    return {one["name"]: one["value"] for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_first_the_version_is_asked_for_then_its_pods_start_then_they_are_led_to() -> None:
    life = Life()
    (ask,) = life.step().ask
    assert isinstance(ask, ResolveVersion)
    assert (ask.model, ask.alias, ask.every) == ("churn", "champion", DEFAULTS.registry_poll)
    assert (life.status["phase"], life.conditions()["Reconciling"]) == ("Pending", ("True", "ResolvingModel"))
    life.run()
    assert (life.versions, life.serving) == (["1"], "")
    assert life.conditions()["Reconciling"] == ("True", "Scaling")
    assert life.status["resolved"]["version"] == "1"
    life.make_ready()
    life.run()
    assert life.serving == "1"
    assert life.conditions() == {
        "Ready": ("True", "RolloutComplete"),
        "Available": ("True", "MinimumReplicasAvailable"),
        "ModelResolved": ("True", "Resolved"),
    }
    assert life.status["phase"] == "Healthy"
    assert life.events == ["Normal Resolved", "Normal Scaling", "Normal RolloutComplete"]


def test_a_service_is_made_only_when_all_pods_are_ready() -> None:
    life = Life(replicas=3)
    life.run()
    life.make_ready(2)
    life.run()
    assert (life.serving, life.status["message"]) == ("", "version 1 has 2 of 3 pods ready")
    life.make_ready(3)
    life.run()
    assert (life.serving, life.status["replicas"]) == ("1", 3)


def test_a_new_version_starts_beside_the_old_one_and_takes_over_when_it_is_ready() -> None:
    life = rolling()
    assert (life.versions, life.serving) == (["1", "2"], "1")
    assert (life.status["stable"]["version"], life.status["canary"]["version"]) == ("1", "2")
    assert (life.status["stable"]["weight"], life.status["canary"].get("weight", 0)) == (100, 0)
    life.effects.clear()
    life.make_ready()
    life.run()
    assert (life.versions, life.serving) == (["2"], "2")
    assert [one.split()[:2] for one in life.effects] == [["change", "Service"], ["delete", "Deployment"]]
    assert life.status["stable"]["version"] == "2"
    assert "canary" not in life.status


def test_in_the_plan_that_leads_over_the_service_comes_before_any_delete() -> None:
    life = rolling()
    life.make_ready()
    deletes: list[int] = []
    for number in range(4):
        serving = life.serving
        plan = life.step()
        deletes += [number] if plan.delete else []
        moved = [one for one in plan.apply if one.kind == SERVICE]
        assert not plan.delete or serving == "2" or moved, "the old one would go while it is led to"
        assert all(labels(life.deployment("2"))[Label.REVISION] not in delete.ref.name for delete in plan.delete)
    assert deletes


def test_as_long_as_the_new_one_is_not_ready_nothing_is_deleted_and_the_service_stays() -> None:
    life = rolling()
    for _ in range(5):
        plan = life.step()
        assert plan.delete == ()
        assert life.serving == "1"


def test_a_version_that_comes_before_the_last_one_was_ready_takes_its_place() -> None:
    life = rolling()
    life.desire("3")
    life.run()
    assert life.serving == "1"
    life.make_ready()
    life.run()
    assert (life.versions, life.serving) == (["3"], "3")


def test_a_version_that_is_taken_back_leaves_the_old_one_as_it_was() -> None:
    life = rolling()
    life.desire("1")
    life.run()
    assert (life.versions, life.serving, life.status["phase"]) == (["1"], "1", "Healthy")
    assert "canary" not in life.status


def test_a_pinned_version_is_served() -> None:
    life = Life(version="7")
    life.run()
    life.make_ready()
    life.run()
    assert (life.serving, life.status["phase"]) == ("7", "Healthy")


UNRESOLVED: dict[str, tuple[Answer[Any], str, bool]] = {
    "no such model": (Known(Absent("model 'churn'"), NOON), "ModelNotFound", True),
    "no such alias": (Known(Absent("alias champion of model 'churn'"), NOON), "AliasNotFound", True),
    "no such version": (Known(Absent("version 7 of model 'churn'"), NOON), "VersionNotFound", True),
    "not ready": (known("2", ready=False), "VersionNotReady", True),
    "nobody is let in": (Trouble(TroubleKind.UNAUTHORIZED, "401"), "Unauthorized", True),
    "no credentials": (Trouble(TroubleKind.CREDENTIALS_MISSING, "no Secret"), "Unauthorized", True),
    "away": (AWAY, "Unreachable", False),
}
each_unresolved = pytest.mark.parametrize(("answer", "reason", "stalls"), UNRESOLVED.values(), ids=UNRESOLVED.keys())


@each_unresolved
def test_what_cannot_be_resolved_at_first_is_said_and_then_forgotten(
    answer: Answer[Any],
    reason: str,
    stalls: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    life = Life()
    life.answer(answer)
    life.run()
    assert life.children == {}
    assert life.conditions()["ModelResolved"] == ("False", reason)
    assert life.conditions().get("Stalled") == (("True", reason) if stalls else None)
    assert life.events == [f"Warning {reason}"]
    life.answer(known("1"))
    life.run()
    assert (life.versions, "Stalled" in life.conditions()) == (["1"], False)


@each_unresolved
def test_what_cannot_be_resolved_later_leaves_what_serves_alone(
    answer: Answer[Any],
    reason: str,
    stalls: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    del stalls
    life = served()
    effects = list(life.effects)
    life.answer(answer)
    life.run()
    assert (life.effects, life.serving, life.status["phase"]) == (effects, "1", "Healthy")
    assert life.conditions()["ModelResolved"] == ("False", reason)
    assert life.conditions()["Ready"] == ("True", "RolloutComplete")
    life.answer(known("1"))
    life.run()
    assert life.conditions()["ModelResolved"] == ("True", "Resolved")
    assert life.effects == effects


@each_unresolved
def test_what_cannot_be_resolved_in_between_stops_no_rollout_that_has_begun(
    answer: Answer[Any],
    reason: str,
    stalls: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    del reason, stalls
    life = rolling()
    life.answer(answer)
    life.run()
    assert (life.versions, life.serving) == (["1", "2"], "1")
    life.make_ready()
    life.run()
    assert (life.versions, life.serving) == (["2"], "2")


def test_an_outage_during_the_first_rollout_does_not_keep_it_from_serving() -> None:
    life = Life()
    life.run()
    life.answer(AWAY)
    life.make_ready()
    life.run()
    assert life.serving == "1"


def test_what_was_removed_during_an_outage_is_made_again() -> None:
    life = served()
    life.answer(AWAY)
    life.run()
    life.children = {ref: one for ref, one in life.children.items() if ref.kind != DEPLOYMENT}
    life.run()
    assert life.versions == ["1"]


@pytest.mark.parametrize(
    ("defaults", "word"),
    [
        (replace(DEFAULTS, tracking_uri=""), "spec.registry.uri"),
        (replace(DEFAULTS, server_image=""), "spec.server.image"),
    ],
    ids=["no server", "no image"],
)
def test_what_is_not_configured_is_said(defaults: Any, word: str) -> None:  # noqa: ANN401 (defaults)
    life = Life()
    life.defaults = defaults
    life.says = known("1")
    life.run()
    assert life.conditions()["Stalled"] == ("True", "ConfigurationMissing")
    assert word in life.status["message"]
    assert life.children == {}


def test_no_server_without_an_address_is_asked() -> None:
    life = Life()
    life.defaults = replace(DEFAULTS, tracking_uri="")
    assert life.step().ask == ()


def test_another_model_is_another_rollout_even_if_its_version_has_the_same_number() -> None:
    life = served()
    before = life.deployment("1")
    life.edit(model={"name": "fraud", "alias": "champion"})
    life.run()
    assert life.children[ref_of(before)]["spec"] == before["spec"], "what serves was changed in place"
    assert len(life.of(DEPLOYMENT)) == 2


@pytest.mark.parametrize("answer", [None, UNRESOLVED["no such model"][0], AWAY], ids=["none yet", "absent", "away"])
def test_as_long_as_another_model_is_not_resolved_what_serves_is_left_alone(answer: Any) -> None:  # noqa: ANN401
    life = served()
    before = life.deployment("1")
    life.says = answer
    life.edit(model={"name": "fraud", "alias": "champion"})
    life.run()
    assert life.deployment("1")["spec"] == before["spec"]
    assert (life.serving, life.versions) == ("1", ["1"])


def test_an_edit_of_the_server_is_a_rollout_of_the_same_version() -> None:
    life = served()
    life.edit(server={"env": [{"name": "MODE", "value": "fast"}]})
    life.run()
    assert (life.versions, life.is_served) == (["1", "1"], True)
    life.make_ready()
    life.run()
    assert (life.versions, life.serving) == (["1"], "1")


def test_another_number_of_pods_is_no_rollout() -> None:
    life = served()
    life.edit(server={"replicas": 3})
    life.run()
    assert life.effects[-1].startswith("change Deployment")
    assert (life.versions, life.serving, life.status["phase"]) == (["1"], "1", "Progressing")
    life.make_ready(3)
    life.run()
    assert life.status["phase"] == "Healthy"


def test_pods_that_are_not_ready_any_more_are_told_of() -> None:
    life = served()
    life.children = {ref: {**one, "status": {}} for ref, one in life.children.items()}
    life.run()
    assert (life.status["phase"], life.serving) == ("Progressing", "1")
    assert life.conditions()["Available"] == ("False", "NoReadyReplicas")
    assert "Warning NoReadyReplicas" in life.events


def test_a_service_that_was_removed_during_a_rollout_leads_to_who_served_before() -> None:
    life = rolling()
    life.children = {ref: one for ref, one in life.children.items() if ref.kind != SERVICE}
    life.run()
    assert life.serving == "1"


def test_the_one_that_serves_is_made_again_if_it_is_removed_during_a_rollout() -> None:
    life = rolling()
    stable = life.deployment("1")
    life.children = {ref: one for ref, one in life.children.items() if one is not stable}
    life.run()
    assert life.versions == ["1", "2"]


STAGES = {"served": served, "rolling out": rolling}
each_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())


@each_stage
def test_a_status_that_is_wiped_ends_in_the_same_place(stage: Any) -> None:  # noqa: ANN401 (a stage)
    life = stage()
    before, effects = life.place(), list(life.effects)
    life.wipe()
    life.run()
    life.make_ready() if stage is served else None
    life.run()
    assert life.effects == effects
    assert (life.serving, life.versions, life.conditions()) == (before[3], before[4], before[2])
    assert life.status["phase"] == before[0]


@each_stage
def test_a_status_that_is_wiped_in_an_outage_leaves_what_serves_alone_and_says_how_it_does(stage: Any) -> None:  # noqa: ANN401
    life = stage()
    effects = list(life.effects)
    life.says = AWAY
    life.wipe()
    life.run()
    assert (life.effects, life.serving) == (effects, "1")
    assert "Ready" in life.conditions()
    life.answer(known("1" if stage is served else "2"))
    life.run()
    assert life.effects == effects


@each_stage
@pytest.mark.parametrize("says", [None, AWAY], ids=["all is well", "in an outage"])
def test_another_operator_that_takes_over_writes_nothing_to_what_is_settled(stage: Any, says: Any) -> None:  # noqa: ANN401
    life = stage()
    if says is not None:
        life.answer(says)
        life.run()
    before, events, effects = life.raw["status"], list(life.events), list(life.effects)
    life.restart()
    for _ in range(4):
        life.step()
        assert life.raw["status"] == before
    assert (life.events, life.effects) == (events, effects)


@each_stage
@pytest.mark.parametrize("changed", [{"server_image": "server:2"}, {"tracking_uri": "http://new:5000"}], ids=repr)
def test_an_upgrade_of_the_operator_restarts_no_pods(stage: Any, changed: dict[str, str]) -> None:  # noqa: ANN401
    life = stage()
    effects = list(life.effects)
    life.defaults = replace(DEFAULTS, **changed)  # type: ignore[arg-type]
    life.run()
    assert life.effects == effects


def test_a_new_revision_takes_the_operators_image_of_today() -> None:
    life = served()
    life.defaults = replace(DEFAULTS, server_image="server:2")
    life.desire("2")
    life.run()
    assert (image_of(life.deployment("1")), image_of(life.deployment("2"))) == ("server:1", "server:2")
    assert environment_of(life.deployment("2"))["MODEL_URI"] == "models:/churn/2"


def test_since_when_the_version_is_the_one_stays() -> None:
    life = served()
    before = life.status["stable"]["since"], life.status["resolved"]["resolvedAt"]
    life.now = life.now.replace(hour=20)
    life.run()
    assert (life.status["stable"]["since"], life.status["resolved"]["resolvedAt"]) == before


def unresolved() -> Life:
    life = Life()
    life.answer(AWAY)
    life.run()
    return life


@pytest.mark.parametrize("stage", [unresolved, served, rolling], ids=["unresolved", "served", "rolling out"])
def test_only_reasons_of_the_closed_lists_are_given(stage: Any) -> None:  # noqa: ANN401 (a stage)
    life = stage()
    wrong = {kind: said for kind, said in life.conditions().items() if said[1] not in conditions.MODEL_DEPLOYMENT[kind]}
    assert wrong == {}


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("modeldeployment-*.yaml")))
def test_the_plan_is_as_it_is_written_down(name: str) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text()
    found = golden_life(yaml.safe_load(text)).step().status.wire()["canary"]["revision"]
    golden = yaml.safe_load(text.replace("$REVISION", found))
    assert as_json(golden_life(golden).step()) == golden["plan"]


def golden_life(golden: Json) -> Life:
    """The resource with its children, where the version that is desired is known."""
    life = Life()
    life.raw = golden["resource"]
    life.says = known(golden["desired"])
    life.step()
    life.raw = golden["resource"]
    kinds = {"Deployment": DEPLOYMENT, "Service": SERVICE}
    life.children = {ref_of(child, kinds[child["kind"]]): child for child in golden["children"]}
    return life


def ref_of(child: Manifest, kind: ObjectKind = DEPLOYMENT) -> Ref:
    return Ref(kind, "team", child["metadata"]["name"])
