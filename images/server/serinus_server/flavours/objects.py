"""Read a model that was written as a Python object: skops, pickle or cloudpickle."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serinus_server import problems
from serinus_server.problems import ModelProblem


def read(file: Path, form: str, flavour: Mapping[str, Any]) -> Any:
    """The object; `form` is MLflow's word for how it was written."""
    may_unpickle()
    if form == "skops":
        return _skops(file, flavour.get("skops_trusted_types"))
    with file.open("rb") as stream:
        if form == "cloudpickle":
            import cloudpickle  # type: ignore[import-untyped]

            return cloudpickle.load(stream)
        if form == "pickle":
            return pickle.load(stream)  # noqa: S301 (the owner of the registry is trusted, see `may_unpickle`)
    raise ModelProblem(problems.UNREADABLE, f"{file.name} is written as {form!r}, which this server cannot read")


def _skops(file: Path, trusted: list[str] | None) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(file, trusted=trusted)
    except UntrustedTypesFoundException:
        unknown = skops.io.get_untrusted_types(file=file)
        names = [one for one in unknown if one not in (trusted or [])]
        raise ModelProblem(
            problems.UNREADABLE,
            f"{file.name} has types that its MLmodel does not trust: {', '.join(names)}; if you trust them, "
            f"log the model again with skops_trusted_types={names}",
        ) from None


def may_unpickle() -> None:
    """MLflow's switch against models that could run anything while they are loaded, whatever their format."""
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in {"true", "1"}:
        raise ModelProblem(
            problems.SETTINGS,
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION is off, and loading this model may run code: "
            "allow it for models that you trust, or serve one in the ONNX format",
        )


def whole(file: Path, ending: bytes) -> None:
    """Raises a ModelProblem for a file that was cut off, where the library would end the process or say nothing."""
    if ending not in file.read_bytes():
        raise ModelProblem(
            problems.UNREADABLE,
            f"{file.name} has no {ending.decode().strip()!r}: it was cut off; fetch or log the model again",
        )
