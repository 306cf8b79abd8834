"""Predictions use the cores that the pod may use, not those that the node has."""

import os
from pathlib import Path

import pytest

from serinus_server import threads
from serinus_server.flavours import parts


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))


def group(root: Path, lines: str, **files: str) -> int:
    """The count in a container whose cgroups are these; `__` is a slash in their names."""
    for name, content in files.items():
        file = root / "cgroups" / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / "proc").write_text(lines)
    return threads.count(root / "cgroups", root / "proc")


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 64), ("200000 100000", 2), ("250000 100000", 2),
                                              ("50000 100000", 1), ("", 64), ("0 100000", 64)])  # fmt: skip
def test_whole_cores_of_the_limit_and_at_least_one(tmp_path: Path, quota: str, cores: int) -> None:
    assert group(tmp_path, "0::/\n", cpu_dot_max=quota) == cores


def test_the_tightest_limit_of_all_around_counts(tmp_path: Path) -> None:
    files = {"pods__a__cpu_dot_max": "max 100000", "pods__cpu_dot_max": "300000 100000"}
    assert group(tmp_path, "0::/pods/a\n", **files) == 3


def test_the_first_version_of_cgroups_counts_too(tmp_path: Path) -> None:
    files = {"cpu,cpuacct__cpu_dot_cfs_quota_us": "400000", "cpu,cpuacct__cpu_dot_cfs_period_us": "100000"}
    assert group(tmp_path, "5:cpu,cpuacct:/pods/a\n0::/\n", **files) == 4


def test_without_a_limit_those_that_the_process_may_run_on(tmp_path: Path) -> None:
    assert threads.count(tmp_path / "nothing", tmp_path / "none") == 64


def test_what_somebody_has_set_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        monkeypatch.setenv(name, "5")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.limit() == 3
    assert os.environ["OPENBLAS_NUM_THREADS"] == "5"


class Part:
    """An estimator, as far as this looks."""

    def __init__(self, **fitted: object) -> None:
        self.n_jobs = -1
        self.__dict__.update(fitted)

    def get_params(self) -> dict[str, object]:
        """None."""
        return {}


def test_no_part_of_an_estimator_starts_more_threads() -> None:
    inner, other = Part(), Part()
    parts.limit_threads(Part(steps=[("a", inner)], by_name={"b": other}), 2)
    assert (inner.n_jobs, other.n_jobs) == (2, 2)
