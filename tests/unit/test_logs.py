"""What is logged says what it is about, and nobody can forge a line."""

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serinus import logs
from serinus.objects import JOB, Ref

type Lines = Callable[[], list[str]]

CHURN = Ref(JOB, "ml", "churn")
# Line ends of all sorts, and what moves a terminal's cursor or turns the line around.
HOSTILE = "a\nb\rc\u2028d\u0085e\x1b[2Kf\x00g\u202eh"
log = logging.getLogger("serinus.test")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Logging is of the whole process: other tests must not see ours."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in logs.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


def configured(form: logs.LogFormat, level: logs.LogLevel = "INFO") -> Lines:
    """Logging into a text of which the lines can be had."""
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return lambda: stream.getvalue().split("\n")[:-1]


def objects(lines: Lines) -> list[dict[str, Any]]:
    """The JSON of each line."""
    return [json.loads(line) for line in lines()]


def test_a_line_is_a_json_object() -> None:
    lines = configured("json")
    log.warning("took %d s", 3)
    (line,) = objects(lines)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "WARNING", "logger": "serinus.test", "message": "took 3 s"}


def test_lines_say_which_resource_they_are_about_and_only_within() -> None:
    lines = configured("json")
    with logs.about(CHURN):
        log.info("mine")
        logging.getLogger("some.library").info("theirs")
        with logs.about(Ref(JOB, "ml", "other")):
            log.info("inner")
        log.info("mine again")
    log.info("nobody's")
    assert [(line.get("kind"), line.get("namespace"), line.get("name")) for line in objects(lines)] == [
        ("Job", "ml", "churn"),
        ("Job", "ml", "churn"),
        ("Job", "ml", "other"),
        ("Job", "ml", "churn"),
        (None, None, None),
    ]


def test_an_error_on_the_way_out_ends_what_it_is_about() -> None:
    lines = configured("json")
    with pytest.raises(ZeroDivisionError), logs.about(CHURN):
        _ = 1 / 0
    log.info("after")
    assert "kind" not in objects(lines)[0]


def test_reconciles_at_the_same_time_are_told_apart() -> None:
    lines = configured("json")

    async def reconcile(name: str, other: asyncio.Event, mine: asyncio.Event) -> None:
        with logs.about(Ref(JOB, "ml", name)):
            mine.set()
            await other.wait()
            await asyncio.to_thread(log.info, name)

    async def both() -> None:
        left, right = asyncio.Event(), asyncio.Event()
        await asyncio.gather(reconcile("left", right, left), reconcile("right", left, right))

    asyncio.run(both())
    assert {line["message"] for line in objects(lines)} == {"left", "right"}
    assert all(line["message"] == line["name"] for line in objects(lines))


def test_an_exception_is_one_line() -> None:
    lines = configured("json")
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301 (the traceback is the case)
    except ValueError:
        log.exception("failed")
    (line,) = objects(lines)
    assert line["message"] == "failed"
    assert line["error"].startswith("Traceback (most recent call last):\n")
    assert line["error"].endswith(f"ValueError: {HOSTILE}")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_message_cannot_forge_a_line(form: logs.LogFormat) -> None:
    lines = configured(form)
    with logs.about(Ref(JOB, "ml", HOSTILE)):
        log.info("model %s", HOSTILE)
    (line,) = lines()
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_json_says_a_hostile_message_unchanged() -> None:
    lines = configured("json")
    log.info("%s", HOSTILE)
    assert objects(lines)[0]["message"] == HOSTILE


def test_text_is_for_people() -> None:
    lines = configured("text")
    with logs.about(CHURN):
        log.info("größer")
    (line,) = lines()
    assert line.endswith(" INFO    serinus.test: Job ml/churn: größer")


def test_a_traceback_in_text_is_indented_so_that_it_is_no_line_of_its_own() -> None:
    lines = configured("text")
    try:
        raise ValueError("gone\n2026-01-01T00:00:00.000Z INFO    serinus: all is well")  # noqa: TRY301 (as above)
    except ValueError:
        log.exception("failed")
    head, *below = lines()
    assert head.endswith("ERROR   serinus.test: failed")
    assert len(below) > 3
    assert all(line.startswith("    ") for line in below)


@pytest.mark.parametrize(
    ("level", "name", "at", "passes"),
    [
        ("INFO", "serinus.runtime", logging.DEBUG, False),
        ("DEBUG", "serinus.runtime", logging.DEBUG, True),
        ("DEBUG", "aiohttp.access", logging.INFO, False),
        ("DEBUG", "kopf.objects", logging.INFO, False),
        ("INFO", "kopf.objects", logging.WARNING, True),
        # These write answers of the API server at DEBUG, Secrets among them.
        ("DEBUG", "kubernetes.client.rest", logging.DEBUG, False),
        ("DEBUG", "client.rest", logging.DEBUG, False),
        ("ERROR", "kopf.objects", logging.WARNING, False),
        ("ERROR", "kubernetes", logging.WARNING, False),
    ],
)
def test_what_passes(level: logs.LogLevel, name: str, at: int, passes: bool) -> None:  # noqa: FBT001 (the case)
    lines = configured("json", level)
    logging.getLogger(name).log(at, "said")
    assert len(lines()) == passes


def test_warnings_of_libraries_are_lines_too() -> None:
    lines = configured("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Within pytest's own recorder, which stands in for what prints warnings.
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = objects(lines)
    assert (line["logger"], line["level"]) == ("py.warnings", "WARNING")
    assert "UserWarning: old" in line["message"]
