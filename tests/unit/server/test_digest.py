"""The digest of a model: what sha256sum says, whatever a reader of the model left in its folder."""

import subprocess
from pathlib import Path

from serinus_fetch.digest import File
from serinus_fetch.digest import of_folder as of_trainer
from serinus_server.fetching import digest
from tests.unit.server.fetch_server import write_model

_COMMAND = r"""
find . -type f ! -path ./registered_model_meta ! -path '*/__pycache__/*' -printf '%P\0' \
    | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum | cut -d' ' -f1
"""


def _by_shell(folder: Path) -> str:
    return subprocess.run(["sh", "-c", _COMMAND], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_what_the_documented_command_prints(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / "odd \\ né\nname").write_text("x")
    assert digest.of_folder(model) == _by_shell(model)


def test_it_is_the_digest_that_the_trainer_gives_a_folder(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    files = [File(one, digest.of_file(model / one), 0) for one in digest.files_of(model)]
    assert digest.of_folder(model) == of_trainer(files)


def test_what_mlflow_and_python_write_into_a_model_does_not_count(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    before = digest.of_folder(model)
    (model / "registered_model_meta").write_text("model_name: iris")
    (model / "code" / "__pycache__").mkdir()
    (model / "code" / "__pycache__" / "helper.pyc").write_bytes(b"x")
    assert digest.of_folder(model) == before == _by_shell(model)


def test_a_name_and_a_byte_count(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    found = {digest.of_folder(model)}
    (model / "code" / "helper.py").rename(model / "code" / "other.py")
    found.add(digest.of_folder(model))
    (model / "code" / "other.py").write_text("ONE = 2\n")
    found.add(digest.of_folder(model))
    assert len(found) == 3
