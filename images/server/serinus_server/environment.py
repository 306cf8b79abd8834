"""`environment: Model`: the packages that the model recorded, built once with uv, and the server started in them."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn
from uuid import uuid4

from serinus_server import uv
from serinus_server.fetching import locks
from serinus_server.fetching.locks import Hold
from serinus_server.fetching.patience import Deadline, Progress
from serinus_server.fetching.words import to_stdout
from serinus_server.mlmodel import REQUIREMENTS, Recorded, canonical
from serinus_server.problems import ENVIRONMENT, SETTINGS, ModelProblem

# What the server itself imports, beside what the model records. Without versions: the model's pins decide.
NEEDS: Final = (
    "grpcio",
    "httptools",
    "numpy",
    "orjson",
    "protobuf",
    "pyyaml",
    "uvloop",
)
# What loads a model; the model nearly always names one of them, with its version.
_LOADERS: Final = ("mlflow", "mlflow-skinny")
# The server's own code does not parse in older ones.
OLDEST: Final = (3, 12)
# Set in the process that runs in an environment, to its key.
VARIABLE: Final = "SERINUS_ENVIRONMENT"
_COMPLETE: Final = "complete.json"
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """How an environment is built."""

    cache: Path
    # Where uv is; empty: on PATH.
    uv: str = ""
    # A folder with all wheels that are needed; None: from the package index that uv's own variables name.
    wheels: Path | None = None
    # Seconds for building it, or for waiting until another process has.
    deadline: float = 1200.0
    # What the server needs; for tests.
    needs: tuple[str, ...] = NEEDS
    say: Callable[[str], None] = to_stdout


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is complete."""

    key: str
    folder: Path
    hold: Hold

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def build(recorded: Recorded, settings: Settings) -> Environment:
    """The environment of a model, built if it is not there; ENVIRONMENT with the reason if it cannot be."""
    tool = uv.find(settings.uv)
    interpreter = _interpreter(recorded, tool)
    wanted = _requirements(recorded, settings)
    key = _key(wanted, interpreter)
    folder = settings.cache / "environments" / key
    hold = locks.take(settings.cache / "locks" / f"environment-{key}.use", shared=True) or Hold(None)
    if not (folder / _COMPLETE).exists():
        _Build(tool, interpreter, recorded, wanted, settings).at(folder)
    return Environment(key, folder, hold)


def ensure(recorded: Recorded, settings: Settings, arguments: Sequence[str]) -> None:
    """Return in a process that runs in the model's environment: this one, or `python -m serinus_server <arguments>`."""
    if not is_inside():
        enter(build(recorded, settings), arguments)


def is_inside() -> bool:
    """Whether `enter` started this process; the variable alone, as a user may have it, does not count."""
    return Path(sys.prefix).name == os.environ.get(VARIABLE)


def enter(environment: Environment, arguments: Sequence[str]) -> NoReturn:
    """Become `python -m serinus_server <arguments>` in an environment; the hold on it goes along."""
    os.execve(  # noqa: S606 - the environment's own interpreter
        environment.python,
        [str(environment.python), "-m", "serinus_server", *arguments],
        {**os.environ, VARIABLE: environment.key, "PYTHONPATH": str(_server_alone(environment))},
    )


def _server_alone(environment: Environment) -> Path:
    """A folder that holds this package and nothing else: beside it in the image are the image's own packages."""
    package = Path(__file__).resolve().parent
    name = hashlib.sha256(os.fsencode(package)).hexdigest()[:12]
    folder = environment.folder.parent / f".server-{name}"
    folder.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (folder / package.name).symlink_to(package)
    return folder


def _interpreter(recorded: Recorded, tool: Path) -> str:
    """Python as the model had it, to the minor version: this one, or one that uv finds on the machine."""
    version = ".".join(recorded.python_version.split(".")[:2])
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if version in {"", here}:
        return sys.executable
    parts = version.split(".")
    is_new_enough = all(one.isdecimal() for one in parts) and tuple(map(int, parts)) >= OLDEST
    found = uv.python(tool, version) if is_new_enough else None
    if found is None:
        raise ModelProblem(
            ENVIRONMENT,
            f"the model was made with Python {recorded.python_version}, this image has {platform.python_version()}: "
            f"use an image of the server with Python {version}, or `environment: Image` to load it with this one",
        )
    return found


