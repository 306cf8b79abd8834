"""Whatever is misspelt or of the wrong type is rejected, wherever it stands; nothing is added to what was written."""

from collections.abc import Iterator

import pytest

from serinus.api.invalid import Invalid
from tests.crd.objects import PARSE, VALID, Json, get, put, schema_of, unnamed
from tests.crd.server import Server

type Place = tuple[str, str]


def places(document: Json, schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Each place in a document that the schema has a word on, with that word."""
    yield path, schema
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from places(item, schema["items"], f"{path}[{index}]")
    if isinstance(document, dict) and "additionalProperties" in schema:
        for key, value in document.items():
            yield from places(value, schema["additionalProperties"], f"{path}.{key}")
    elif isinstance(document, dict):
        for key, part in schema.get("properties", {}).items():
            if key in document:
                yield from places(document[key], part, f"{path}.{key}")


def all_places() -> dict[Place, Json]:
    """Each place in a spec or status of the valid objects, with its schema."""
    found = {}
    for name, document in VALID.items():
        for part in ("spec", "status"):
            schema = schema_of(document["kind"])["properties"][part]
            for path, below in places(document.get(part), schema, part):
                # A key with a dot in it cannot be written in a path.
                if part in document and "nvidia.com" not in path:
                    found[name, path] = below
    return found


PLACES = all_places()
OBJECTS = [place for place, schema in PLACES.items() if "properties" in schema]
TYPED = [place for place, schema in PLACES.items() if "type" in schema]
WRONG_VALUES = {"object": "text", "array": {}, "string": 7, "integer": "7", "number": "0.5", "boolean": "yes"}


def fields(schema: Json, path: str) -> Iterator[str]:
    """Each field below a schema, whatever list or map it stands in."""
    for name, part in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from fields(part, f"{path}.{name}")
    for below in (schema[keyword] for keyword in ("items", "additionalProperties") if keyword in schema):
        yield from fields(below, f"{path}[]")


@pytest.mark.parametrize("kind", PARSE)
def test_the_valid_objects_fill_in_every_field(kind: str) -> None:
    there = {path for part in ("spec", "status") for path in fields(schema_of(kind)["properties"][part], part)}
    filled = {
        path
        for document in VALID.values()
        for part in ("spec", "status")
        if document["kind"] == kind
        for path in _filled(document.get(part), schema_of(kind)["properties"][part], part)
    }
    assert sorted(there - filled) == []


def _filled(document: Json, schema: Json, path: str) -> Iterator[str]:
    if isinstance(document, list):
        for item in document:
            yield from _filled(item, schema["items"], f"{path}[]")
    elif isinstance(document, dict) and "additionalProperties" in schema:
        for value in document.values():
            yield from _filled(value, schema["additionalProperties"], f"{path}[]")
    elif isinstance(document, dict):
        for key, part in schema.get("properties", {}).items():
            if key in document:
                yield f"{path}.{key}"
                yield from _filled(document[key], part, f"{path}.{key}")


@pytest.mark.parametrize("name", VALID)
def test_a_valid_object_is_accepted_and_stored_as_it_was_written(server: Server, name: str) -> None:
    answer = server.create(unnamed(VALID[name], "spec"))
    assert answer.accepted, answer.message
    assert answer.body["spec"] == VALID[name]["spec"]
    assert answer.body["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("place", OBJECTS, ids=" ".join)
def test_an_unknown_field_is_rejected(server: Server, place: Place) -> None:
    name, path = place
    misspelt = put(VALID[name], f"{path}.misspelt", 1)
    answer = server.judge(unnamed(misspelt, path), path)
    assert not answer.accepted
    assert f'unknown field "{path}.misspelt"' in answer.message
    if path.startswith("spec"):
        result = PARSE[misspelt["kind"]](misspelt)
        assert isinstance(result, Invalid)
        assert f"{path}.misspelt: is not a field" in result.message


@pytest.mark.parametrize("place", TYPED, ids=" ".join)
def test_a_value_of_the_wrong_type_is_rejected(server: Server, place: Place) -> None:
    name, path = place
    wrong = put(VALID[name], path, WRONG_VALUES[PLACES[place]["type"]])
    answer = server.judge(unnamed(wrong, path), path)
    assert not answer.accepted
    assert "must be of type" in answer.message or "Invalid value" in answer.message
    if path.startswith("spec"):
        result = PARSE[wrong["kind"]](wrong)
        assert isinstance(result, Invalid)
        assert any(problem.field.startswith(path) for problem in result.problems)


def test_a_place_that_is_free_form_takes_anything(server: Server) -> None:
    free = put(VALID["trainingjob"], "spec.podTemplate.spec.hostAliases", [{"ip": "10.0.0.1", "hostnames": ["a"]}])
    answer = server.create(unnamed(free, "spec"))
    assert answer.accepted, answer.message
    assert get(answer.body, "spec.podTemplate") == get(free, "spec.podTemplate")
