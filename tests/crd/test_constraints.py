"""Each constraint accepts what fits and rejects what does not, with words that help; and the operator agrees."""

from collections.abc import Iterator

import pytest

from serinus.api.invalid import Invalid
from tests.crd import cases_modeldeployment, cases_pod, cases_status, cases_trainingjob
from tests.crd.cases import Case
from tests.crd.objects import DEFINITIONS, PARSE, Json, schema_of, steps, unnamed
from tests.crd.server import Server

CASES = [*cases_trainingjob.CASES, *cases_pod.CASES, *cases_modeldeployment.CASES, *cases_status.CASES]
IN_SPEC = [case for case in CASES if not case.path.startswith("status")]

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_case_in_spec = pytest.mark.parametrize("case", IN_SPEC, ids=str)


@each_case
def test_what_fits_is_accepted(server: Server, case: Case) -> None:
    answer = server.judge(unnamed(case.accepted, case.path), case.path)
    assert answer.accepted, answer.message


@each_case
def test_what_does_not_fit_is_rejected(server: Server, case: Case) -> None:
    answer = server.judge(unnamed(case.rejected, case.path), case.path)
    assert not answer.accepted
    assert case.says in answer.message


@each_case_in_spec
def test_the_operator_accepts_what_the_api_server_accepts(case: Case) -> None:
    result = PARSE[case.kind](case.accepted)
    assert not isinstance(result, Invalid), result.message


@each_case_in_spec
def test_the_operator_rejects_what_the_api_server_rejects(case: Case) -> None:
    result = PARSE[case.kind](case.rejected)
    assert isinstance(result, Invalid)
    fields = [problem.field for problem in result.problems]
    assert any(case.path.startswith(field) or field.startswith(case.path) for field in fields)


type Constraint = tuple[str, str, str]
BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "pattern", "enum")

# What constrains nothing, or stands beside a keyword that does.
OTHERS = {"type", "description", "default", "format", "properties", "required", "items", "additionalProperties"} | {
    "exclusiveMinimum",
    "exclusiveMaximum",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
}


def keywords(schema: Json) -> Iterator[str]:
    """Each keyword that a schema uses."""
    yield from schema
    below = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for part in filter(None, below):
        yield from keywords(part)


def constraints(schema: Json, kind: str, path: str = "") -> Iterator[Constraint]:
    """Each constraint of a schema: the kind, the path, and the keyword or the message of the rule."""
    yield from ((kind, path, keyword) for keyword in BOUNDS if keyword in schema)
    yield from ((kind, path, rule["message"]) for rule in schema.get("x-kubernetes-validations", []))
    if schema.get("format") == "date-time":
        yield kind, path, "format"
    if "x-kubernetes-list-map-keys" in schema:
        yield kind, path, "keys"
    for name, part in schema.get("properties", {}).items():
        below = f"{path}.{name}".removeprefix(".")
        if name in schema.get("required", []):
            yield kind, below, "required"
        yield from constraints(part, kind, below)
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            yield from constraints(schema[keyword], kind, path + suffix)


def covered(case: Case) -> set[Constraint]:
    """The constraints that a case is about: one, but for a rule that stands in several words."""
    schema, path = schema_of(case.kind), ""
    for step in steps(case.path):
        if "items" in schema:
            schema, path = schema["items"], f"{path}[]"
        elif "additionalProperties" in schema:
            schema, path = schema["additionalProperties"], f"{path}.*"
        else:
            schema, path = schema["properties"][step], f"{path}.{step}".removeprefix(".")
    if case.keyword != "rule":
        return {(case.kind, path, case.keyword)}
    rules = schema.get("x-kubernetes-validations", [])
    said = {rule["message"]: rule["message"] + rule.get("messageExpression", "") for rule in rules}
    return {(case.kind, path, message) for message, words in said.items() if case.says in words}


def test_every_constraint_has_its_case_and_every_case_its_constraint() -> None:
    there = {constraint for kind in DEFINITIONS for constraint in constraints(schema_of(kind), kind)}
    tested = {constraint for case in CASES for constraint in covered(case)}
    assert sorted(there - tested) == []
    assert sorted(tested - there) == []
    assert [str(case) for case in CASES if not covered(case)] == []


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_no_schema_constrains_in_a_way_that_is_not_looked_for(kind: str) -> None:
    assert set(keywords(schema_of(kind))) - OTHERS <= set(BOUNDS)
