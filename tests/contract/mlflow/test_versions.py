"""Versions of registered models: what is resolved, made, tagged and pointed at in a real MLflow."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from serinus.asks import (
    Absent,
    EnsureVersion,
    FindVersions,
    ModelVersion,
    RegistryAsk,
    ResolveVersion,
    Server,
    SetAlias,
    TagVersion,
    TroubleKind,
    pairs,
)
from tests.contract.mlflow import proxy
from tests.contract.mlflow.desk import Desk
from tests.contract.mlflow.rest import Rest

pytestmark = pytest.mark.local

MANY = 200


def _alias(desk: Desk, model: str, alias: str) -> ResolveVersion:
    return ResolveVersion(server=desk.server, model=model, alias=alias)


def _version(desk: Desk, model: str, version: str) -> ResolveVersion:
    return ResolveVersion(server=desk.server, model=model, version=version)


def test_an_alias_and_a_number_lead_to_the_same_version(mlflow: Rest, desk: Desk, name: str) -> None:
    source = mlflow.model(name, versions=2, aliases={"champion": 1})
    mlflow.post("model-versions/set-tag", name=name, version="1", key="owner", value="é")
    found = desk.ask(_alias(desk, name, "champion"))
    assert isinstance(found, ModelVersion)
    assert found == desk.ask(_version(desk, name, "1"))
    assert (found.model, found.version, found.ready, found.status) == (name, "1", True, "READY")
    assert (found.source, found.run_id) == (source, source.split("/")[1])
    assert found.tags == {"owner": "é"}
    assert found.created_at is not None
    assert timedelta() < datetime.now(UTC) - found.created_at < timedelta(minutes=5)


def test_the_logged_model_of_a_version_is_known_from_its_source(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    model_id = mlflow.logged_model(experiment, mlflow.run(experiment))
    mlflow.post("registered-models/create", name=name)
    mlflow.version(name, f"models:/{model_id}", model_id=model_id)
    found = desk.ask(_version(desk, name, "1"))
    assert isinstance(found, ModelVersion)
    assert found.model_id == model_id


def test_what_is_absent_says_what_it_is(mlflow: Rest, desk: Desk, name: str) -> None:
    mlflow.model(name, versions=2, aliases={"gone": 2})
    mlflow.call("DELETE", "api/2.0/mlflow/model-versions/delete", {"name": name, "version": "2"})
    assert desk.ask(_alias(desk, name, "none")) == Absent(f"alias 'none' of model '{name}'")
    # With its version goes an alias.
    assert desk.ask(_alias(desk, name, "gone")) == Absent(f"alias 'gone' of model '{name}'")
    assert desk.ask(_version(desk, name, "2")) == Absent(f"version '2' of model '{name}'")
    for ask in (_alias(desk, f"no {name}", "champion"), _version(desk, f"no {name}", "1")):
        assert desk.ask(ask) == Absent(f"model 'no {name}'")
    for order in (
        SetAlias(server=desk.server, model=name, alias="champion", version="2"),
        TagVersion(server=desk.server, model=name, version="2", tags=(("a", "b"),)),
    ):
        assert desk.ask(order) == Absent(f"version '2' of model '{name}'")


def test_many_are_resolved_with_few_requests_as_if_each_were_alone(mlflow: Rest, desk: Desk, name: str) -> None:
    run = mlflow.run(mlflow.experiment(name))
    models = [f"{name} {number:03}" for number in range(MANY // 8)]
    for number, model in enumerate(models):
        mlflow.post("registered-models/create", name=model)
        for _ in range(1 + number % 3):
            tags = [{"key": "of", "value": model}]
            mlflow.version(model, f"runs:/{run}/model", run_id=run, tags=tags)
        mlflow.post("registered-models/alias", name=model, alias="champion", version="1")
    many = [_alias(desk, model, alias) for model in models for alias in ("champion", "none")]
    many += [_version(desk, model, version) for model in models for version in "123456"]
    together = asyncio.run(desk.answers(*many))
    assert len(many) == MANY
    assert len(desk.meter.calls) <= 10, desk.meter.operations()
    assert together == [desk.ask(ask) for ask in many]
    assert sum(isinstance(answer, ModelVersion) for answer in together) == len(models) * 3 - 1


def test_a_batch_also_answers_what_is_odd(mlflow: Rest, desk: Desk, name: str) -> None:
    odd = [f"it's {name}", f'"{name}"', f"back\\n{name}", f"100% {name}", f"-- {name}"]
    for model in odd:
        mlflow.model(model, versions=2, aliases={"champion": 1})
    asks = [
        *(_alias(desk, model, "champion") for model in odd),
        *(_version(desk, model, "2") for model in odd),
        _alias(desk, odd[0], "latest"),
        _alias(desk, odd[3], "none"),
        _version(desk, odd[3], "99"),
        _alias(desk, f"no {name}", "champion"),
    ]
    together = asyncio.run(desk.answers(*asks))
    assert together == [desk.ask(ask) for ask in asks]
    assert [answer.version for answer in together[:11]] == ["1"] * 5 + ["2"] * 6
    assert [type(answer) for answer in together[11:]] == [Absent] * 3


def test_equal_asks_are_asked_once(mlflow: Rest, desk: Desk, name: str) -> None:
    mlflow.model(name, aliases={"champion": 1})
    asks: list[RegistryAsk[ModelVersion | Absent]] = [_alias(desk, name, "champion") for _ in range(5)]
    assert len(set(map(str, asyncio.run(desk.answers(*asks))))) == 1
    assert len(desk.meter.calls) == 1


def test_versions_are_found_by_a_tag_newest_first(mlflow: Rest, desk: Desk, name: str) -> None:
    ask = FindVersions(server=desk.server, model=name, tag="serinus.job", value="ml/a's")
    assert desk.ask(ask) == ()
    mlflow.model(name, versions=4)
    for version, value in (("1", "ml/a's"), ("2", "ml/b"), ("4", "ml/a's")):
        mlflow.post("model-versions/set-tag", name=name, version=version, key="serinus.job", value=value)
    assert [version.version for version in desk.ask(ask)] == ["4", "1"]


def test_versions_are_found_over_all_pages(mlflow: Rest, desk: Desk, name: str) -> None:
    mlflow.model(name, versions=5)
    for version in "12345":
        mlflow.post("model-versions/set-tag", name=name, version=version, key="a", value="b")

    async def story() -> list[str]:
        short = partial(re.sub, "max_results=[0-9]+", "max_results=2")
        async with proxy.forwarding(mlflow.address, rewrite=short) as address:
            at = replace(desk, server=Server(address))
            (found,) = await at.answers(FindVersions(server=at.server, model=name, tag="a", value="b"))
            return [version.version for version in found]

    assert asyncio.run(story()) == list("54321")
    assert len(desk.meter.calls) == 3


def test_a_version_is_made_once_with_its_model_and_all_that_was_ordered(mlflow: Rest, desk: Desk, name: str) -> None:
    experiment = mlflow.experiment(name)
    run = mlflow.run(experiment)
    model_id = mlflow.logged_model(experiment, run)
    tags = pairs({f"tag.{number}": "é" * 1000 for number in range(120)})
    order = EnsureVersion(
        server=desk.server,
        model=name,
        key=f"ml/{name}/1",
        source=f"models:/{model_id}",
        run_id=run,
        description="By a test",
        tags=tags,
    )
    made = desk.ask(order)
    assert (made.version, made.ready, made.model_id, made.run_id) == ("1", True, model_id, run)
    assert made.tags == {**dict(tags), "serinus.key": order.key}
    assert mlflow.get("model-versions/get", name=name, version="1")["model_version"]["description"] == "By a test"
    desk.meter.calls.clear()
    assert desk.ask(order) == made
    assert desk.meter.operations() == {"model-versions/search": 1}
    assert desk.ask(replace(order, key="another")).version == "2"


def test_two_operators_at_once_mean_the_same_version(mlflow: Rest, desk: Desk, name: str) -> None:
    run = mlflow.run(mlflow.experiment(name))
    order = EnsureVersion(server=desk.server, model=name, key=name, source=f"runs:/{run}/model", run_id=run)

    async def both() -> tuple[ModelVersion, ModelVersion]:
        (one,), (other,) = await asyncio.gather(desk.answers(order), desk.answers(order))
        return one, other

    one, other = asyncio.run(both())
    assert one.version == other.version == desk.ask(order).version


def test_a_source_that_mlflow_does_not_take_is_refused_with_its_words(desk: Desk, name: str) -> None:
    trouble = desk.trouble(
        EnsureVersion(server=desk.server, model=name, key=name, source=f"runs:/{'0' * 32}/model", run_id="")
    )
    assert trouble.kind == TroubleKind.REFUSED
    assert "Invalid model version source" in trouble.message


def test_an_alias_is_moved_once(mlflow: Rest, desk: Desk, name: str) -> None:
    mlflow.model(name, versions=2, aliases={"champion": 1})
    order = SetAlias(server=desk.server, model=name, alias="champion", version="2")
    moved = desk.ask(order)
    assert isinstance(moved, ModelVersion)
    assert moved.version == "2"
    assert desk.ask(_alias(desk, name, "champion")) == moved
    desk.meter.calls.clear()
    assert desk.ask(order) == moved
    assert desk.meter.operations() == {"model-versions/get": 1}
    assert desk.trouble(replace(order, alias="latest")).kind == TroubleKind.REFUSED


def test_tags_of_a_version_are_written_where_they_differ(mlflow: Rest, desk: Desk, name: str) -> None:
    mlflow.model(name)
    order = TagVersion(server=desk.server, model=name, version="1", tags=(("a", "1"), ("b", "ü")))
    tagged = desk.ask(order)
    assert isinstance(tagged, ModelVersion)
    assert tagged.tags == {"a": "1", "b": "ü"}
    assert desk.ask(_version(desk, name, "1")) == tagged
    desk.meter.calls.clear()
    desk.ask(replace(order, tags=(("a", "1"), ("b", "2"))))
    assert desk.meter.operations() == {"model-versions/get": 1, "model-versions/set-tag": 1}


def test_orders_are_carried_out_in_their_order(mlflow: Rest, desk: Desk, name: str) -> None:
    mlflow.model(name, versions=3)
    orders = [SetAlias(server=desk.server, model=name, alias="champion", version=version) for version in "213"]
    asyncio.run(desk.answers(*orders))
    found = desk.ask(_alias(desk, name, "champion"))
    assert isinstance(found, ModelVersion)
    assert found.version == "3"
