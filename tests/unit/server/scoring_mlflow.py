"""What MLflow's own scoring server does of a request, in this process, and what ours does, to be compared."""

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from serinus_server import mlmodel
from serinus_server.problems import RequestProblem
from serinus_server.scoring import Scoring
from serinus_server.values import Call, Opaque, Table

with warnings.catch_warnings():
    # MLflow warns of its own type hints when it is imported.
    warnings.simplefilter("ignore")
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.pyfunc import PyFuncModel
    from mlflow.pyfunc import scoring_server as _server

scoring_server: Any = _server

JSON = "application/json"


@dataclass
class Seen:
    """What a model got."""

    value: Any
    params: Any


class Echo:
    """A model that keeps what it gets."""

    def __init__(self) -> None:
        self.seen: Seen | None = None

    def predict(self, data: object, params: object = None) -> object:
        """Nothing is made of it."""
        self.seen = Seen(data, params)
        return [1]

    def taken(self) -> Seen | None:
        """What it got last."""
        return self.seen


def save(path: Path, signature: dict[str, str] | None, **more: object) -> Path:
    """A model's folder with nothing in it but MLmodel."""
    recorded = ModelSignature.from_dict(signature) if signature is not None else None
    model = Model(signature=recorded, flavors={"python_function": {"loader_module": "echo"}})
    for name, value in more.items():
        setattr(model.signature, name, value)
    path.mkdir(parents=True, exist_ok=True)
    model.save(str(path / "MLmodel"))
    return path


def columns(**types: str) -> str:
    """A schema of columns; a type that ends in `?` is optional."""
    return json.dumps([{"name": n, "type": t.rstrip("?"), "required": not t.endswith("?")} for n, t in types.items()])


def tensors(*given: tuple[str | None, str, tuple[int, ...]]) -> str:
    """A schema of tensors."""
    specs = [
        {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}} | ({"name": name} if name else {})
        for name, dtype, shape in given
    ]
    return json.dumps(specs)


def scoring(path: Path) -> Scoring:
    return Scoring(mlmodel.read(path))


class Theirs:
    """MLflow's server for one model."""

    def __init__(self, path: Path) -> None:
        self._echo = Echo()
        self._model: Any = PyFuncModel(model_meta=Model.load(str(path)), model_impl=self._echo)
        metadata: Any = self._model.metadata
        self._schema = metadata.get_input_schema()

    def __call__(self, body: bytes, kind: str = JSON) -> Seen | str:
        """What the model got; the refusal, or the name of the exception that is a 500."""
        self._echo.seen = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in ("mlflow.pyfunc.scoring_server", "mlflow.models.utils"):
                logging.getLogger(name).setLevel(logging.ERROR)
            try:
                answer = scoring_server.invocations(body, kind, self._model, self._schema)
            except MlflowException as error:
                return str(error.message)
            except Exception as error:  # noqa: BLE001 (it is a 500 there)
                return f"500: {error!r}"
        return self._echo.taken() or str(answer.response)


def ours(model: Scoring, body: bytes, kind: str = JSON) -> Call | RequestProblem:
    try:
        return model.decode(body, kind)
    except RequestProblem as problem:
        return problem


def plain(call: Call) -> Any:
    """What the model gets of a call."""
    if isinstance(call.value, Table):
        return call.value.frame()
    return call.value.value if isinstance(call.value, Opaque) else call.value


def assert_same(theirs: Seen | str, mine: Call | RequestProblem) -> None:
    """Both refuse, or the model gets the same: types, values and order."""
    if isinstance(theirs, str) or isinstance(mine, RequestProblem):
        assert isinstance(theirs, str), f"we refuse: {mine}; MLflow gives {theirs!r}"
        assert isinstance(mine, RequestProblem), f"MLflow refuses: {theirs[:300]}; we give {mine}"
        assert mine.status in {400, 415}
        return
    assert_equal(plain(mine), theirs.value)
    assert mine.params == theirs.params
    if mine.params:
        assert {n: type(v) for n, v in mine.params.items()} == {n: type(v) for n, v in theirs.params.items()}


def assert_equal(mine: Any, theirs: Any) -> None:
    assert type(mine) is type(theirs)
    if isinstance(theirs, pd.DataFrame):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
        for name in [one for one, dtype in theirs.dtypes.items() if dtype.kind == "O"]:
            assert [type(one) for one in mine[name]] == [type(one) for one in theirs[name]]
    elif isinstance(theirs, np.ndarray):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    elif isinstance(theirs, dict):
        assert list(mine) == list(theirs)
        for name, value in theirs.items():
            assert_equal(mine[name], value)
    else:
        assert mine == theirs
