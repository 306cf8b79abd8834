"""Log lines on stderr: a JSON object a line for machines, or text for people.

Within `about` every line says which resource it is about, also those of libraries and of tasks that start there. A line
stays one line, whatever a message holds, so that nobody who names a resource or a model can forge another.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from serinus.objects import Ref

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["json", "text"]

_ABOUT: ContextVar[Ref | None] = ContextVar("about", default=None)

# Loggers of libraries, and what we let through at least. The Kubernetes clients write whole answers at DEBUG, with the
# data of Secrets in them; Kopf tells of each event, which the reconcile tells better.
QUIET: Final[Mapping[str, int]] = {
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.INFO,
    "client": logging.INFO,
    "kopf": logging.WARNING,
    "kubernetes": logging.INFO,
    "urllib3": logging.INFO,
}


@contextmanager
def about(ref: Ref) -> Iterator[None]:
    """Every line that is logged within says that it is about this object."""
    token = _ABOUT.set(ref)
    try:
        yield
    finally:
        _ABOUT.reset(token)


def configure(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """From now on everything that is logged goes to the stream, stderr by default, in this form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(capture=True)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object. Everything but ASCII is escaped: no reader sees a line end where there is none."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        ref = _ABOUT.get()
        if ref is not None:
            line |= {"kind": ref.kind.kind, "namespace": ref.namespace, "name": ref.name}
        if error := _error(self, record):
            line["error"] = error
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """A record as a line for people; a traceback follows it, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it what went wrong."""
        ref = _ABOUT.get()
        where = f"{ref}: " if ref is not None else ""
        head = f"{_time(record)} {record.levelname:<7} {record.name}: {_visible(where + record.getMessage())}"
        error = (f"    {_visible(line)}" for line in _error(self, record).split("\n") if line)
        return "\n".join([head, *error])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The traceback, and the stack if one was asked for; empty for most records."""
    parts = [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
    parts += [record.stack_info] if record.stack_info else []
    return "\n".join(parts)


def _visible(text: str) -> str:
    """The text on one line, with letters that move a terminal's cursor or turn the line around written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
