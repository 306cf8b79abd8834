"""The examples are what the API takes, and say of their data what is true."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus.api import names
from serinus.api.invalid import Invalid
from serinus.api.trainingjob import TrainingJob
from tests.crd.objects import PARSE
from tests.platform import EXAMPLES


def _ours() -> dict[str, Any]:
    """All objects of our kinds, by the files that they are in."""
    texts = {path: path.read_text() for path in sorted(EXAMPLES.rglob("*.yaml"))}
    every = ((path, one) for path, text in texts.items() for one in yaml.safe_load_all(text))
    return {str(path.relative_to(EXAMPLES)): one for path, one in every if one.get("apiVersion") == names.API_VERSION}


OURS = _ours()


@pytest.mark.parametrize("raw", OURS.values(), ids=OURS.keys())
def test_api_takes_it_and_knows_every_field(raw: dict[str, Any]) -> None:
    found = PARSE[raw["kind"]](raw)
    assert not isinstance(found, Invalid), found.message
    said = found.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert said["spec"] == raw["spec"], "what the models do not know is lost"


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in EXAMPLES.rglob("kustomization.yaml")), ids=lambda path: path.name
)
def test_kustomization_names_files_that_are_there(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    generated = [file for one in kustomization.get("configMapGenerator", ()) for file in one["files"]]
    for file in (*kustomization["resources"], *generated):
        assert (folder / file).is_file()
    for component in kustomization.get("components", ()):
        assert (folder / component / "kustomization.yaml").is_file()


def test_digests_are_those_of_the_data_beside_them() -> None:
    compared = 0
    for path, raw in OURS.items():
        found = PARSE[raw["kind"]](raw)
        inputs = found.spec.inputs if isinstance(found, TrainingJob) else ()
        for one in inputs:
            file = EXAMPLES / Path(path).parent / one.uri.rpartition("/")[2]
            assert one.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
            compared += 1
    assert compared
