"""Digests are what sha256sum makes, of files and of folders."""

import subprocess
from pathlib import Path

import pytest

from serinus_fetch import digest, inputs
from serinus_fetch.digest import File
from serinus_fetch.order import Input
from serinus_fetch.places import Places, inside

FOLDER = r"find . -type f -printf '%P\0' | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum"


def test_folder_is_digested_as_documented(places: Places) -> None:
    """Whatever the names: the documented command prints the same."""
    folder = places.claims / "store" / "data"
    for name in ("b", "a b", "a/b", "ä", ".hidden", "new\nline", "back\\slash", "-n"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    done = subprocess.run(FOLDER, shell=True, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S602
    fetched = inputs.fetch(Input("train", "pvc://store/data"), places)
    assert fetched.sha256 == done.stdout.split()[0]
    assert FOLDER in (digest.__doc__ or "")


def test_order_of_files_is_no_matter() -> None:
    files = [File(name, name * 64, 1) for name in "ab"]
    assert digest.of_folder(files) == digest.of_folder(reversed(files))


def test_short_form_is_43_characters() -> None:
    assert digest.short("ff" * 32) == "_" * 42 + "8"


@pytest.mark.parametrize("path", ["..", "a/../b", "/a", "a//b", "", "a/.", "a\0b", "a/"])
def test_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(Exception, match="no path below a folder"):
        inside(path)


def test_path_below_is_one() -> None:
    assert inside("a/..b/c d") == Path("a/..b/c d")
