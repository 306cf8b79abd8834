"""The page that describes every setting, in Markdown; `make generate` writes it."""

from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from serinus.api.scalars import duration_text
from serinus.settings import Settings, form, variable

PATH = "docs/reference/settings.md"
# What has no value of its own in the chart goes in here.
OTHERWISE = "operator.extraEnv"


def reference() -> str:
    """The whole page."""
    rows = "\n".join(_row(name, field) for name, field in Settings.model_fields.items())
    return f"""# Settings of the operator

Generated from `operator/serinus/settings.py` by `make generate`.

The operator reads these variables once, when it starts. It does not start if one is wrong or unknown, and says which
and what to do. An empty variable is as one that is not set. The chart sets some by values of their own; all others
go into its `{OTHERWISE}`, as `{{name: {variable("resync")}, value: 5m}}`.

| variable | default | meaning | allowed | chart value |
|---|---|---|---|---|
{rows}
"""


def _row(name: str, field: FieldInfo) -> str:
    extra = _extra(field)
    default = extra["default"] or _code(_text(field.default))
    chart = extra["chart"] or OTHERWISE
    where = chart if " " in chart else _code(chart)
    return f"| {' | '.join([f'`{variable(name)}`', default, str(field.description), form(field).allowed, where])} |"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _text(value: object) -> str:
    match value:
        case timedelta():
            return duration_text(value)
        case bool():
            return str(value).lower()
        case SecretStr() | ():
            return ""
    return str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
