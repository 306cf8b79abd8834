"""Log lines on stderr, a JSON object each: what an operator needs, and nothing for a single request unless asked for.

What went into a model is never logged. The message of an exception may quote it ("could not convert string to float:
'Jane'"), so of what happened while a request was read or predicted only the type and the place are told.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

NAME: Final = "serinus_server"
# The most places of a traceback, the innermost.
_PLACES: Final = 20
_LONGEST: Final = 4000
# What a record's attribute is called that holds our fields.
_FIELDS: Final = "serinus_fields"
# Libraries that tell more than anybody asked for, or what is none of the logs' business.
_QUIET: Final[Mapping[str, int]] = {
    "asyncio": logging.WARNING,
    "botocore": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
    "urllib3": logging.WARNING,
}


class Log:
    """The server's log. Fields are of kinds that JSON has; they never hold inputs."""

    def __init__(self, *, access: bool = False) -> None:
        self._logger = logging.getLogger(NAME)
        # To be asked first, so that a request that is not logged costs one comparison.
        self.access_wanted = access

    def info(self, message: str, **fields: object) -> None:
        """Something that an operator wants to know."""
        self._logger.info(message, extra={_FIELDS: fields})

    def warning(self, message: str, **fields: object) -> None:
        """Something that an operator should look at some time."""
        self._logger.warning(message, extra={_FIELDS: fields})

    def error(self, message: str, error: BaseException | None = None, **fields: object) -> None:
        """Something that an operator should look at now; of an error, with its message."""
        self._logger.error(message, exc_info=error, extra={_FIELDS: fields})

    def failed(self, message: str, error: BaseException, **fields: object) -> None:
        """An error that came up with a request: its type and where, but not its message, which may quote inputs."""
        self._logger.error(message, extra={_FIELDS: {**fields, "error": _told(error, quoting=False)}})

    def access(self, **fields: object) -> None:
        """One request was answered; a line only if `access_wanted`."""
        if self.access_wanted:
            self._logger.info("access", extra={_FIELDS: fields})


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """From now on everything that is logged, by whomever, goes to the stream, stderr by default, a line each."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
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
        if record.name != NAME:
            line["logger"] = record.name
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = _told(error, quoting=True)
        # A field never takes the place of what every line has.
        line |= {name: value for name, value in getattr(record, _FIELDS, {}).items() if name not in line}
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
