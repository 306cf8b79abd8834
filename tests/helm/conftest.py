"""The real helm, of the version that the local cluster uses too."""

import os
from pathlib import Path

import pytest

from tests.cluster import binaries, settings
from tests.helm.chart import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The helm that HELM names, or the one that is built from its Go module."""
    named = os.environ.get("HELM")
    return Helm(Path(named) if named else binaries.build(["helm"], settings.read().cache, print)["helm"] / "helm")
