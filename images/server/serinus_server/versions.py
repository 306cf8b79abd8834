"""Whether what is installed is what the model was made with, where that may change what it answers."""

import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Final

from serinus_server.mlmodel import Recorded, canonical

# What objects are pickled into, and what computes: a new minor version may read a pickle otherwise, or not at all.
_MINOR: Final = frozenset(
    {
        *("catboost", "cloudpickle", "joblib", "lightgbm", "numpy", "onnx", "onnxruntime", "pandas", "prophet"),
        *("scikit-learn", "scipy", "skops", "spacy", "statsmodels", "tensorflow", "torch", "transformers", "xgboost"),
    }
)
# What only carries the model: its pickles and protocols change with a major version.
_MAJOR: Final = frozenset({"mlflow", "pyarrow", "polars", "category-encoders", "imbalanced-learn"})
# The same library under other names.
_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "mlflow": ("mlflow-skinny",),
    "onnxruntime": ("onnxruntime-gpu",),
    "tensorflow": ("tensorflow-cpu",),
    "xgboost": ("xgboost-cpu",),
}
_REAL: Final = {other: name for name, others in _ALSO.items() for other in others}
# Flavours that write the version of their library into MLmodel.
_FLAVORS: Final[Mapping[str, tuple[str, str]]] = {
    "catboost": ("catboost", "catboost_version"),
    "lightgbm": ("lightgbm", "lgb_version"),
    "onnx": ("onnx", "onnx_version"),
    "prophet": ("prophet", "prophet_version"),
    "pytorch": ("torch", "pytorch_version"),
    "sklearn": ("scikit-learn", "sklearn_version"),
    "spacy": ("spacy", "spacy_version"),
    "statsmodels": ("statsmodels", "statsmodels_version"),
    "xgboost": ("xgboost", "xgb_version"),
}
_REMEDY: Final = "answers may differ; `environment: Model` installs what was recorded"


def mismatches(recorded: Recorded) -> tuple[str, ...]:
    """A line for each version that differs so much that it matters; none where nothing was recorded."""
    return (*_of_python(recorded), *_of_packages(recorded))


def _of_python(recorded: Recorded) -> Iterator[str]:
    here = ".".join(map(str, sys.version_info[:3]))
    if recorded.python_version and _cut(recorded.python_version, 2) != _cut(here, 2):
        yield f"Python is {here}, the model was made with {recorded.python_version}: {_REMEDY}"


def _of_packages(recorded: Recorded) -> Iterator[str]:
    for name, wanted in sorted(_wanted(recorded).items()):
        installed = _installed(name)
        if installed is None:
            yield f"{name} is not installed, the model was made with {wanted}: {_REMEDY}"
        elif differs(name, wanted, installed):
            yield f"{name} is {installed}, the model was made with {wanted}: {_REMEDY}"


def _wanted(recorded: Recorded) -> Mapping[str, str]:
    """The versions of what matters: as required, else as the flavour says."""
    found = {}
    for flavor, (name, key) in _FLAVORS.items():
        if version := recorded.flavors.get(flavor, {}).get(key):
            found[name] = str(version)
    if recorded.mlflow_version:
        found["mlflow"] = recorded.mlflow_version
    for name, specifier in recorded.requirements.items():
        real = _REAL.get(name, name)
        if real in _MINOR | _MAJOR and specifier.startswith("==") and "," not in specifier:
            found[real] = specifier.lstrip("=")
    return found


def _installed(name: str) -> str | None:
    for one in (name, *_ALSO.get(name, ())):
        try:
            return metadata.version(canonical(one))
        except metadata.PackageNotFoundError:
            continue
    return None


def differs(name: str, wanted: str, installed: str) -> bool:
    """Whether two versions of a package differ in what matters of it."""
    parts = 1 if name in _MAJOR else 2
    return _cut(wanted, parts) != _cut(installed, parts)


def _cut(version: str, parts: int) -> tuple[str, ...]:
    """The first parts of a version, as far as both have them; what is local (+cu121) does not count."""
    return (*version.partition("+")[0].split("."), "0")[:parts]
