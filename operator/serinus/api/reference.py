"""The API reference in Markdown: for each type a table of its fields, for each kind its conditions."""

from collections.abc import Iterable

from serinus.api import names
from serinus.api.action import MEANING
from serinus.api.base import LIST_KEYS
from serinus.api.conditions import MODEL_DEPLOYMENT, TRAINING_JOB, Reasons
from serinus.api.crd import root_schema
from serinus.api.resource import Resource
from serinus.api.rules import VALIDATIONS
from serinus.api.schema import Schema, default_text, revision_note

_REASONS: dict[str, Reasons] = {"TrainingJob": TRAINING_JOB, "ModelDeployment": MODEL_DEPLOYMENT}


def reference(kinds: Iterable[type[Resource]]) -> str:
    """The whole reference."""
    sections = [_introduction()]
    for kind in kinds:
        sections += [_kind(kind)]
    return "\n".join([*sections, _actions()])


def _introduction() -> str:
    return f"""# API reference

Generated from `operator/serinus/api` by `make generate`. `kubectl explain` shows the same.

API version `{names.API_VERSION}`. A field without *required* may be left out, and the schema writes no default into the
object: what is stored is what was written. A duration is text such as `1h30m`, `5m` or `2ms`; a quantity is as in
core/v1, such as `500m` or `2Gi`.
"""


def _kind(kind: type[Resource]) -> str:
    definition = kind.definition
    schema = root_schema(kind)
    parts = [f"## {definition.kind}\n", f"{schema['description']}\n"]
    parts += [f"Short name `{definition.short}`, category `{names.CATEGORY}`.\n", *_rules(schema)]
    parts += [*_tables("spec", schema["properties"]["spec"]), *_tables("status", schema["properties"]["status"])]
    return "\n".join([*parts, _conditions(_REASONS[definition.kind])])


def _tables(path: str, schema: Schema) -> list[str]:
    """The table of an object, then those of the objects in it."""
    fields: Schema = schema["properties"]
    head = [f"### `{path}`\n", f"{schema['description']}\n", *_rules(schema)]
    rows = [_row(name, field, required=name in schema.get("required", [])) for name, field in fields.items()]
    table = ["| field | type | default | meaning | constraints |", "|---|---|---|---|---|", *rows, ""]
    below = [
        _tables(f"{path}.{name}{suffix}", part) for name, field in fields.items() for suffix, part in _inner(field)
    ]
    return [*head, "\n".join(table), *(text for tables in below for text in tables)]


def _inner(field: Schema) -> list[tuple[str, Schema]]:
    """The objects with fields of their own that a field holds, and how they are reached."""
    if "properties" in field:
        return [("", field)]
    if "items" in field:
        return [(f"[]{suffix}", part) for suffix, part in _inner(field["items"])]
    if "additionalProperties" in field:
        return [(f".*{suffix}", part) for suffix, part in _inner(field["additionalProperties"])]
    return []


def _row(name: str, field: Schema, *, required: bool) -> str:
    default = "*required*" if required else _code(default_text(field))
    meaning = " ".join([field["description"], *revision_note(field)])
    cells = [f"`{name}`", _type(field), default, meaning, "; ".join(_constraints(field))]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}"
        case "object" if "additionalProperties" in field:
            return f"map of {_type(field['additionalProperties'])}"
        case None:
            return "any scalar"
        case str(name):
            return field.get("format", name) if name == "string" else name
        case _:
            raise ValueError(f"a schema of no known type: {field}")


def _constraints(field: Schema) -> list[str]:
    """What a value must keep to, in words."""
    found = [*_bounds(field), *_forms(field)]
    if "properties" not in field:
        found += [rule["message"] for rule in field.get(VALIDATIONS, [])]
    below = field.get("items") or field.get("additionalProperties")
    if below is None or "properties" in below:
        return found
    return found + [f"each: {words}" for words in _constraints(below)]


def _bounds(field: Schema) -> list[str]:
    """How large or long a value may be."""
    above = "more than" if field.get("exclusiveMinimum") else "at least"
    below = "less than" if field.get("exclusiveMaximum") else "at most"
    words = {
        "minimum": f"{above} {{}}",
        "maximum": f"{below} {{}}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minItems": "at least {} items",
        "maxItems": "at most {} items",
        "maxProperties": "at most {} keys",
    }
    return [text.format(field[keyword]) for keyword, text in words.items() if keyword in field]


def _forms(field: Schema) -> list[str]:
    """What a value may look like."""
    one_of = [f"one of {', '.join(f'`{value}`' for value in field['enum'])}"] if "enum" in field else []
    keyed = [f"each `{key}` once" for key in field.get(LIST_KEYS, [])]
    return one_of + keyed + ([f"matches `{field['pattern']}`"] if "pattern" in field else [])


def _rules(schema: Schema) -> list[str]:
    messages = [f"- {rule['message']}" for rule in schema.get(VALIDATIONS, [])]
    return ["\n".join([*messages, ""])] if messages else []


def _conditions(reasons: Reasons) -> str:
    rows = [f"| `{type_}` | {', '.join(f'`{reason}`' for reason in sorted(some))} |" for type_, some in reasons.items()]
    return "\n".join(["### Conditions\n", "| type | reasons |", "|---|---|", *rows, ""])


def _actions() -> str:
    verbs = "\n".join(f"- `{verb}`: {meaning}" for verb, meaning in MEANING.items())
    return f"""## Actions

The annotation `{names.Annotation.ACTION}: <verb>@<any id>` on a ModelDeployment asks for an action, without a change of
its spec. It is executed once for each id and answered in `status.lastAction`.

{verbs}
"""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
