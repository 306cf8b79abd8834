"""Where the real helm is found."""

import os
import shutil
from pathlib import Path

import pytest

from tests.helm.chart import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """The helm that HELM names, or the one on PATH; these tests mean nothing without one."""
    named = os.environ.get("HELM")
    found = shutil.which(named or "helm")
    if found is None:
        pytest.fail(
            f"HELM={named} is no program: set it to the path of a helm 3 binary"
            if named
            else "there is no helm: install helm 3, or set HELM to the path of its binary"
        )
    return Helm(Path(found))
