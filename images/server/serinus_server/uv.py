"""Runs uv, and says in plain words what it says in many lines."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from serinus_server.fetching.patience import EACH_SECONDS, Deadline
from serinus_server.fetching.words import safe
from serinus_server.problems import ENVIRONMENT, SETTINGS, ModelProblem

# uv draws a tree of reasons.
_DRAWN: Final = re.compile(r"[\u00d7├│╰─▶⏵➜]+")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_BEGINNINGS: Final = ("error", "\u00d7", "help:", "hint:")
_LONGEST: Final = 900
_NO_SOLUTION: Final = "No solution found"
_UNREACHABLE: Final = ("Failed to fetch", "error sending request", "dns error", "Connection refused", "Connect)")
_FIND_SECONDS: Final = 30


def find(given: str) -> Path:
    """The uv that was given, else the one on PATH."""
    found = shutil.which(given or "uv")
    if found is None:
        place = f"{given} is no program" if given else "uv is not on PATH"
        raise ModelProblem(SETTINGS, f"{place}: the model's own environment is built with uv, install it or say where")
    return Path(found)


def python(tool: Path, version: str) -> str | None:
    """An interpreter of a version that is on the machine."""
    arguments = (str(tool), "python", "find", "--no-config", "--no-python-downloads", "--system", version)
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=_FIND_SECONDS)  # noqa: S603
        return done.stdout.strip() if done.returncode == 0 else None
    return None


def run(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    deadline: Deadline,
    say: Callable[[str], None],
) -> None:
    """Run it in a folder; ENVIRONMENT with its reason if it fails, TimeoutExpired if it takes too long."""
    environment = {**variables, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    # What is on PYTHONPATH is the image's, and would count as installed in the builds that uv runs.
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(  # noqa: S603 - uv, as the image or its user has it
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            words = _awaited(process, command[1], deadline, say)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise ModelProblem(ENVIRONMENT, f"the model's packages cannot be installed: {reason(words)}{remedy(words)}")


def _awaited(process: subprocess.Popen[str], what: str, deadline: Deadline, say: Callable[[str], None]) -> str:
    while True:
        try:
            return process.communicate(timeout=max(min(EACH_SECONDS, deadline.left()), 0.01))[1]
        except subprocess.TimeoutExpired:
            if deadline.left() <= 0:
                raise
            say(f"uv {what} is at work, for {deadline.seconds - deadline.left():.0f} s")


def reason(words: str) -> str:
    """What uv says of a failure, as one line: from where it begins to speak of it."""
    lines = [_COLOURS.sub("", line).strip() for line in words.splitlines()]
    lines = [line for line in lines if line and not line.startswith("warning")]
    first = next((at for at, line in enumerate(lines) if line.startswith(_BEGINNINGS)), max(len(lines) - 5, 0))
    text = safe(" ".join(_DRAWN.sub(" ", " ".join(lines[first:])).split())).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def remedy(words: str) -> str:
    """What to do about it."""
    if "o space left on device" in words:
        return ": give the cache's volume more space"
    if any(one in words for one in _UNREACHABLE):
        return ": let the pod reach the package index (UV_DEFAULT_INDEX), or give it a folder of wheels"
    if _NO_SOLUTION in words:
        return ": put these packages where they are looked for, log the model with others, or use `environment: Image`"
    return ": log the model with packages that have wheels for this platform, or use `environment: Image`"
