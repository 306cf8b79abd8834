"""The result: what the operator reads when the container ends. The kubelet cuts it off at 4096 bytes, so it fits.

Inputs are a list in the order of the order, [digest in base64url, rows or null] each, or null for one that could not be
read. Digests are never left out; what was found broken is shortened first, then left out and counted in `more`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from serinus_fetch import digest
from serinus_fetch.failures import Broken, Failure
from serinus_fetch.log import one_line, without_secrets

MOST_BYTES: Final = 4096
MOST_MESSAGE: Final = 800
# As many as a status shows.
MOST_BROKEN: Final = 32
WIDTHS: Final = (300, 160, 80)

PERMANENT: Final = 65
TRANSIENT: Final = 1


@dataclass(frozen=True)
class Outcome:
    """What was fetched and what failed; an input is its digest in hex and its rows, or None."""

    commit: str = ""
    inputs: tuple[tuple[str, int | None] | None, ...] = ()
    broken: tuple[Broken, ...] = ()
    failures: tuple[Failure, ...] = ()


def exit_code(outcome: Outcome) -> int:
    """0 where all is well, 65 where trying again would not help, else 1."""
    if any(not failure.transient for failure in outcome.failures):
        return PERMANENT
    return TRANSIENT if outcome.failures else 0


def encoded(outcome: Outcome) -> bytes:
    """The result as compact JSON of at most 4096 bytes."""
    fixed = _fixed(outcome)
    if len(outcome.broken) <= MOST_BROKEN:
        for width in WIDTHS:
            whole = _bytes(fixed | {"broken": _clipped(outcome.broken, width)})
            if len(whole) <= MOST_BYTES:
                return whole
    return next(small for small in _with_fewer(fixed, outcome.broken) if len(small) <= MOST_BYTES)


def _with_fewer(fixed: Mapping[str, Any], broken: Sequence[Broken]) -> Iterator[bytes]:
    kept = _clipped(broken[:MOST_BROKEN], WIDTHS[-1])
    for count in range(len(kept), -1, -1):
        yield _bytes({**fixed, "broken": kept[:count], "more": len(broken) - count})


def _fixed(outcome: Outcome) -> dict[str, Any]:
    inputs = [one and [digest.short(one[0]), one[1]] for one in outcome.inputs]
    return {"commit": outcome.commit, "inputs": inputs, "broken": [], "more": 0, "failure": _failure(outcome.failures)}


def _failure(failures: Sequence[Failure]) -> dict[str, str]:
    """The first that is for good, else the first; how many others there are is told with it."""
    if not failures:
        return {}
    chosen = min(failures, key=lambda failure: failure.transient)
    others = f" (and {len(failures) - 1} more: see the container's log)" if len(failures) > 1 else ""
    return {"reason": chosen.reason, "message": _clip(chosen.message, MOST_MESSAGE - len(others)) + others}


def _clipped(broken: Sequence[Broken], width: int) -> list[dict[str, str]]:
    return [{key: _clip(text, width) for key, text in asdict(one).items() if text} for one in broken]


def _clip(text: str, most: int) -> str:
    """A text as one line of so many bytes at most."""
    safe = without_secrets(text)
    line = one_line(safe[:most])
    raw = line.encode()
    return (
        line
        if len(safe) <= most and len(raw) <= most
        else raw[: most - len("…".encode())].decode(errors="ignore") + "…"
    )


def _bytes(result: Mapping[str, Any]) -> bytes:
    """Compact, and without what is empty."""
    wire = {key: value for key, value in result.items() if value}
    return json.dumps(wire, ensure_ascii=False, separators=(",", ":")).encode()
