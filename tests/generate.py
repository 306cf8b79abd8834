"""What is generated and checked in: `make generate` makes it anew, `make check` says what is out of date.

The resource definitions, in `crds/` and in the chart, and the API reference come from the models in
`operator/serinus/api`, the page about settings from `operator/serinus/settings.py`. The locks are hashed requirements
without the address of any registry, so that they serve behind every mirror. A pin stays as it is while it fits; to take
newer versions, remove the lock and generate.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from serinus import settings_reference
from serinus.api.generate import generated
from tests.cluster.settings import CHECKOUT

PYTHON = "3.13"
FLAGS = ("--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-header", f"--python-version={PYTHON}")


@dataclass(frozen=True)
class Lock:
    """A lock and what it is made from, as paths in the checkout."""

    path: str
    sources: tuple[str, ...]


def _image(name: str, *options: str) -> Lock:
    return Lock(f"images/{name}/requirements.lock", (f"images/{name}/requirements.in", *options))


# In this order: what loads or lists a model keeps to the versions of what makes it, and so do the tests.
LOCKS = (
    _image("gateway"),
    _image("trainer"),
    _image("mlflow", "--constraints=images/trainer/requirements.lock", "--excludes=images/mlflow/excludes"),
    _image("server", "--constraints=images/trainer/requirements.lock", "--excludes=images/server/excludes"),
    Lock(
        "requirements.lock",
        (
            "operator/pyproject.toml",
            "--group=dev",
            "images/server/requirements.in",
            "--constraints=images/server/requirements.lock",
            "--excludes=images/server/excludes",
        ),
    ),
    Lock("operator/requirements.lock", ("operator/pyproject.toml", "--constraints=requirements.lock")),
)


def main(arguments: list[str]) -> int:
    """Generate everything, or with `--check` only compare; 0 where all is up to date afterwards."""
    parser = argparse.ArgumentParser(prog="python -m tests.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail where something is out of date")
    check = parser.parse_args(arguments).check
    uv = shutil.which(os.environ.get("UV", "uv"))
    if uv is None:
        print("error: uv is not on PATH\n  → make generate, which brings its own", file=sys.stderr)
        return 1
    texts = generated() | {settings_reference.PATH: settings_reference.reference()}
    stale = [path for path, text in texts.items() if not _is_text(CHECKOUT / path, text, keep=not check)]
    stale += [lock.path for lock in LOCKS if not _is_current(lock, uv, keep=not check)]
    for path in stale:
        print(f"error: {path} is out of date\n  → make generate" if check else f"{path}: made anew")
    return 1 if check and stale else 0


def _is_text(path: Path, text: str, *, keep: bool) -> bool:
    """Whether the file holds the text; if not and `keep`, it is replaced."""
    current = path.exists() and path.read_text() == text
    if keep and not current:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return current


def _is_current(lock: Lock, uv: str, *, keep: bool) -> bool:
    """Whether the lock says what would be resolved now; if not and `keep`, it is replaced."""
    path = CHECKOUT / lock.path
    before = path.read_text() if path.exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "lock"
        made.write_text(before)
        subprocess.run([uv, "pip", "compile", *FLAGS, *lock.sources, f"--output-file={made}"], cwd=CHECKOUT, check=True)
        if keep:
            shutil.copyfile(made, path)
        return made.read_text() == before


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
