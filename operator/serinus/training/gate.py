"""The gate: whether what a run logged is good enough, check by check, with the numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from serinus.api.conditions import Reason
from serinus.api.trainingjob import Check
from serinus.api.trainingjob_status import CheckResult, GateResult

SHOWN: Final = 8
# 0.895 - 0.9 is a little less than -0.005 in binary: a bound is kept that is missed by no more than this.
NOISE: Final = 1e-9


@dataclass(frozen=True)
class Rival:
    """The version that an alias points at, and the metrics of its run."""

    version: str
    metrics: Mapping[str, float]


# By alias; None where there is no such alias yet.
type Rivals = Mapping[str, Rival | None]


def judge(checks: Sequence[Check], metrics: Mapping[str, float], rivals: Rivals) -> GateResult:
    """The verdict on a run with these metrics; every check is made, whatever the others say."""
    results = tuple(_check(check, metrics, rivals) for check in checks)
    failed = [result for result in results if result.verdict == "Rejected"]
    if not failed:
        return GateResult(verdict="Passed", summary=f"{len(results)} of {len(results)} checks passed", checks=results)
    words = "; ".join(result.message for result in failed)
    return GateResult(
        verdict="Rejected", summary=f"{len(failed)} of {len(results)} checks failed: {words}", checks=results
    )


def reason(result: GateResult) -> Reason:
    """The verdict in one word."""
    if result.verdict == "Passed":
        return Reason.ALL_CHECKS_PASSED
    missing = any(one.verdict == "Rejected" and one.value is None for one in result.checks)
    return Reason.METRIC_MISSING if missing else Reason.CHECKS_FAILED


def _check(check: Check, metrics: Mapping[str, float], rivals: Rivals) -> CheckResult:
    value = metrics.get(check.metric)
    if value is None:
        return _rejected(check, f"{check.metric} was not logged; the run logged {_names(metrics)}")
    if not math.isfinite(value):
        return _rejected(check, f"{check.metric} is {value}, which is no number to judge by")
    if check.versus is not None:
        return _compared(check, check.versus.alias, value, rivals.get(check.versus.alias))
    complaint = _complaint(check.metric, value, check.min, check.max)
    return _result(check, complaint or f"{check.metric} is {_text(value)}", value=value, passed=not complaint)


def _compared(check: Check, alias: str, value: float, rival: Rival | None) -> CheckResult:
    if rival is None:
        message = f"{check.metric} is {_text(value)}; there is no {alias} yet to compare with"
        return _result(check, message, value=value, passed=True)
    other = rival.metrics.get(check.metric)
    whose = f"version {rival.version} ({alias})"
    if other is None or not math.isfinite(other):
        message = (
            f"{check.metric} is {_text(value)}, and {whose} has none to compare with: its run logged no such metric"
        )
        return _result(check, message, value=value, version=rival.version, passed=False)
    noise = NOISE * max(1.0, abs(value), abs(other))
    subject = f"{check.metric} of {_text(value)} against {_text(other)} of {whose}"
    complaint = _complaint(subject, value - other, check.min_delta, check.max_delta, noise)
    return _result(check, complaint or subject, value=value, versus=other, version=rival.version, passed=not complaint)


def _complaint(subject: str, value: float, low: float | None, high: float | None, noise: float = 0.0) -> str:
    """What is wrong with a value between two bounds; empty if it is within."""
    if low is not None and value < low - noise:
        return f"{subject}: {_text(value)} is less than {_text(low)}"
    if high is not None and value > high + noise:
        return f"{subject}: {_text(value)} is more than {_text(high)}"
    return ""


def _rejected(check: Check, message: str) -> CheckResult:
    return CheckResult(metric=check.metric, verdict="Rejected", message=message)


def _result(  # noqa: PLR0913 (the fields of a result)
    check: Check, message: str, *, passed: bool, value: float, versus: float | None = None, version: str = ""
) -> CheckResult:
    verdict = "Passed" if passed else "Rejected"
    return CheckResult.model_validate(
        {
            "metric": check.metric,
            "verdict": verdict,
            "value": value,
            "versus": versus,
            "version": version,
            "message": message,
        }
    )


def _names(metrics: Mapping[str, float]) -> str:
    names = sorted(metrics)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more or "no metric (does the code log to a run of its own?)"


def _text(value: float) -> str:
    return f"{value:.6g}"
