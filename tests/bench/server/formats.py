"""What each server is asked, in its own format, and the predictions in what it answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATATYPES = {"double": "FP64", "long": "INT64", "string": "BYTES"}
CODECS = {"double": "np", "long": "np", "string": "str"}
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Sample:
    """Rows that a model can be asked for, and what it predicts for them; a kind for each column, as MLflow names it."""

    columns: Sequence[str]
    kinds: Sequence[str]
    rows: Rows
    predictions: Sequence[Any]

    @property
    def mixed(self) -> bool:
        """Whether the rows are more than numbers."""
        return "string" in self.kinds


@dataclass(frozen=True)
class Question:
    """One request, and what it is to be answered."""

    body: str
    predictions: Sequence[Any]


Format = Callable[[Sample, Rows], Any]


def read(path: Path) -> Sample:
    """The sample beside a model."""
    return Sample(**json.loads(path.read_text()))


def questions(sample: Sample, write: Format, rows: int, number: int) -> list[Question]:
    """So many different requests of so many rows each."""
    starts = range(0, min(number * rows, len(sample.rows) - rows + 1), rows)
    return [
        Question(json.dumps(write(sample, sample.rows[one : one + rows])), sample.predictions[one : one + rows])
        for one in starts
    ]


def frame_split(sample: Sample, rows: Rows) -> Mapping[str, Any]:
    """MLflow's scoring protocol."""
    return {"dataframe_split": {"columns": sample.columns, "data": rows}}


def tensor(sample: Sample, rows: Rows) -> Mapping[str, Any]:
    """The Open Inference Protocol with one matrix; for a frame of mixed types a tensor for each column."""
    if sample.mixed:
        return frame(sample, rows)
    shape = [len(rows), len(sample.columns)]
    data = [value for row in rows for value in row]
    return {"id": "1", "inputs": [{"name": "predict", "shape": shape, "datatype": "FP64", "data": data}]}


def frame(sample: Sample, rows: Rows) -> Mapping[str, Any]:
    """The Open Inference Protocol with a tensor for each column, which MLServer makes a frame of."""
    columns = [
        {
            "name": name,
            "shape": [len(rows), 1],
            "datatype": DATATYPES[kind],
            "parameters": {"content_type": CODECS[kind]},
            "data": [row[index] for row in rows],
        }
        for index, (name, kind) in enumerate(zip(sample.columns, sample.kinds, strict=True))
    ]
    return {"id": "1", "parameters": {"content_type": "pd"}, "inputs": columns}


def data(sample: Sample, rows: Rows) -> Mapping[str, Any]:
    """BentoML: the argument's name; a frame is a list of records."""
    return {"data": _records(sample, rows) if sample.mixed else rows}


def rows_of_model(sample: Sample, rows: Rows) -> Mapping[str, Any]:
    """The pydantic model of the FastAPI application."""
    return {"rows": _records(sample, rows) if sample.mixed else rows}


def predictions(answer: Any) -> Sequence[Any]:  # noqa: ANN401 (whatever a server answers)
    """The predictions in an answer of any of the servers, or a ValueError that shows what there is instead."""
    match answer:
        case [*values] | {"predictions": [*values]} | {"outputs": [{"data": [*values]}, *_]}:
            return values
    raise ValueError(f"no predictions in {str(answer)[:200]}")


def _records(sample: Sample, rows: Rows) -> list[Mapping[str, Any]]:
    return [dict(zip(sample.columns, row, strict=True)) for row in rows]
