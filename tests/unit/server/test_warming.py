"""Before anybody is served: the example is predicted, and rows are joined only where that is known to be right."""

import logging
from typing import Any

import pytest

from serinus_server import problems, warming
from serinus_server.problems import ModelProblem
from serinus_server.values import Call
from tests.unit.server import flavour_models as models
from tests.unit.server.flavour_models import Served

pytestmark = pytest.mark.filterwarnings("ignore")


def load(model: Any, **more: Any) -> Served:
    """A pyfunc, saved and loaded."""
    with models.quiet():
        return models.of(models.pyfunc(model, **more))


def warm(served: Served) -> Call | None:
    body, instead = warming.example(served.recorded), warming.made_up(served.recorded.signature)
    return warming.warm(served.ours, served.scoring, body, instead)


class Says(models.mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Whatever it was told to."""

    def __init__(self, says: Any) -> None:
        self.says = says

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002, D102
        if isinstance(self.says, Exception):
            raise self.says
        return self.says(model_input) if callable(self.says) else self.says


@pytest.mark.parametrize("name", ["pyfunc with params", "pyfunc of pandas"])
def test_a_pyfunc_that_takes_row_by_row_is_joined(name: str) -> None:
    served = models.served(name)
    assert warming.joins(served.ours, warm(served))


@pytest.mark.parametrize(
    "model",
    [
        models.Normalised(),
        Says(lambda rows: rows["income"].rank().tolist()),
        Says(lambda rows: [len(rows)] * len(rows)),
        Says(lambda rows: float(rows["income"].sum())),
        Says(lambda rows: rows["income"].tolist()[:1]),
        Says("always the same"),
        Says(lambda rows: [0] * len(rows)),
    ],
    ids=["normalises", "ranks", "counts", "sums", "first", "constant", "all the same"],
)
def test_a_pyfunc_that_does_not_or_may_not_is_not_joined(model: Any) -> None:
    served = load(model)
    assert not warming.joins(served.ours, warm(served))


def test_one_row_is_enough_where_its_numbers_can_be_changed() -> None:
    by_row = load(Says(lambda rows: rows["income"].tolist()), input_example=models.MIXED.head(1))
    assert warming.joins(by_row.ours, warm(by_row))
    normalising = load(
        Says(lambda rows: (rows["income"] - rows["income"].mean()).tolist()), input_example=models.MIXED.head(1)
    )
    assert not warming.joins(normalising.ours, warm(normalising))


def test_without_an_example_it_cannot_be_told(caplog: pytest.LogCaptureFixture) -> None:
    served = load(Says(lambda rows: rows["income"].tolist()), input_example=None)
    with caplog.at_level(logging.WARNING):
        call = warm(served)
    assert "no input example" in caplog.text
    assert call is not None
    assert not warming.joins(served.ours, call)


def fails(rows: Any) -> Any:
    if rows["city"].iloc[0] == "":
        raise KeyError("no such city")
    return [1.0]


def test_that_a_model_fails_with_made_up_rows_is_only_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    served = load(Says(fails), input_example=None)
    with caplog.at_level(logging.WARNING):
        assert warm(served) is None
    assert "does not predict a row of zeros" in caplog.text


@pytest.mark.parametrize("name", sorted(set(models.MODELS) - {"unsigned"}))
def test_a_request_can_be_made_up_for_every_signature(name: str) -> None:
    served = models.served(name)
    body = warming.made_up(served.recorded.signature)
    assert served.scoring.decode(body, models.JSON).rows == 1


def test_without_a_signature_nothing_is_made_up() -> None:
    assert warming.made_up(models.served("unsigned").recorded.signature) == b""


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (
            RuntimeError("no such table\nline two"),
            "fails on its own input example: RuntimeError: no such table line two",
        ),
        (object(), "cannot be written as JSON: TypeError"),
        ({1, 2}, "cannot be written as JSON: TypeError"),
    ],
)
def test_a_model_that_fails_its_own_example_is_not_served(
    says: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = models.served("pyfunc of pandas")
    model = Says(says)
    monkeypatch.setattr(served.ours.predictor, "_direct", lambda rows: model.predict(None, rows))
    monkeypatch.setattr(served.ours.predictor, "_takes_params", False)
    with pytest.raises(ModelProblem) as told:
        warm(served)
    assert told.value.reason == problems.PREDICTION
    assert words in told.value.message
    assert "\n" not in told.value.message


def test_outputs_that_are_not_one_for_each_row_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warm(load(Says(lambda rows: rows["income"].tolist()[:1])))
    assert "predicts 1 outputs for the 3 rows" in caplog.text


def test_an_example_that_does_not_fit_the_signature() -> None:
    served = models.served("classifier")
    with pytest.raises(ModelProblem, match="log the model again"):
        warming.warm(served.ours, served.scoring, b'{"inputs": {"other": [1]}}')
