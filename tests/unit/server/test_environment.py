"""A model's own packages, built by the real uv from wheels that the tests make."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from serinus_server import environment, mlmodel
from serinus_server.environment import Settings
from serinus_server.mlmodel import Recorded
from serinus_server.problems import ENVIRONMENT, SETTINGS, ModelProblem
from tests.unit.server.fetch_server import write_model


def _uv() -> str:
    """As the Makefile installs it, else on PATH."""
    cached = sorted(Path("~/.cache/serinus").expanduser().glob("uv-*/bin/uv"))
    return str(cached[-1]) if cached else shutil.which("uv") or ""


def _wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """A wheel with one module, which knows its version."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def _hash(text: str) -> str:
    found = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(found).rstrip(b'=').decode()}"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    _wheel(folder, "tinylib", "1.2.0")
    _wheel(folder, "tinylib", "1.3.0")
    _wheel(folder, "servery", "5.0", "tinylib")
    return folder


@pytest.fixture
def settings(tmp_path: Path, wheels: Path) -> Settings:
    return Settings(tmp_path / "cache", _uv(), wheels, needs=("servery", "TinyLib", "mlflow"), deadline=60)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings of uv."""
    for name in [one for one in os.environ if one.startswith("UV_")]:
        monkeypatch.delenv(name)


def _recorded(tmp_path: Path, *requirements: str, python: str = "") -> Recorded:
    model = write_model(tmp_path / "model")
    (model / "requirements.txt").write_text("\n".join(requirements))
    version = python or ".".join(map(str, sys.version_info[:3]))
    (model / "MLmodel").write_text((model / "MLmodel").read_text().replace("3.13.0", version))
    return mlmodel.read(model)


def _problem(recorded: Recorded, settings: Settings) -> ModelProblem:
    with pytest.raises(ModelProblem) as caught:
        environment.build(recorded, settings)
    return caught.value


def test_it_holds_the_models_pins_and_the_servers_needs(tmp_path: Path, settings: Settings, wheels: Path) -> None:
    _wheel(wheels, "mlflow", "3.17.2")
    built = environment.build(_recorded(tmp_path, "tinylib==1.2.0"), settings)
    code = "import mlflow, servery, sys, tinylib; print(tinylib.VERSION, mlflow.VERSION, 'numpy' in sys.modules)"
    done = subprocess.run([built.python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.2.0", "3.17.2", "False"]
    assert list(built.folder.rglob("tinylib.*.pyc"))
    complete = built.folder / "complete.json"
    first = complete.stat().st_ino
    again = environment.build(mlmodel.read(tmp_path / "model"), settings)
    assert (again.key, complete.stat().st_ino) == (built.key, first)
    complete.unlink()
    environment.build(mlmodel.read(tmp_path / "model"), settings)
    assert complete.exists()


def test_the_server_starts_in_it_with_nothing_of_the_image(tmp_path: Path, settings: Settings, wheels: Path) -> None:
    _wheel(wheels, "mlflow", "3.17.2")
    built = environment.build(_recorded(tmp_path, "tinylib==1.2.0"), settings)
    code = (
        "import json, os, sys; from serinus_server import problems; import tinylib; "
        "print(json.dumps([problems.__file__, tinylib.VERSION, sys.prefix, os.environ['SERINUS_ENVIRONMENT']]))"
    )
    alone = environment._server_alone(built)  # noqa: SLF001 - what `enter` puts on the path
    variables = {"PYTHONPATH": str(alone), "SERINUS_ENVIRONMENT": built.key}
    done = subprocess.run([built.python, "-c", code], capture_output=True, text=True, check=True, env=variables)
    file, version, prefix, key = json.loads(done.stdout)
    assert file == str(alone / "serinus_server" / "problems.py")
    assert (version, prefix) == ("1.2.0", str(built.folder))
    assert Path(prefix).name == key
    assert [one.name for one in alone.iterdir()] == ["serinus_server"]
    assert not environment.is_inside()


def test_a_version_that_is_nowhere_is_named(tmp_path: Path, settings: Settings) -> None:
    problem = _problem(_recorded(tmp_path, "tinylib==9.9", "mlflow==1"), settings)
    assert problem.reason == ENVIRONMENT
    assert "tinylib==9.9" in problem.message
    assert "environment: Image" in problem.message
    assert "\n" not in problem.message
    assert "╰" not in problem.message
    assert not list((settings.cache / "environments").iterdir())


def test_a_model_that_contradicts_itself_is_told_why(tmp_path: Path, settings: Settings, wheels: Path) -> None:
    _wheel(wheels, "mlflow", "3.17.2", "tinylib>=1.3")
    problem = _problem(_recorded(tmp_path, "tinylib==1.2.0", "mlflow==3.17.2"), settings)
    assert "depend on tinylib>=1.3" in problem.message


def test_a_python_that_is_not_here_asks_for_another_image(tmp_path: Path, settings: Settings) -> None:
    problem = _problem(_recorded(tmp_path, "tinylib", python="3.99.1"), settings)
    assert problem.reason == ENVIRONMENT
    assert "made with Python 3.99.1" in problem.message
    assert "use an image of the server with Python 3.99" in problem.message


def test_a_model_without_requirements_cannot_be_rebuilt(tmp_path: Path, settings: Settings) -> None:
    recorded = _recorded(tmp_path, "tinylib")
    (recorded.path / "requirements.txt").unlink()
    assert "nobody knows the model's packages" in _problem(recorded, settings).message


def test_a_folder_of_wheels_that_is_not_mounted(tmp_path: Path, settings: Settings) -> None:
    shutil.rmtree(tmp_path / "wheels")
    problem = _problem(_recorded(tmp_path, "tinylib"), settings)
    assert problem.reason == SETTINGS
    assert "the folder of wheels" in problem.message


def test_without_uv_it_says_so(tmp_path: Path) -> None:
    problem = _problem(_recorded(tmp_path, "tinylib"), Settings(tmp_path, "/no/uv"))
    assert problem.reason == SETTINGS
    assert "/no/uv is no program" in problem.message
