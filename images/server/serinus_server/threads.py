"""How many threads a prediction may use: what the pod's limit allows, and not what the node has.

Libraries of numbers start a thread for each core that they see, and in a pod they see all cores of the node. Held back
by the pod's limit, those threads wait for each other: a prediction of microseconds takes milliseconds.
"""

import os
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")
# Read once by each library when it is loaded.
_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def limit() -> int:
    """Tell the libraries that are loaded from now on. What somebody has set is left; returns the number of threads."""
    number = count()
    for name in _VARIABLES:
        os.environ.setdefault(name, str(number))
    return number


def count(cgroups: Path = _CGROUPS, proc: Path = _PROC) -> int:
    """Threads that can run at once: OMP_NUM_THREADS if set, else whole cores of the pod's limit, and at least one."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if told.isdecimal() and int(told) > 0:
        return int(told)
    cores = float(len(os.sched_getaffinity(0)))
    return max(1, int(min([cores, *_quotas(cgroups, proc)])))


def _quotas(cgroups: Path, proc: Path) -> list[float]:
    """The limits of this process's group and of those around it, in cores; of both versions of cgroups."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        lines = []
    found: list[float | None] = []
    # A container sees its own group as the root, whatever its path says.
    for line in ["0::/", "1:cpu:/", *lines]:
        _, controllers, path = line.split(":", 2)
        for folder in _around(path):
            if not controllers:
                found.append(_second_version(cgroups / folder))
            elif "cpu" in controllers.split(","):
                found += [_first_version(cgroups / name / folder) for name in ("cpu", controllers)]
    return [one for one in found if one is not None]


def _around(path: str) -> list[str]:
    parts = [one for one in path.split("/") if one not in {"", ".."}]
    return ["/".join(parts[:end]) for end in range(len(parts) + 1)]


def _second_version(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return _cores(quota, period)


def _first_version(folder: Path) -> float | None:
    return _cores(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _cores(quota: str, period: str) -> float | None:
    """None for no limit: "max", -1, or no such file."""
    if not (quota.isdecimal() and period.isdecimal()) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
