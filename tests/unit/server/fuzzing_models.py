"""The models that are served while a server is fuzzed: one of mixed columns, one of a tensor."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import cloudpickle  # type: ignore[import-untyped]
import numpy as np

from tests.unit.server.fuzzing_bodies import Target
from tests.unit.server.fuzzing_client import Probe, good_request
from tests.unit.server.processes import write_model

MIXED: Final = Target(
    "fuzz", {"a": "double", "n": "long", "s": "string", "b": "boolean", "o": "double?", "t": "string?"}
)
TENSOR: Final = Target("fuzz", {}, (-1, 3))
PROBES: Final = {
    "mixed": Probe(
        good_request(b'{"dataframe_records":[{"a":1.5,"n":2,"s":"x","b":true},{"a":2,"n":3,"s":"","b":false}]}'),
        b'{"predictions":[3.0,4.0]}',
    ),
    "tensor": Probe(good_request(b'{"inputs":[[1,2,3],[4,5,6]]}'), b'{"predictions":[2.0,8.0]}'),
}
TARGETS: Final = {"mixed": MIXED, "tensor": TENSOR}


class First:
    """Doubles what comes first in a row, and can not take 999."""

    def predict(self, rows: Any) -> Any:
        """Two times each."""
        column = np.asarray(rows["a"] if hasattr(rows, "columns") else rows[:, 0], float)
        if (column == 999).any():
            raise ValueError("999 is too many")
        # 1e308 is infinite then, and nobody needs to be warned.
        with np.errstate(over="ignore"):
            return column * 2


def write(folder: Path, name: str) -> Path:
    """The folder of a model by this name."""
    target = TARGETS[name]
    write_model(folder)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(First()))
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    content = json.loads((folder / "MLmodel").read_text())
    content["signature"]["inputs"] = json.dumps(_inputs(target))
    (folder / "MLmodel").write_text(json.dumps(content))
    body = PROBES[name].data.partition(b"\r\n\r\n")[2]
    (folder / "serving_input_example.json").write_bytes(body)
    return folder


def _inputs(target: Target) -> list[dict[str, Any]]:
    if target.tensor:
        return [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": list(target.tensor)}}]
    return [
        {"type": kind.rstrip("?"), "name": name, "required": not kind.endswith("?")}
        for name, kind in target.columns.items()
    ]
