"""What a model says of itself: MLmodel and requirements.txt, read without MLflow and without pandas."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from serinus_server import signature
from serinus_server.problems import UNREADABLE, ModelProblem
from serinus_server.signature import Signature

FILE: Final = "MLmodel"
REQUIREMENTS: Final = "requirements.txt"
_PYFUNC: Final = "python_function"
# A name, its extras, what is asked of its version, and when.
_REQUIREMENT: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*])?\s*((?:[=<>!~][^;#@]*?)?)\s*(?:;\s*([^#]*?))?\s*(?:\s#.*)?"
)
# Python's own parser takes 6 ms for what libyaml reads in less than one.
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Example:
    """The logged input example: its files in the model's folder, and how they are to be read."""

    type: str = ""
    artifact: Path | None = None
    serving_input: Path | None = None
    pandas_orient: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One model as it was logged; what was not recorded is empty."""

    path: Path
    flavors: Mapping[str, Mapping[str, Any]]
    signature: Signature = field(default_factory=Signature)
    model_id: str = ""
    model_uuid: str = ""
    run_id: str = ""
    model_size_bytes: int | None = None
    python_version: str = ""
    mlflow_version: str = ""
    example: Example = field(default_factory=Example)
    is_signature_from_type_hint: bool = False
    is_type_hint_from_example: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # Name to what was asked of its version, such as "==1.9.1"; names as PyPI compares them.
    requirements: Mapping[str, str] = field(default_factory=dict)

    @property
    def pyfunc(self) -> Mapping[str, Any]:
        """The flavour that every model that can be served has."""
        return self.flavors.get(_PYFUNC, {})

    @property
    def loader_module(self) -> str:
        """What MLflow loads the model with, such as `mlflow.sklearn`."""
        return str(self.pyfunc.get("loader_module") or "")

    @property
    def predict_fn(self) -> str:
        """The method of the model that answers; `predict` if none was chosen."""
        return str(self.pyfunc.get("predict_fn") or "predict")


def read(path: Path) -> Recorded:
    """What is recorded in a model's folder; UNREADABLE if its MLmodel is not there, broken, or cut off."""
    content = _mapping(path)
    flavors = content.get("flavors")
    if not isinstance(flavors, dict) or not all(isinstance(one, dict) for one in flavors.values()):
        raise _unreadable(path, "it has no flavors, so it was cut off or was never complete")
    if _PYFUNC not in flavors:
        known = ", ".join(sorted(flavors)) or "none"
        raise ModelProblem(
            UNREADABLE,
            f"{path / FILE} has no python_function flavour (it has: {known}): "
            "log the model with an MLflow flavour that can be served, or as mlflow.pyfunc",
        )
    return _recorded(path, content, flavors)


def _recorded(path: Path, content: Mapping[str, Any], flavors: Mapping[str, Mapping[str, Any]]) -> Recorded:
    size = content.get("model_size_bytes")
    return Recorded(
        path=path,
        flavors=flavors,
        signature=_signature(path, content.get("signature")),
        model_id=_text(content, "model_id"),
        model_uuid=_text(content, "model_uuid"),
        run_id=_text(content, "run_id"),
        model_size_bytes=size if isinstance(size, int) else None,
        python_version=_text(flavors[_PYFUNC], "python_version"),
        mlflow_version=_text(content, "mlflow_version"),
        example=_example(path, content.get("saved_input_example_info")),
        is_signature_from_type_hint=bool(content.get("is_signature_from_type_hint")),
        is_type_hint_from_example=bool(content.get("type_hint_from_example")),
        metadata=content.get("metadata") or {},
        requirements=_requirements(path),
    )


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.load((path / FILE).read_bytes(), Loader=_Loader)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file, so this is no folder of an MLflow model") from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(path, _words(error)) from error
    if not isinstance(content, dict):
        raise _unreadable(path, f"it holds no mapping but {type(content).__name__}")
    return content


def _signature(path: Path, recorded: Any) -> Signature:
    try:
        return signature.parse(recorded)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path, f"its signature is broken: {_words(error)}") from error


def _example(path: Path, info: Any) -> Example:
    """The example is a help, not a need: what is wrong with it counts as not recorded."""
    if not isinstance(info, dict):
        return Example()
    return Example(
        _text(info, "type"),
        _file(path, _text(info, "artifact_path")),
        _file(path, _text(info, "serving_input_path")),
        _text(info, "pandas_orient"),
    )


def _file(path: Path, name: str) -> Path | None:
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    return path / name if (path / name).is_file() else None


def _requirements(path: Path) -> Mapping[str, str]:
    try:
        lines = (path / REQUIREMENTS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return parse_requirements(lines)


def parse_requirements(lines: list[str]) -> dict[str, str]:
    """Name to specifier, of what is for this Python; options, addresses and files name no version, and are left out."""
    found = (_REQUIREMENT.fullmatch(line.strip()) for line in lines)
    return {canonical(one[1]): one[2].replace(" ", "") for one in found if one and _is_meant(one[3])}


def _is_meant(marker: str | None) -> bool:
    if not marker:
        return True
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(marker).evaluate()
    except InvalidMarker:
        return False


def canonical(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    return "" if value is None else str(value)


def _words(error: Exception) -> str:
    words = "JSON that was cut off" if isinstance(error, json.JSONDecodeError) else " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:300]


def _unreadable(path: Path, why: str) -> ModelProblem:
    return ModelProblem(
        UNREADABLE, f"{path / FILE} cannot be read ({why}): log the model anew, or correct the address of the model"
    )
