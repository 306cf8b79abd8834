"""Log lines on stderr, a JSON object each. A record's `extra={"fields": {…}}` becomes fields of its line.

What went into a model is never logged. The message of an exception may quote it ("could not convert string to float:
'Jane'"), so of an exception only the types and the places are told; its message, too, where `extra={"quotes": True}`
says that no request had a part in it, or where it is a ModelProblem, whose message is ours.
"""

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

from serinus_server.problems import ModelProblem

NAME: Final = "serinus_server"
# The most places of a traceback, the innermost.
_PLACES: Final = 20
_LONGEST: Final = 4000
# Libraries that tell more than anybody asked for, or what is none of the logs' business.
_QUIET: Final[Mapping[str, int]] = {
    "asyncio": logging.WARNING,
    "botocore": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "urllib3": logging.WARNING,
}


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """From now on everything that is logged, by whomever, goes to the stream, stderr by default, a line each."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # MLflow has a form of its own, which it sets up when it is imported.
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
    mlflow = logging.getLogger("mlflow")
    mlflow.handlers[:], mlflow.propagate = [], True
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(capture=True)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object in one line, whatever its message holds."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.name.partition(".")[0] != NAME:
            line["logger"] = record.name
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            quoting = isinstance(error, ModelProblem) or getattr(record, "quotes", False)
            line["error"] = _told(error, quoting=quoting)
        # A field never takes the place of what every line has.
        line |= {name: value for name, value in getattr(record, "fields", {}).items() if name not in line}
        return _json(line)


def _told(error: BaseException, *, quoting: bool) -> dict[str, Any]:
    """The error and what caused it, with the places from the outermost to the innermost."""
    told: dict[str, Any] = {"type": _type(error)}
    if quoting:
        told["message"] = _text(error)
    told["places"] = [place for one in _chain(error) for place in _places(one)][-_PLACES:]
    causes = [_type(one) + (f": {_text(one)}" if quoting else "") for one in _chain(error) if one is not error]
    return told | ({"causes": causes} if causes else {})


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, preceded by what caused it, the first cause first."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.insert(0, one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    yield from chain


def _places(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"{frame.filename}:{frame.lineno} {frame.name}"


def _type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST]
    except Exception:  # noqa: BLE001 (a model's own exception may fail even at this)
        return "an error that cannot say what it is"


def _json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        # Text with half a pair of surrogates, or a number beyond 64 bits: as text that anybody can read.
        safe = {str(name): ascii(value) for name, value in line.items()}
        return orjson.dumps(safe).decode()
