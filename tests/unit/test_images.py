"""What an image is known by, and what is refused before anything is built."""

import os
import re
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.errors import ClusterError
from tests.cluster.images import IMAGES, Built, Image
from tests.cluster.settings import CHECKOUT

FOLDERS = sorted(folder for folder in (CHECKOUT / "images").iterdir() if folder.is_dir())
# Something with a dot and a known ending, or a scheme: the name of a machine that serves files.
HOST = re.compile(r"https?://|\b[\w-]+(\.[\w-]+)*\.(com|dev|io|net|org)\b")


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image of two files that stands on nothing."""
    context = tmp_path / "context"
    (context / "package").mkdir(parents=True)
    (context / "package" / "code.py").write_text("print(1)\n")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\n")
    return Image("sample", context, dockerfile, needs=())


def _edit(image: Image) -> None:
    (image.context / "package" / "code.py").write_text("print(2)\n")


def _rename(image: Image) -> None:
    (image.context / "package" / "code.py").rename(image.context / "package" / "other.py")


def _add(image: Image) -> None:
    (image.context / "new").touch()


def _make_executable(image: Image) -> None:
    (image.context / "package" / "code.py").chmod(0o755)


def _edit_dockerfile(image: Image) -> None:
    image.dockerfile.write_text("FROM scratch\nUSER 1\n")


@pytest.mark.parametrize("change", [_edit, _rename, _add, _make_executable, _edit_dockerfile])
def test_key_changes_with_an_input(image: Image, change: Callable[[Image], None]) -> None:
    """Otherwise an old image would be taken for the new one."""
    before = images.key(image)
    change(image)
    assert images.key(image) != before


def test_key_stays_when_tools_leave_files(image: Image) -> None:
    """Running the tests must not rebuild the images."""
    before = images.key(image)
    (image.context / "package" / "__pycache__").mkdir()
    (image.context / "package" / "__pycache__" / "code.cpython-313.pyc").touch()
    assert images.key(image) == before


def test_key_depends_on_the_image_below(image: Image) -> None:
    """A new base makes new images."""
    above = Image(image.name, image.context, image.dockerfile, needs=("base",))
    assert images.key(above) != images.key(image)


def test_table_holds_every_dockerfile() -> None:
    """A Dockerfile that the table forgets would never be built."""
    assert [folder.name for folder in FOLDERS] == sorted(IMAGES)
    assert all(image.dockerfile.is_file() and image.context.is_dir() for image in IMAGES.values())


@pytest.mark.parametrize("image", [image for image in IMAGES.values() if image.needs], ids=lambda image: image.name)
def test_dockerfile_runs_as_nobody_on_a_base_of_ones_choice(image: Image) -> None:
    """Whoever builds chooses the base; a restricted namespace admits what comes out."""
    text = image.dockerfile.read_text()
    assert "ARG BASE_IMAGE=python:3.13-slim-trixie\nARG BUILD_IMAGE=${BASE_IMAGE}\n" in text
    assert "\nUSER 65532:65532\n" in text
    assert (image.context / "requirements.lock").is_file()


@pytest.mark.parametrize(
    "file",
    [
        *(file for folder in FOLDERS for file in sorted(folder.iterdir()) if file.is_file()),
        CHECKOUT / "operator" / "requirements.lock",
    ],
    ids=lambda file: f"{file.parent.name}/{file.name}",
)
def test_file_names_no_host(file: Path) -> None:
    """Where packages and images come from is for whoever builds to say."""
    assert HOST.findall(file.read_text()) == []


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_cache_mount_is_at_the_root(image: Image) -> None:
    """Buildah 1.28 deletes a wrong folder when the target has parents in common with its storage."""
    targets = re.findall(r"--mount=type=cache,target=(\S+)", image.dockerfile.read_text())
    assert set(targets) <= {"/uv-cache"}


def test_server_and_trainer_share_their_versions() -> None:
    """A model is loaded by what made it."""
    trainer, server = (_pins(CHECKOUT / "images" / name / "requirements.lock") for name in ("trainer", "server"))
    assert {name: pin for name, pin in server.items() if trainer.get(name, pin) != pin} == {}
    assert {"mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "skops"} <= server.keys() & trainer.keys()


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_unknown_image_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """The name is in the message, the choice in the remedy."""
    with pytest.raises(ClusterError, match="'sevrer'") as caught:
        images.build(["sevrer"], tmp_path, print)
    assert "server" in caught.value.remedy


def test_archive_in_the_cache_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nothing is built, and nothing is said, when everything is there."""
    tag = images.key(IMAGES["gateway"])[:12]
    archive = tmp_path / "images" / f"gateway-{tag}.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"12345")
    said: list[str] = []
    built = images.build(["gateway"], tmp_path, said.append)
    assert built == {"gateway": Built("gateway", f"serinus/gateway:{tag}", archive, 5)}
    assert said == []


def test_layers_are_read_from_the_archive(tmp_path: Path) -> None:
    """In the order of the manifest, not of the archive."""
    files = {"b.tar": b"12", "a.tar": b"1", "manifest.json": b'[{"Layers": ["a.tar", "b.tar"]}]'}
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
            archive.add(tmp_path / name, name)
    assert images.layers(Built("sample", "serinus/sample:1", tmp_path / "image.tar", 0)) == [1, 2]


def test_prune_keeps_what_was_asked_for_lately(tmp_path: Path) -> None:
    """Another checkout may still need it."""
    folder = tmp_path / "images"
    folder.mkdir()
    old, new = folder / "mlflow-1.tar", folder / "mlflow-2.tar"
    for archive, days in ((old, 15), (new, 1)):
        archive.touch()
        _set_age(archive, days)
    assert images.prune(tmp_path, days=14) == [old]
    assert sorted(folder.glob("*.tar")) == [new]


def _set_age(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))
