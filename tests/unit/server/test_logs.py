"""Log lines: one JSON object each, with no inputs in them."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from serinus_server import logs
from serinus_server.problems import ModelProblem

type Anything = Any

LOG = logging.getLogger("serinus_server.app")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def quoting() -> None:
    try:
        float("Jane")
    except ValueError as error:
        raise RuntimeError("cannot predict Jane") from error


def raised() -> BaseException:
    try:
        quoting()
    except RuntimeError as error:
        return error
    raise AssertionError


def test_a_line_has_its_fields(stream: io.StringIO) -> None:
    LOG.info("model loaded in %g s", 1.5, extra={"fields": {"version": "7", "message": "not me"}})
    (line,) = lines(stream)
    assert line == {"time": line["time"], "level": "info", "message": "model loaded in 1.5 s", "version": "7"}
    assert line["time"].endswith("Z")


def test_an_error_is_in_one_line_and_quotes_nothing(stream: io.StringIO) -> None:
    LOG.error("a prediction failed", exc_info=raised(), extra={"fields": {"request_id": "1"}})
    (line,) = lines(stream)
    assert line["error"]["type"] == "RuntimeError"
    assert line["error"]["causes"] == ["ValueError"]
    assert line["error"]["places"][-1].endswith(" quoting")
    assert line["request_id"] == "1"
    assert "Jane" not in stream.getvalue()


def test_an_error_in_which_no_request_has_a_part_is_quoted(stream: io.StringIO) -> None:
    LOG.error("cannot load", exc_info=raised(), extra={"quotes": True})
    LOG.error("cannot load", exc_info=ModelProblem("ModelNotFound", "there is no version 8"))
    first, second = lines(stream)
    assert first["error"]["message"] == "cannot predict Jane"
    assert first["error"]["causes"] == ["ValueError: could not convert string to float: 'Jane'"]
    assert second["error"]["message"] == "there is no version 8"


def test_causes_that_go_in_a_circle_have_an_end(stream: io.StringIO) -> None:
    one, other = ValueError(), TypeError()
    one.__cause__, other.__cause__ = other, one
    LOG.error("odd", exc_info=one)
    assert lines(stream)[0]["error"]["causes"] == ["TypeError"]


def test_others_log_in_the_same_form(stream: io.StringIO) -> None:
    logging.getLogger("mlflow").warning("two\nlines of %s", "text")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = lines(stream)
    assert (first["logger"], first["message"]) == ("mlflow", "two\nlines of text")
    assert second["logger"] == "py.warnings"


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), {1: {2: "\ud800"}}, float("nan")])
def test_whatever_a_field_holds_there_is_a_line(stream: io.StringIO, value: Anything) -> None:
    LOG.info("odd", extra={"fields": {"value": value}})
    (line,) = lines(stream)
    assert "odd" in line["message"]


def test_an_exception_that_cannot_be_told_is_told(stream: io.StringIO) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    error = MuteError()
    error.__context__ = error.__cause__ = None
    LOG.error("odd", exc_info=error, extra={"quotes": True})
    (line,) = lines(stream)
    assert line["error"]["message"] == "an error that cannot say what it is"
