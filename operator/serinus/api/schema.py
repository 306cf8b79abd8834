"""Models → structural OpenAPI v3 schemas, as a CustomResourceDefinition wants them.

On the way a schema keeps `default`, which the reference shows; `served` moves it into the description, because the API
server must not default anything in a spec (see the package's docstring).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from serinus.api.base import LIST_TYPE, OUTSIDE
from serinus.api.rules import VALIDATIONS, rules_of
from serinus.api.scalars import duration_text

type Schema = dict[str, Any]

_INT32 = 2**31 - 1
_EXCLUSIVE = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


class _Generator(GenerateJsonSchema):
    """pydantic's schema, with durations as their text and with the rules of models."""

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 (pydantic's signature)
        return duration_text(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def model_schema(self, schema: Any) -> Schema:  # noqa: ANN401 (pydantic's signature)
        rules = [rule.wire() for rule in rules_of(schema["cls"])]
        return super().model_schema(schema) | ({VALIDATIONS: rules} if rules else {})


def schema_of(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with nothing left to look up elsewhere."""
    raw = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    return _structural(raw, raw.get("$defs", {}))


def served(schema: Schema) -> Schema:
    """The schema as it is served: what was a default is said in the description."""
    walked = {key: _each(key, value, served) for key, value in schema.items() if key not in {"default", OUTSIDE}}
    text = default_text(schema)
    notes = [*([f"Default: {text}."] if text else []), *revision_note(schema)]
    return walked | ({"description": " ".join([schema["description"], *notes])} if notes else {})


def revision_note(schema: Schema) -> list[str]:
    """What is said of a field that is outside the revision."""
    return ["Not part of the revision."] if schema.get(OUTSIDE) else []


def default_text(schema: Schema) -> str:
    """The default of a field for people; empty where it is nothing, or what the fields below say."""
    default = schema.get("default")
    match default:
        case None | "" | dict():
            return ""
        case list() if not default or isinstance(default[0], dict):
            return ""
        case bool():
            return str(default).lower()
        case _:
            return str(default)


def _each(key: str, value: Any, change: Any) -> Any:  # noqa: ANN401 (a schema is any JSON)
    """One keyword's value, with the schemas in it changed."""
    if key == "properties":
        return {name: change(part) for name, part in value.items()}
    if key in {"items", "additionalProperties"}:
        return change(value)
    return value


def _structural(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Without references, titles and nulls, in the words of Kubernetes."""
    schema = _plain(schema, definitions)
    walked = {key: _each(key, value, lambda part: _structural(part, definitions)) for key, value in schema.items()}
    if walked.get("type") == "array":
        walked.setdefault(LIST_TYPE, "atomic")
    if walked.get("type") == "integer":
        walked["format"] = "int32" if walked.get("maximum", 2**63) <= _INT32 else "int64"
    return walked


def _plain(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """One level of `_structural`: the schema that a reference or an optional stands for."""
    for choice in schema.get("anyOf", []):
        if choice != {"type": "null"}:
            return _plain({**choice, **_without(schema, "anyOf")}, definitions)
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _plain({**target, **_without(schema, "$ref")}, definitions)
    return _kubernetes(schema)


def _kubernetes(schema: Schema) -> Schema:
    plain = _without(schema, "$defs", "title", *([] if _is_map(schema) else ["additionalProperties"]))
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    for exclusive, bound in _EXCLUSIVE.items():
        if exclusive in plain:
            plain |= {bound: plain[exclusive], exclusive: True}
    return plain


def _is_map(schema: Schema) -> bool:
    return isinstance(schema.get("additionalProperties"), dict)


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}
