"""What a training run reads: its code, its parameters and its data."""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from serinus.api.base import Items, SpecPart
from serinus.api.rules import Rule, broken, count, exactly_one, quoted, rule
from serinus.api.scalars import IntOrText
from serinus.api.texts import NO_WAY_UP, LabelName, NameOrNone, ObjectName, RelativePath

_GIT_ADDRESS = r"^((https?|ssh|git)://[^\s/]+/[^\s]+|[-A-Za-z0-9_.]+@[-A-Za-z0-9.]+:[^\s]+)$"
_USER_IN_ADDRESS = "^https?://[^/]*@"
_INPUT_ADDRESS = (
    r"^((s3|gs|https?)://[^\s/]+(/[^\s]*)?"
    r"|pvc://[a-z0-9][-a-z0-9.]*/[^\s]+"
    r"|configmap://[a-z0-9][-a-z0-9.]*/[-._a-zA-Z0-9]+)$"
)


class Git(SpecPart):
    """Code in a Git repository."""

    url: Annotated[
        str,
        Field(min_length=1, max_length=2048, pattern=_GIT_ADDRESS),
        Rule(
            f"!self.matches({quoted(_USER_IN_ADDRESS)})",
            "the address must hold no credentials: put them into a Secret and name it in credentialsSecret",
            lambda url: not re.search(_USER_IN_ADDRESS, url),
        ),
    ] = Field(description="Address of the repository: https, http, ssh or git.")
    ref: Annotated[str, Field(max_length=250, pattern="^([A-Za-z0-9][-A-Za-z0-9._/+@]*)?$")] = Field(
        default="",
        description='Branch, tag or commit, resolved to a commit once for each revision. "": the default branch.',
    )
    path: RelativePath = Field(default="", description='Folder in the repository that becomes /src; "" is all of it.')
    credentials_secret: NameOrNone = Field(
        default="",
        description="Name of a Secret with username and password (a token), or with ssh-privatekey and known_hosts.",
    )


class ConfigMapSource(SpecPart):
    """Code in a ConfigMap."""

    name: ObjectName = Field(description="Name of the ConfigMap; each key becomes a file in /src.")


class Source(SpecPart):
    """Code that is not in the image, mounted read-only at /src."""

    git: Git | None = Field(default=None, description="Take it from a Git repository.")
    config_map: ConfigMapSource | None = Field(default=None, description="Take it from a ConfigMap.")

    @rule(exactly_one("git", "configMap"), "source needs exactly one of git and configMap")
    def _one_place(self) -> bool:
        return count(self.git, self.config_map) == 1


def _parameter(value: object) -> object:
    if isinstance(value, str) and len(value) > PARAMETER_LENGTH:
        raise broken(f"a parameter has at most {PARAMETER_LENGTH} characters: put more into a ConfigMap or an input")
    if isinstance(value, str | int | float | bool):
        return value
    raise broken("a parameter is a text, a number, true or false: give a list or an object as text")


PARAMETER_LENGTH = 6000
# They go into an annotation of the pod, of which all together have 256 KiB at most.
PARAMETERS_LENGTH = 65_536
Parameter = Annotated[
    str | int | float | bool,
    PlainValidator(_parameter),
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "description": "A text, a number, true or false."}),
]


def variable(parameter: str) -> str:
    """The environment variable that holds a parameter, less its prefix."""
    return re.sub("[^A-Z0-9]", "_", parameter.upper())


def _well_named(parameters: dict[str, object]) -> dict[str, object]:
    wrong = [name for name in parameters if not re.fullmatch("[A-Za-z][-A-Za-z0-9_.]{0,99}", name)]
    if wrong:
        raise broken(f"{wrong[0]!r} is no name of a parameter: a letter first, then letters, digits, - _ or .")
    names = sorted(parameters, key=variable)
    same = [pair for pair in pairwise(names) if variable(pair[0]) == variable(pair[1])]
    if same:
        raise broken(f"{' and '.join(same[0])} would be the same environment variable: rename one of them")
    if (size := len(json.dumps(parameters))) > PARAMETERS_LENGTH:
        raise broken(
            f"all parameters together take {size} bytes as JSON, and {PARAMETERS_LENGTH} at most: use an input"
        )
    return parameters


# The API server cannot look into a map of mixed values: names and values are checked by `parse` alone.
Parameters = Annotated[Mapping[str, Parameter], Field(max_length=256), AfterValidator(_well_named)]


class Column(SpecPart):
    """What is expected of one column."""

    type: Literal["int", "float", "string", "bool", "datetime"] | None = Field(
        default=None, description="Type of the values. Default: any."
    )
    min: float | None = Field(default=None, description="No value is below this. Default: no bound.")
    max: float | None = Field(default=None, description="No value is above this. Default: no bound.")
    nullable: bool = Field(default=True, description="Whether values may be missing.")
    one_of: Annotated[Items[Annotated[int | str, IntOrText(max_length=256)]], Field(max_length=128)] = Field(
        default=(),
        validation_alias="in",
        serialization_alias="in",
        description="Every value is one of these. Default: any.",
    )

    @rule(
        "!has(self.min) || !has(self.max) || self.min <= self.max",
        "min must not exceed max: swap them",
    )
    def _min_at_most_max(self) -> bool:
        return self.min is None or self.max is None or self.min <= self.max

    @rule(
        "!has(self.type) || self.type in ['int', 'float'] || !(has(self.min) || has(self.max))",
        "only numbers have min and max: set type to int or float, or leave them out",
    )
    def _bounds_for_numbers(self) -> bool:
        return self.type in {None, "int", "float"} or count(self.min, self.max) == 0


class Expectation(SpecPart):
    """What is expected of a table before training starts."""

    min_rows: int = Field(default=0, ge=0, le=10**12, description="Number of rows that it has at least.")
    columns: Annotated[Mapping[str, Column], Field(max_length=256)] = Field(
        default={}, description="Columns by name. A column that is named here must be there; others may be."
    )


_TAKEN = re.compile("^/(src|serinus|checkpoints)(/|$)")


class Input(SpecPart):
    """A file or folder that is verified and digested before training, and recorded as a dataset input of the run."""

    name: LabelName = Field(description="Name of the dataset in the run.")
    uri: Annotated[
        str,
        Field(min_length=1, max_length=2048),
        Rule(
            f"self.matches({quoted(_INPUT_ADDRESS)})",
            "write s3://bucket/key, gs://bucket/key, https://host/path, pvc://claim/path or configmap://name/key",
            lambda uri: re.fullmatch(_INPUT_ADDRESS, uri) is not None,
        ),
    ] = Field(description="Where it is: s3, gs, http(s), pvc://claim/path or configmap://name/key.")
    sha256: Annotated[str, Field(max_length=64, pattern="^([0-9a-f]{64})?$")] = Field(
        default="",
        description='Digest that it must have, in hex; a mismatch fails the job before training. "": any.',
    )
    mount_path: Annotated[
        str,
        Field(min_length=2, max_length=512, pattern="^(/[-a-zA-Z0-9_.@+=]+)+$"),
        NO_WAY_UP,
        Rule(
            f"!self.matches({quoted(_TAKEN.pattern)})",
            "/src, /serinus and /checkpoints are taken: choose another path, such as /data",
            lambda path: not _TAKEN.search(path),
        ),
    ] = Field(description="Absolute path in the container where it is found, read-only.")
    expect: Expectation | None = Field(
        default=None,
        description="What it must meet before training; each broken expectation is listed in status. Default: none.",
    )
