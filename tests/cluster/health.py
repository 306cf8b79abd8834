"""How the parts of a cluster do, as their supervisor notes it."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import processes

HOPELESS_FAILURES = 6
LOG_TAIL = 5


@dataclass(frozen=True)
class PartHealth:
    """One part: `failures` counts its quick ends in a row, `restarts` all of them."""

    name: str
    pid: int
    restarts: int
    failures: int
    last_exit: str

    @property
    def word(self) -> str:
        """Its state in a word."""
        if self.pid:
            return "running"
        return "failing" if self.failures else "waiting"


def parts(state: Path) -> list[PartHealth]:
    """All parts, as far as they were reported."""
    try:
        noted = json.loads((state / "report.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    return [PartHealth(name, **values) for name, values in noted.items()]


def hopeless(state: Path) -> bool:
    """A part that ended so often will not come up by waiting; nor will anything without the supervisor."""
    return processes.supervisor(state) is None or any(part.failures >= HOPELESS_FAILURES for part in parts(state))


def troubles(state: Path) -> str:
    """What failed, with the last words of each; an empty text where nothing did."""
    if processes.supervisor(state) is None:
        return f"the supervisor is gone: {last_lines(state / 'logs' / 'supervisor.log')}"
    troubled = [part for part in parts(state) if part.failures or not part.pid]
    return "\n".join(
        f"{part.name}: {part.word}, {part.restarts} restarts, last {part.last_exit or 'never ran'}\n"
        f"{last_lines(state / 'logs' / f'{part.name}.log')}"
        for part in troubled
    )


def last_lines(log: Path, count: int = LOG_TAIL) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else ""
