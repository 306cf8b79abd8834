"""Which differences between what was recorded and what is installed are worth a word."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from serinus_server import versions
from serinus_server.mlmodel import Recorded

_HERE = ".".join(map(str, sys.version_info[:3]))


def _recorded(requirements: dict[str, str], **known: str) -> Recorded:
    flavors = {"python_function": {}, "sklearn": {"sklearn_version": known.pop("sklearn", "")}}
    return Recorded(Path(), flavors, requirements=requirements, **known)  # type: ignore[arg-type]


def test_what_is_installed_is_no_mismatch() -> None:
    same = {name: f"=={metadata.version(name)}" for name in ("numpy", "pandas", "scikit-learn", "mlflow")}
    assert versions.mismatches(_recorded(same, python_version=_HERE)) == ()


def test_a_line_says_both_versions_and_what_to_do() -> None:
    (line,) = versions.mismatches(_recorded({"numpy": "==1.26.4"}))
    installed = metadata.version("numpy")
    assert line.startswith(f"numpy is {installed}, the model was made with 1.26.4: ")
    assert "environment: Model" in line


def test_another_minor_version_of_python_is_one() -> None:
    (line,) = versions.mismatches(_recorded({}, python_version="3.9.1"))
    assert line.startswith(f"Python is {_HERE}, the model was made with 3.9.1")


def test_the_flavour_says_its_version_where_no_requirement_does() -> None:
    (line,) = versions.mismatches(_recorded({}, sklearn="0.24.2"))
    assert "scikit-learn is " in line


def test_what_does_not_carry_the_model_is_left_out() -> None:
    assert versions.mismatches(_recorded({"pytest": "==1.0", "rich": "==1.0", "numpy": ">=1.0"})) == ()


def test_a_package_that_is_not_here_is_named() -> None:
    (line,) = versions.mismatches(_recorded({"catboost": "==1.2.7"}))
    assert line.startswith("catboost is not installed")


@pytest.mark.parametrize(
    ("name", "wanted", "installed", "expected"),
    [
        ("numpy", "2.5.5", "2.5.0", False),
        ("numpy", "2.5.5", "2.4.5", True),
        ("torch", "2.1.0+cu121", "2.1.2", False),
        ("mlflow", "3.1.0", "3.17.2", False),
        ("mlflow", "2.22.0", "3.17.2", True),
        ("numpy", "2", "2.0.1", False),
    ],
)
def test_how_much_must_differ(name: str, wanted: str, installed: str, *, expected: bool) -> None:
    assert versions.differs(name, wanted, installed) is expected


def test_xgboost_by_its_other_name() -> None:
    assert versions.mismatches(_recorded({"xgboost-cpu": f"=={metadata.version('xgboost-cpu')}"})) == ()
