"""One model as both ways of the protocol serve it: what it is called, what it takes, and what it says."""

from collections.abc import Mapping
from typing import Any, Final

from serinus_server import shown
from serinus_server.app import Identity
from serinus_server.inference import outputs
from serinus_server.inference.fitting import BYTES, DATATYPES
from serinus_server.inference.inputs import Decodes, Inputs
from serinus_server.inference.tensors import DTYPES
from serinus_server.mlmodel import Recorded
from serinus_server.problems import RequestProblem
from serinus_server.signature import Column, Signature, Tensor

SERVER: Final = "serinus"
EXTENSIONS: Final = ("binary_tensor_data",)
# What a model is called of which nobody has said a name.
_NAMELESS: Final = "model"
_NAMES: Final[Mapping[Any, str]] = {dtype: name for name, dtype in DTYPES.items()}
_CONTENT: Final = {"string": "str", "binary": "base64", "datetime": "datetime"}


class Served:
    """One version of one model."""

    def __init__(self, recorded: Recorded, identity: Identity, scoring: Decodes) -> None:
        self.name = identity.name or _NAMELESS
        self.version = identity.version
        self.revision = identity.revision
        self.names = outputs.names_of(recorded.signature)
        self.call = Inputs(recorded, scoring).call
        self._signature = recorded.signature
        self._platform = platform(recorded)
        # Whether the signature has this input: only of those problems are counted.
        self.has = frozenset(str(one.name) for one in recorded.signature.inputs or () if one.name).__contains__

    def check(self, name: str, version: str) -> None:
        """Raises a RequestProblem if this is not the model, or not the version, that is asked for."""
        if name != self.name:
            words = f"there is no model {shown.name(name)} here; served is {shown.name(self.name)}"
        elif version and version != self.version:
            served = f"is served in version {shown.name(self.version)}" if self.version else "has no version"
            words = f"model {shown.name(self.name)} {served}; asked for was {shown.name(version)}"
        else:
            return
        raise RequestProblem(404, words)

    def metadata(self) -> dict[str, Any]:
        """What goes in and what comes out. Columns may also come as one tensor of shape [n, columns]."""
        signature = self._signature
        told: dict[str, Any] = {"name": self.name, "versions": [self.version] if self.version else []}
        told["platform"] = self._platform
        inputs: list[Column | Tensor] = list(signature.inputs or ())
        made: list[Column | Tensor] = list(signature.outputs or ())
        told["inputs"] = [_told(one, f"input-{place}") for place, one in enumerate(inputs)]
        told["outputs"] = [_told(one, name) for one, name in zip(made, self.names, strict=False)]
        told["parameters"] = _about_inputs(signature)
        return told


def platform(recorded: Recorded) -> str:
    """The library in the form `project_format`, such as mlflow_sklearn."""
    module = recorded.loader_module.removeprefix("mlflow.").split(".")[0]
    return f"mlflow_{module}" if module else "mlflow_pyfunc"


def _told(one: Column | Tensor, name: str) -> dict[str, Any]:
    if isinstance(one, Tensor):
        return {"name": one.name or name, "datatype": _NAMES.get(one.dtype, BYTES), "shape": list(one.shape)}
    told: dict[str, Any] = {"name": one.name or name, "datatype": DATATYPES.get(one.type, BYTES), "shape": [-1]}
    if told["datatype"] == BYTES:
        told["parameters"] = {"content_type": _CONTENT.get(one.type, "pd_json")}
    return told


def _about_inputs(signature: Signature) -> dict[str, str]:
    if signature.is_tabular:
        words = f"a tensor of shape [n] or [n, 1] for each column, or one of shape [n, {len(signature.columns)}]"
        return {"content_type": "pd", "inputs": f"{words} with the columns in this order"}
    if signature.tensors:
        return {"content_type": "np" if signature.tensors[0].name is None else "dict"}
    return {}
