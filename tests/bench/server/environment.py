"""What is made once and kept in the cache: an environment for each peer, the generator, the models."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.bench.server.servers import PEERS
from tests.cluster import prerequisites
from tests.cluster.settings import CHECKOUT, Settings

HERE = Path(__file__).parent
GENERATOR = HERE / "generator"
# MLServer has no release for what is newer.
PYTHONS = {"mlserver": "3.12"}
DEFAULT_PYTHON = "3.13"


def python(settings: Settings, uv: str, peer: str) -> Path:
    """The Python of an environment with exactly what the peer's requirements say."""
    requirements = PEERS / peer / "requirements.txt"
    wanted = PYTHONS.get(peer, DEFAULT_PYTHON)
    folder = _folder(settings) / f"{peer}-{_digest(wanted, requirements)}"
    found = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print(f"making the environment of {peer}, once")
        subprocess.run([uv, "venv", "--quiet", "--clear", f"--python={_interpreter(wanted)}", str(folder)], check=True)
        pinned = ["--no-deps", "--compile-bytecode", "-r", str(requirements)]
        subprocess.run([uv, "pip", "install", "--quiet", f"--python={found}", *pinned], check=True)
        (folder / ".ready").touch()
    return found


def generator(settings: Settings) -> Path:
    """The program that makes the load."""
    prerequisites.require_go()
    program = _folder(settings) / f"generator-{_digest('', *sorted(GENERATOR.iterdir()))}"
    if not program.exists():
        command = ["go", "build", "-trimpath", "-buildvcs=false", f"-o={program}", "."]
        subprocess.run(command, cwd=GENERATOR, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return program


def models(settings: Settings) -> Path:
    """The folder of the models, a folder for each."""
    versions = f"{version('mlflow')} {version('scikit-learn')}"
    folder = _folder(settings) / f"models-{_digest(versions, HERE / 'train.py', HERE / 'customers.py')}"
    if not folder.exists():
        print("training the models, once")
        made = folder.with_suffix(".partial")
        shutil.rmtree(made, ignore_errors=True)
        train = [sys.executable, "-W", "ignore", "-m", "tests.bench.server.train", str(made)]
        subprocess.run(train, cwd=CHECKOUT, check=True, stderr=subprocess.DEVNULL)
        made.rename(folder)
    return folder


def _folder(settings: Settings) -> Path:
    folder = settings.cache / "bench-server"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(text: str, *files: Path) -> str:
    return hashlib.sha256(text.encode() + b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def _interpreter(wanted: str) -> str:
    """A Python of this version that runs, or its number, for uv to find one.

    A pyenv puts names of Pythons on PATH that do not run; uv stops at those.
    """
    return next((str(path) for path in _candidates(wanted) if _runs(path, wanted)), wanted)


def _candidates(wanted: str) -> Iterator[Path]:
    yield Path(sys.executable).resolve()
    if named := shutil.which(f"python{wanted}"):
        yield Path(named)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob(f"versions/{wanted}.*/bin/python"))


def _runs(path: Path, wanted: str) -> bool:
    ask = [str(path), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() == wanted
