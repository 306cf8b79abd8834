"""What a body is: its media type, and its JSON as Python's own parser would have it."""

import json
from functools import lru_cache
from typing import Any, Final

import orjson

from serinus_server import shown
from serinus_server.problems import RequestProblem

JSON: Final = "application/json"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
_TYPES: Final = (JSON, CSV, PARQUET)
_UNSUPPORTED: Final = 415


@lru_cache(maxsize=64)
def media_type(content_type: str) -> str:
    """Which of the three it is; a RequestProblem of 415 if none, or of another charset than UTF-8."""
    kind, *params = (part.strip() for part in content_type.split(";"))
    given = dict(part.partition("=")[::2] for part in params)
    charset = given.pop("charset", "utf-8")
    if charset.lower() != "utf-8":
        raise RequestProblem(_UNSUPPORTED, f"the charset is {shown.name(charset)}, and must be utf-8")
    if given:
        raise RequestProblem(_UNSUPPORTED, f"unknown parameters of the content type: {shown.names(given)}")
    if kind not in _TYPES:
        raise RequestProblem(_UNSUPPORTED, f"the content type is {shown.name(kind)}, and must be {', '.join(_TYPES)}")
    return kind


def quickly(body: bytes) -> dict[str, Any]:
    """The object in the body. Integers beyond 64 bits are floats; all else is as `exactly` has it."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        # NaN and Infinity, numbers that are infinite, byte order marks, UTF-16: Python takes them, and so does MLflow.
        return exactly(body)
    return content if type(content) is dict else _no_object(content)


def exactly(body: bytes) -> dict[str, Any]:
    """The object in the body, by the parser that MLflow has; a RequestProblem says where it is broken."""
    try:
        content = json.loads(body)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise RequestProblem(400, f"the body is not valid JSON: {error.msg} at {where}") from None
    except UnicodeDecodeError as error:
        raise RequestProblem(400, f"the body is not valid {error.encoding} at byte {error.start}") from None
    except RecursionError:
        raise RequestProblem(400, "the body is not readable: its JSON is nested too deeply") from None
    except ValueError as error:
        raise RequestProblem(400, f"the body is not readable: {shown.text(error, 120)}") from None
    if b"\\u" in body:
        _check_text(content)
    return content if type(content) is dict else _no_object(content)


def _check_text(content: Any) -> None:
    """Halves of surrogate pairs are no text: pandas raises for them, at a place that depends on its version."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RequestProblem(400, "the body has half of a surrogate pair (\\ud800 to \\udfff) in a string") from None
    except RecursionError:
        raise RequestProblem(400, "the body is not readable: its JSON is nested too deeply") from None


def _no_object(content: Any) -> dict[str, Any]:
    raise RequestProblem(400, f"the body must be a JSON object, and is {shown.kind(content)}")
