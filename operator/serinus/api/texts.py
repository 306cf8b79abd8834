"""Texts with a form: names of objects, addresses, paths, keys."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from serinus.api import names
from serinus.api.rules import Rule, quoted

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

# The name of a Kubernetes object; the second kind may also be "", which stands for none.
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=f"^{_SUBDOMAIN}$")]
NameOrNone = Annotated[str, Field(max_length=253, pattern=f"^({_SUBDOMAIN})?$")]
LabelName = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_LABEL}$")]
LabelNameOrNone = Annotated[str, Field(max_length=63, pattern=f"^({_LABEL})?$")]

# A key in a ConfigMap or Secret.
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")]
ImageOrNone = Annotated[str, Field(max_length=1024, pattern="^([a-zA-Z0-9][-a-zA-Z0-9._:/@]*)?$")]
HttpAddressOrNone = Annotated[str, Field(max_length=2048, pattern=r"^(https?://[^\s]+)?$")]
Hostname = Annotated[str, Field(min_length=1, max_length=253, pattern=f"^([*][.])?{_SUBDOMAIN}$")]

# What MLflow takes; a name with these three would be read as an address (models:/name@alias, models:/name/7).
ModelName = Annotated[str, Field(min_length=1, max_length=250, pattern="^[^/:@]+$")]
MetricName = Annotated[str, Field(min_length=1, max_length=250, pattern="^[-a-zA-Z0-9_. :/]+$")]
ModelVersion = Annotated[str, Field(min_length=1, max_length=10, pattern="^[1-9][0-9]*$")]
_RESERVED = "(?i)^(latest|v[0-9]+)$"
_NOT_RESERVED = Rule(
    f"!self.matches('{_RESERVED}')",
    "MLflow keeps latest and v1, v2, … for itself: choose another alias, such as champion",
    lambda alias: not re.fullmatch(_RESERVED, alias),
    "self + ' is an alias that MLflow keeps for itself (as latest, v1, v2, …): choose another, such as champion'",
)
Alias = Annotated[str, Field(min_length=1, max_length=250, pattern="^[-a-zA-Z0-9_]+$"), _NOT_RESERVED]
AliasOrNone = Annotated[str, Field(max_length=250, pattern="^[-a-zA-Z0-9_]*$"), _NOT_RESERVED]

NO_WAY_UP = Rule(
    "!self.split('/').exists(part, part == '..')",
    "a path must not lead upwards: leave out '..'",
    lambda path: ".." not in path.split("/"),
)
# Inside a folder or repository; "" is its root.
RelativePath = Annotated[str, Field(max_length=1024, pattern="^([-a-zA-Z0-9_.@+=][-a-zA-Z0-9_.@+=/]*)?$"), NO_WAY_UP]


def only_keys(pattern: str, message: str) -> Rule:
    """A rule about the keys of a map, for a schema has no word on them."""
    form = re.compile(pattern)
    return Rule(
        f"self.all(key, key.matches({quoted(pattern)}))",
        message,
        lambda values: all(form.fullmatch(key) for key in values),
    )


def no_key_with(prefix: str, message: str) -> Rule:
    """A rule that keeps the keys with our prefix for us."""
    return Rule(
        f"self.all(key, !key.startsWith({quoted(prefix)}))",
        message,
        lambda values: not any(key.startswith(prefix) for key in values),
    )


# Tags of runs and versions: what MLflow takes, less what the operator finds its own by.
Tags = Annotated[
    Mapping[str, Annotated[str, Field(max_length=5000)]],
    Field(max_length=32),
    only_keys(
        "^[-a-zA-Z0-9_. :/]{1,250}$", "a tag has 1 to 250 letters, digits, spaces or any of - _ . : / as its key"
    ),
    no_key_with(names.TAG_PREFIX, f"tags that start with {names.TAG_PREFIX} are the operator's: choose another key"),
]
