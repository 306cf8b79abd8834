"""Whether a child is as it should be: the API server may write it otherwise, somebody who changed it may not."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.names import Annotation
from serinus.runtime.settled import contains, is_settled, sealed
from tests.unit.fakes import Json

SAME = {
    "a text": ("x", "x"),
    "what others have added": ({"a": 1, "b": 2}, {"a": 1}),
    "what others have added further down": ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}),
    "a tuple as a list": ([1, 2], (1, 2)),
    "1000m as 1": ("1", "1000m"),
    "a number as a text": ("2", 2),
    "2048Mi as 2Gi": ("2Gi", "2048Mi"),
    "0.5 as 500m": ("500m", "0.5"),
    "an empty text that is left out": ({}, {"a": ""}),
    "a false that is left out": ({}, {"a": False}),
    "a zero that is left out": ({}, {"a": 0}),
    "a null that is left out": ({}, {"a": None}),
    "an empty list that is left out": ({}, {"a": []}),
    "an empty map that is left out": ({}, {"a": {}}),
    "a map of nothing that is left out": ({"a": {}}, {"a": {"b": {}}}),
    "named items in another order": ([{"name": "b"}, {"name": "a", "v": 1}], [{"name": "a"}, {"name": "b"}]),
    "named items of others": ([{"name": "sidecar"}, {"name": "main", "image": "x"}], [{"name": "main"}]),
    "items without names": ([{"key": "a", "operator": "Exists"}], [{"key": "a"}]),
    "no items where others have added named ones": ([{"name": "sidecar"}], []),
}
OTHER = {
    "another text": ("x", "y"),
    "something else than a map": ("x", {"a": 1}),
    "something else than a list": ("x", ["x"]),
    "a text where letters are wanted one by one": ("ab", ["a", "b"]),
    "a field that is not there": ({}, {"a": 1}),
    "a map that is not there": ({}, {"a": {"b": 1}}),
    "true that is left out": ({}, {"a": True}),
    "another quantity": ("2Gi", "2G"),
    "a text that is no quantity": ("1x", "1"),
    "a number for true": (1, "True"),
    "false for an empty text": ("False", ""),
    "a named item that is not there": ([{"name": "a"}], [{"name": "b"}]),
    "a named item that is otherwise": ([{"name": "a", "value": "1"}], [{"name": "a", "value": "2"}]),
    "items without names in another order": ([{"key": "b"}, {"key": "a"}], [{"key": "a"}, {"key": "b"}]),
    "an item more without a name": ([{"key": "a"}, {"key": "b"}], [{"key": "a"}]),
    "an item too few": ([1], [1, 2]),
    "an item where none is wanted": (["x"], []),
    "a text where an empty one is wanted": ({"a": "x"}, {"a": ""}),
}


@pytest.mark.parametrize(("live", "wanted"), SAME.values(), ids=SAME.keys())
def test_what_is_wanted_is_there(live: Json, wanted: Json) -> None:
    assert contains(live, wanted)


@pytest.mark.parametrize(("live", "wanted"), OTHER.values(), ids=OTHER.keys())
def test_what_is_wanted_is_not_there(live: Json, wanted: Json) -> None:
    assert not contains(live, wanted)


@pytest.mark.parametrize("text", ["", "1e9999999999", "9e999999E", "NaN", "sNaN", "Infinity", "Kii", "1Kii", "m", "٣"])
def test_texts_that_look_like_numbers_are_compared_without_trouble(text: str) -> None:
    assert contains(text, text)
    assert not contains(text, "17")
    assert not contains("17", text)


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=4)
SCALARS = st.text(string.ascii_letters, max_size=5) | st.booleans() | st.integers(-5, 5) | st.none()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
NAMED = st.lists(
    st.fixed_dictionaries({"name": KEYS}, optional={"value": VALUES}), unique_by=lambda one: str(one["name"])
)


@given(VALUES | NAMED)
def test_everything_contains_itself(value: Json) -> None:
    assert contains(value, value)


def scalars(value: Json, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    match value:
        case dict():
            return [found for key, item in value.items() for found in scalars(item, (*path, key))]
        case list():
            return [found for index, item in enumerate(value) for found in scalars(item, (*path, index))]
        case _:
            return [path]


def put(value: Json, path: tuple[str | int, ...], scalar: Json) -> Json:
    if not path:
        return scalar
    key, *rest = path
    changed = value.copy()
    changed[key] = put(value[key], tuple(rest), scalar)
    return changed


@given(st.data())
def test_a_scalar_that_was_changed_is_noticed(data: st.DataObject) -> None:
    wanted = data.draw(VALUES.filter(scalars))
    path = data.draw(st.sampled_from(scalars(wanted)))
    live = put(wanted, path, "somebody's")
    assert not contains(live, wanted)


MANIFEST = {"metadata": {"name": "a", "annotations": {"theirs": "x"}}, "spec": {"replicas": 1, "paused": True}}


def test_a_seal_leaves_what_it_seals_alone() -> None:
    before = repr(MANIFEST)
    seal = sealed(MANIFEST)
    assert repr(MANIFEST) == before
    assert seal["metadata"]["annotations"].keys() == {"theirs", Annotation.APPLIED}
    assert seal["spec"] == MANIFEST["spec"]


def test_a_seal_does_not_depend_on_the_order_of_fields() -> None:
    assert sealed(dict(reversed(MANIFEST.items()))) == sealed(MANIFEST)


@pytest.mark.parametrize(
    "wanted",
    [
        {**MANIFEST, "spec": {"replicas": 1}},
        {**MANIFEST, "spec": {"replicas": 2, "paused": True}},
        {**MANIFEST, "metadata": {"name": "a"}},
    ],
    ids=["a field is dropped", "a field is changed", "an annotation is dropped"],
)
def test_a_seal_changes_with_what_it_seals(wanted: Json) -> None:
    assert not is_settled(sealed(MANIFEST), sealed(wanted))


def test_what_was_applied_and_is_there_is_settled() -> None:
    live = {**sealed(MANIFEST), "status": {"replicas": 1}}
    assert is_settled(live, sealed(MANIFEST))


def test_what_somebody_changed_is_not_settled() -> None:
    live = {**sealed(MANIFEST), "spec": {"replicas": 5, "paused": True}}
    assert not is_settled(live, sealed(MANIFEST))


def test_what_was_never_applied_is_not_settled() -> None:
    assert not is_settled(MANIFEST, sealed(MANIFEST))