def _requirements(recorded: Recorded, settings: Settings) -> tuple[str, ...]:
    """The model's own lines as they are, and what the server needs that they do not name."""
    path = recorded.path / REQUIREMENTS
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelProblem(
            ENVIRONMENT,
            f"{path} cannot be read ({type(error).__name__}), so nobody knows the model's packages: "
            "log the model anew, or use `environment: Image`",
        ) from error
    named = set(recorded.requirements)
    loaders = () if named & set(_LOADERS) or not settings.needs else (_LOADERS[0],)
    needed = (one for one in (*settings.needs, *loaders) if canonical(one) not in named)
    return (*(line.strip() for line in lines if line.strip()), *needed)


def _key(wanted: Sequence[str], interpreter: str) -> str:
    """One environment for all models with the same packages, Python and platform."""
    libc = "-".join(platform.libc_ver())
    text = json.dumps([sorted(wanted), interpreter, sys.version, sysconfig.get_platform(), libc])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class _Build:
    """One environment that is not there yet."""

    def __init__(
        self, tool: Path, interpreter: str, recorded: Recorded, wanted: Sequence[str], settings: Settings
    ) -> None:
        self._tool, self._interpreter, self._recorded = tool, interpreter, recorded
        self._wanted, self._settings, self._say = wanted, settings, settings.say
        self._deadline = Deadline(settings.deadline)

    def at(self, folder: Path) -> None:
        """Build it, or wait until another process has."""
        hold = self._alone(folder)
        try:
            if not (folder / _COMPLETE).exists():
                self._built(folder)
        except OSError as error:
            raise ModelProblem(
                ENVIRONMENT,
                f"the environment cannot be written to {folder} ({error}): make the volume larger or writable",
            ) from error
        finally:
            hold.release()

    def _alone(self, folder: Path) -> Hold:
        progress = Progress(self._say)
        lock = self._settings.cache / "locks" / f"environment-{folder.name}.build"
        while (hold := locks.take(lock)) is None:
            if self._deadline.left() <= 0:
                raise ModelProblem(
                    ENVIRONMENT,
                    f"another process has been building {folder} for {self._settings.deadline:.0f} s: "
                    "end it, or give it more time",
                )
            progress.tell(lambda: f"another process builds the model's environment {folder.name}")
            time.sleep(_POLL_SECONDS)
        return hold

    def _built(self, folder: Path) -> None:
        """Beside its place, and then in it: who finds it there finds it whole."""
        self._say(f"building the model's environment {folder.name}: {len(self._wanted)} requirements")
        started = time.monotonic()
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        beside = folder.with_name(f".{folder.name}.{uuid4().hex}")
        try:
            self._install(beside)
            (beside / _COMPLETE).write_text(json.dumps({"requirements": list(self._wanted)}, indent=1))
            # Not complete: a build of a version without locks, or of a machine that lost its power.
            shutil.rmtree(folder, ignore_errors=True)
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        self._say(f"built the model's environment in {time.monotonic() - started:.1f} s")

    def _install(self, folder: Path) -> None:
        self._run("venv", "--relocatable", "--python", self._interpreter, str(folder))
        listed = folder / "requirements.txt"
        listed.write_text("\n".join(self._wanted) + "\n")
        self._run(
            *("pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python")),
            *self._sources(),
            *("-r", str(listed)),
        )

    def _sources(self) -> Sequence[str]:
        wheels = self._settings.wheels
        if wheels is None:
            return ()
        if not wheels.is_dir():
            raise ModelProblem(SETTINGS, f"the folder of wheels {wheels} is not there: mount it, or name another one")
        return "--no-index", "--find-links", str(wheels.absolute())

    def _variables(self) -> Mapping[str, str]:
        """On the volume, what was downloaded is linked into the environment instead of copied."""
        return {"UV_CACHE_DIR": str(self._settings.cache / "uv"), **os.environ}

    def _run(self, *arguments: str) -> None:
        try:
            # In the model's folder: its requirements may name files of it.
            uv.run([str(self._tool), *arguments], self._recorded.path, self._variables(), self._deadline, self._say)
        except subprocess.TimeoutExpired:
            raise ModelProblem(
                ENVIRONMENT,
                f"the model's environment was not built within {self._settings.deadline:.0f} s: "
                "give it more time, or a folder of wheels",
            ) from None
