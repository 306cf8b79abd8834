"""The cases of both kinds' status: what the operator may write."""

from collections.abc import Iterable

from tests.crd.cases import (
    DEPLOYMENT,
    JOB,
    Case,
    at_least,
    at_most,
    choices,
    each_once,
    forms,
    longest,
    most_items,
    not_empty,
    required,
    times,
)

WORD, LINE, ADDRESS = 253, 1024, 2048


def _under(place: str, fields: str) -> list[str]:
    return [f"{place}.{field}" for field in fields.split()]


def _texts(kind: str, length: int, places: Iterable[tuple[str, str]]) -> list[Case]:
    """For each place the names of its fields that have at most so many letters."""
    return [case for place, fields in places for case in longest(kind, dict.fromkeys(_under(place, fields), length))]


def _both(kind: str, phases: tuple[str, str]) -> list[Case]:
    condition = "status.conditions[0]"
    return [
        *at_least(kind, {"status.observedGeneration": -1, f"{condition}.observedGeneration": 0}),
        *choices(kind, {"status.phase": phases, f"{condition}.status": ("Unknown", "Maybe")}),
        *longest(kind, {"status.message": LINE, f"{condition}.message": LINE}),
        *longest(kind, dict.fromkeys(_under(condition, "type reason"), 64)),
        *not_empty(kind, dict.fromkeys(_under(condition, "type reason"), "A")),
        *forms(kind, dict.fromkeys(_under(condition, "type reason"), ("OOMKilled", "not camel"))),
        *times(kind, [f"{condition}.lastTransitionTime"]),
        *required(kind, _under(condition, "type status reason message lastTransitionTime")),
        *most_items(kind, {"status.conditions": 16}, key="type"),
        *each_once(kind, ["status.conditions"]),
    ]


RESOLVED, ATTEMPT, BROKEN = "status.resolved", "status.attempts[0]", "status.brokenExpectations[0]"
CHECK, PAST_RUN, REGISTERED = "status.gate.checks[0]", "status.history[0]", "status.registered"
PROGRESS, ACTION = "status.progress", "status.lastAction"

TRAINING_JOB = [
    *_both(JOB, ("Rejected", "Lost")),
    *_texts(
        JOB,
        WORD,
        [
            ("status", "revision"),
            (RESOLVED, "imageDigest commit experiment inputs[0].name inputs[0].sha256"),
            ("status.run", "id experimentId"),
            (ATTEMPT, "runId reason node"),
            (PROGRESS, "metrics[0].name"),
            (ACTION, "id verb"),
            (BROKEN, "input column"),
            (CHECK, "metric version"),
            (REGISTERED, "model version alias"),
            (PAST_RUN, "revision reason runId version"),
        ],
    ),
    *_texts(
        JOB,
        LINE,
        [
            (ATTEMPT, "message"),
            (BROKEN, "expected found"),
            ("status", "gate.summary lastLogLines[0]"),
            (CHECK, "message"),
            (PAST_RUN, "message"),
            (ACTION, "message"),
        ],
    ),
    *_texts(JOB, ADDRESS, [(RESOLVED, "image trackingUri"), ("status.run", "url")]),
    *required(JOB, [*_under(BROKEN, "input expected found"), *_under(CHECK, "metric verdict")]),
    *required(JOB, [*_under(REGISTERED, "model version"), *_under(PAST_RUN, "revision outcome"), f"{ATTEMPT}.number"]),
    *required(JOB, ["status.run.id", "status.gate.verdict", f"{RESOLVED}.inputs[0].name"]),
    *required(JOB, [*_under(ACTION, "id verb result"), *_under(PROGRESS, "metrics[0].name metrics[0].value")]),
    *choices(JOB, dict.fromkeys(["status.gate.verdict", f"{CHECK}.verdict"], ("Rejected", "Maybe"))),
    *choices(JOB, {f"{PAST_RUN}.outcome": ("Killed", "Lost"), f"{ACTION}.result": ("Refused", "Maybe")}),
    *times(JOB, _under("status", "startedAt finishedAt progress.at lastAction.at")),
    *times(JOB, [*_under(ATTEMPT, "startedAt finishedAt"), f"{REGISTERED}.registeredAt", f"{PAST_RUN}.finishedAt"]),
    *at_least(JOB, {"status.attempt": 0, "status.failures": 0}),
    *at_most(JOB, {"status.attempt": 2**31 - 1, "status.failures": 2**31 - 1}),
    *most_items(JOB, dict.fromkeys(_under("status", "attempts lastLogLines history"), 10)),
    *most_items(JOB, {"status.brokenExpectations": 32, "status.gate.checks": 32}),
    *most_items(JOB, {f"{RESOLVED}.inputs": 32, f"{PROGRESS}.metrics": 8}, key="name"),
    *each_once(JOB, [f"{RESOLVED}.inputs", f"{PROGRESS}.metrics"]),
]

REVISIONS = ("status.stable", "status.canary", "status.previous")
STEP, METRIC = "status.step", "status.analysis.metrics[0]"
REJECTED, PAST_ROLLOUT = "status.rejectedVersions[0]", "status.history[0]"
NUMBERS = [
    *(path for revision in REVISIONS for path in _under(revision, "replicas readyReplicas")),
    *_under(STEP, "index total"),
    "status.replicas",
]
WEIGHTS = [path for revision in REVISIONS for path in _under(revision, "weight verifiedWeight")]

MODEL_DEPLOYMENT = [
    *_both(DEPLOYMENT, ("Degraded", "Lost")),
    *_texts(
        DEPLOYMENT,
        WORD,
        [
            (RESOLVED, "name alias version runId flavor"),
            *((revision, "revision version") for revision in REVISIONS),
            (STEP, "name display hash"),
            (METRIC, "name threshold"),
            (ACTION, "id verb"),
            (REJECTED, "revision version reason"),
            (PAST_ROLLOUT, "revision version"),
        ],
    ),
    *_texts(
        DEPLOYMENT,
        LINE,
        [
            ("status", "analysis.message selector"),
            *((place, "message") for place in (METRIC, ACTION, REJECTED, PAST_ROLLOUT)),
        ],
    ),
    *_texts(
        DEPLOYMENT,
        ADDRESS,
        [
            ("status", "url"),
            (RESOLVED, "source"),
            (PAST_ROLLOUT, "image"),
            *((revision, "image registryUri") for revision in REVISIONS),
        ],
    ),
    *required(DEPLOYMENT, [path for revision in REVISIONS for path in _under(revision, "revision version")]),
    *required(DEPLOYMENT, [*_under(RESOLVED, "name version"), *_under(STEP, "index total"), "status.analysis.verdict"]),
    *required(DEPLOYMENT, [*_under(METRIC, "name verdict"), *_under(ACTION, "id verb result")]),
    *required(DEPLOYMENT, _under(REJECTED, "revision version reason")),
    *required(DEPLOYMENT, _under(PAST_ROLLOUT, "revision version outcome")),
    *choices(DEPLOYMENT, dict.fromkeys(["status.analysis.verdict", f"{METRIC}.verdict"], ("Fail", "Maybe"))),
    *choices(DEPLOYMENT, {f"{ACTION}.result": ("Refused", "Maybe"), f"{PAST_ROLLOUT}.outcome": ("RolledBack", "Lost")}),
    *times(DEPLOYMENT, _under("status", "resolved.resolvedAt pausedSince soakSince step.startedAt analysis.startedAt")),
    *times(DEPLOYMENT, [f"{revision}.since" for revision in REVISIONS]),
    *times(DEPLOYMENT, [f"{METRIC}.measuredAt", f"{ACTION}.at", f"{REJECTED}.rejectedAt"]),
    *times(DEPLOYMENT, _under(PAST_ROLLOUT, "startedAt finishedAt")),
    *at_least(DEPLOYMENT, dict.fromkeys([*NUMBERS, *WEIGHTS], 0)),
    *at_most(DEPLOYMENT, dict.fromkeys(NUMBERS, 2**31 - 1)),
    *at_most(DEPLOYMENT, dict.fromkeys(WEIGHTS, 100)),
    *most_items(DEPLOYMENT, {"status.rejectedVersions": 20, "status.history": 10, "status.analysis.metrics": 16}),
]

CASES = [*TRAINING_JOB, *MODEL_DEPLOYMENT]
