"""The cases of a TrainingJob's spec, less what it takes from core/v1."""

from tests.crd.cases import (
    JOB,
    Case,
    at_least,
    at_most,
    choices,
    each_once,
    forms,
    longest,
    most_items,
    most_keys,
    not_empty,
    required,
    shortest,
)
from tests.crd.objects import VALID, put, without

WHOLE = VALID["trainingjob"]
SPEC = WHOLE["spec"]
INPUT = SPEC["inputs"][0]
GIT, CONFIG_MAP = "spec.source.git", "spec.source.configMap.name"
COLUMN = "spec.inputs[0].expect.columns.age"
YEAR = 31_536_000


def _rule(path: str, good: object, bad: object, says: str) -> Case:
    return Case(JOB, path, "rule", good, bad, says)


NAME = "metadata.name must have 40 characters at most, a letter first"

ROOT = [
    *required(JOB, ["spec"]),
    *(
        Case(
            JOB,
            "",
            "rule",
            put(WHOLE, "metadata.name", good),
            put(WHOLE, "metadata.name", bad),
            NAME,
        )
        for good, bad in [("a" * 40, "a" * 41), ("a-1", "1-a"), ("a", "a.b")]
    ),
    Case(JOB, "metadata.name", "maxLength", "other", "a" * 254, "253"),
]

WHAT_RUNS = [
    *longest(JOB, {"spec.image": 1024, "spec.command[0]": 16384, "spec.args[0]": 16384}),
    *forms(JOB, {"spec.image": ("registry.example:5000/a/b@sha256:0123", "-x")}),
    *most_items(JOB, {"spec.command": 64, "spec.args": 256}),
    *most_keys(JOB, {"spec.parameters": 256}),
    *at_least(JOB, {"spec.workers": 1}),
    *at_most(JOB, {"spec.workers": 1000}),
    _rule(
        "spec.env",
        [{"name": "MLFLOW_TRACKING_TOKEN", "value": "t"}],
        [{"name": "MLFLOW_RUN_ID", "value": "r"}],
        "are set by the operator, so that the code joins its run: leave them out",
    ),
]

SOURCE = [
    _rule("spec.source", {"configMap": {"name": "a"}}, {}, "source needs exactly one of git and configMap"),
    _rule(
        "spec.source",
        SPEC["source"],
        SPEC["source"] | {"configMap": {"name": "a"}},
        "source needs exactly one of git and configMap",
    ),
    *required(JOB, [f"{GIT}.url", CONFIG_MAP]),
    *not_empty(JOB, {CONFIG_MAP: "a"}),
    *not_empty(JOB, {f"{GIT}.url": "git@git.example:a/b.git"}),
    *longest(
        JOB,
        {f"{GIT}.url": (2048, "https://g/"), f"{GIT}.ref": 250, f"{GIT}.path": 1024, f"{GIT}.credentialsSecret": 253},
    ),
    *longest(JOB, {CONFIG_MAP: 253}),
    *forms(
        JOB,
        {
            f"{GIT}.url": ("ssh://git@git.example/a/b.git", "file:///etc"),
            f"{GIT}.ref": ("feature/a@1+b", "--upload-pack=x"),
            f"{GIT}.path": ("a/b", "/etc"),
            f"{GIT}.credentialsSecret": ("", "Not A Name"),
            CONFIG_MAP: ("a.b", "A"),
        },
    ),
    _rule(f"{GIT}.path", "a/..b", "a/../../etc", "a path must not lead upwards: leave out '..'"),
    _rule(f"{GIT}.url", "http://git:8080/a", "https://me:token@git.example/a", "the address must hold no credentials"),
]

TRACKING = [
    *longest(
        JOB,
        {
            "spec.tracking.uri": (2048, "http://"),
            "spec.tracking.experiment": 500,
            "spec.tracking.credentialsSecret": 253,
            "spec.tracking.tags.team": 5000,
            "spec.register.tags.stage": 5000,
        },
    ),
    *forms(JOB, {"spec.tracking.uri": ("https://mlflow", "mlflow:5000"), "spec.tracking.credentialsSecret": ("", "A")}),
    *most_keys(JOB, {"spec.tracking.tags": 32, "spec.register.tags": 32}),
    *(
        _rule(path, {"mlflow.note.content": "a", "a b/c:d": ""}, {wrong: "1"}, says)
        for path in ("spec.tracking.tags", "spec.register.tags")
        for wrong, says in [
            ("a#b", "a tag has 1 to 250 letters, digits, spaces or any of - _ . : / as its key"),
            ("serinus.uid", "tags that start with serinus. are the operator's: choose another key"),
        ]
    ),
]

INPUTS = [
    *required(JOB, ["spec.inputs[0].name", "spec.inputs[0].uri", "spec.inputs[0].mountPath"]),
    *not_empty(JOB, {"spec.inputs[0].name": "a"}),
    *not_empty(JOB, {"spec.inputs[0].uri": "gs://b/k"}),
    *shortest(JOB, 2, {"spec.inputs[0].mountPath": ("/a", "/")}),
    *longest(
        JOB,
        {
            "spec.inputs[0].name": 63,
            "spec.inputs[0].uri": (2048, "s3://b/"),
            "spec.inputs[0].sha256": 64,
            "spec.inputs[0].mountPath": (512, "/"),
        },
    ),
    *forms(
        JOB,
        {
            "spec.inputs[0].name": ("a-1", "a.b"),
            "spec.inputs[0].sha256": ("0" * 64, "0" * 63),
            "spec.inputs[0].mountPath": ("/a/b.parquet", "data"),
        },
    ),
    *(
        _rule("spec.inputs[0].uri", good, bad, "write s3://bucket/key, gs://bucket/key, https://host/path, pvc://claim")
        for good, bad in [
            ("gs://b/k", "file:///etc/passwd"),
            ("https://h/p?q=1", "ftp://h/p"),
            ("pvc://claim/a/b", "pvc://claim"),
            ("configmap://name/key.csv", "configmap://name/a/b"),
        ]
    ),
    _rule("spec.inputs[0].mountPath", "/a/..b", "/a/../etc", "a path must not lead upwards: leave out '..'"),
    *(
        _rule("spec.inputs[0].mountPath", f"{taken}s", f"{taken}{below}", "/src, /serinus and /checkpoints are taken")
        for taken in ("/src", "/serinus", "/checkpoints")
        for below in ("", "/a")
    ),
    Case(
        JOB,
        "spec.inputs",
        "maxItems",
        [INPUT | {"name": f"i{i}", "mountPath": f"/data/{i}"} for i in range(32)],
        [INPUT | {"name": f"i{i}", "mountPath": f"/data/{i}"} for i in range(33)],
        "must have at most 32 items",
    ),
    *each_once(JOB, ["spec.inputs"]),
    _rule(
        "spec.inputs",
        [INPUT, INPUT | {"name": "other", "mountPath": "/data/other"}],
        [INPUT, INPUT | {"name": "other"}],
        "two inputs have the same mountPath: give each its own",
    ),
]

EXPECT = [
    *at_least(JOB, {"spec.inputs[0].expect.minRows": 0}),
    *at_most(JOB, {"spec.inputs[0].expect.minRows": 10**12}),
    *most_keys(JOB, {"spec.inputs[0].expect.columns": 256}),
    *choices(JOB, {f"{COLUMN}.type": ("float", "decimal")}),
    *most_items(JOB, {"spec.inputs[0].expect.columns.plan.in": 128}),
    Case(JOB, "spec.inputs[0].expect.columns.plan.in[0]", "maxLength", "a" * 256, "a" * 257, "Too long"),
    _rule(COLUMN, {"min": 1, "max": 1}, {"min": 2, "max": 1}, "min must not exceed max: swap them"),
    _rule(COLUMN, {"type": "float", "min": 0.5}, {"type": "string", "min": 1}, "only numbers have min and max"),
    _rule(COLUMN, {"type": "bool"}, {"type": "bool", "max": 1}, "only numbers have min and max"),
]

ENDS = [
    *at_least(JOB, {"spec.backoffLimit": 0, "spec.activeDeadlineSeconds": 1, "spec.ttlSecondsAfterFinished": 0}),
    *at_most(JOB, {"spec.backoffLimit": 100, "spec.activeDeadlineSeconds": YEAR, "spec.ttlSecondsAfterFinished": YEAR}),
    *longest(JOB, {"spec.queue": 63, "spec.checkpoints.storageClass": 253}),
    *forms(JOB, {"spec.queue": ("", "A"), "spec.checkpoints.size": ("500G", "0Gi")}),
    *forms(JOB, {"spec.checkpoints.storageClass": ("", "Not A Name")}),
    *required(JOB, ["spec.checkpoints.size"]),
    *not_empty(JOB, {"spec.checkpoints.size": "1"}),
    Case(JOB, "spec.checkpoints.size", "maxLength", "123456789Gi", "1234567890Gi", "Too long: may not be more than 11"),
]

CHECK = "spec.gate[0]"
GATE = [
    *required(JOB, [f"{CHECK}.metric", "spec.gate[1].versus.alias"]),
    *not_empty(JOB, {f"{CHECK}.metric": "a", "spec.gate[1].versus.alias": "a"}),
    *longest(JOB, {f"{CHECK}.metric": 250, "spec.gate[1].versus.alias": 250}),
    *forms(
        JOB,
        {f"{CHECK}.metric": ("eval/f1 macro", "f1@5"), "spec.gate[1].versus.alias": ("a-b", "a b")},
    ),
    *most_items(JOB, {"spec.gate": 32}),
    _rule("spec.gate[1].versus.alias", "v1a", "v1", "is an alias that MLflow keeps for itself"),
    _rule("spec.gate[1].versus.alias", "latest-good", "latest", "is an alias that MLflow keeps for itself"),
    _rule(CHECK, {"metric": "f1", "max": 1}, {"metric": "f1"}, "a check needs a bound: set min, max, or versus with"),
    _rule(
        CHECK,
        {"metric": "f1", "versus": {"alias": "champion"}, "minDelta": 0},
        {"metric": "f1", "versus": {"alias": "champion"}, "minDelta": 0, "min": 0.5},
        "min and max do not go with versus: make them a check of their own",
    ),
    _rule(
        CHECK,
        {"metric": "f1", "versus": {"alias": "champion"}, "maxDelta": 0},
        {"metric": "f1", "versus": {"alias": "champion"}},
        "versus and minDelta or maxDelta go together",
    ),
    _rule(
        CHECK, {"metric": "f1", "min": 0}, {"metric": "f1", "min": 0, "minDelta": 0}, "versus and minDelta or maxDelta"
    ),
    _rule(
        CHECK,
        {"metric": "f1", "min": 1, "max": 1},
        {"metric": "f1", "min": 2, "max": 1},
        "min must not exceed max: swap them",
    ),
    _rule(
        CHECK,
        {"metric": "f1", "versus": {"alias": "a"}, "minDelta": 0, "maxDelta": 0},
        {"metric": "f1", "versus": {"alias": "a"}, "minDelta": 1, "maxDelta": 0},
        "minDelta must not exceed maxDelta: swap them",
    ),
    _rule("spec", SPEC, without(SPEC, "register"), "gate compares with a version of register.model, but register is"),
]

REGISTER = [
    *required(JOB, ["spec.register.model"]),
    *not_empty(JOB, {"spec.register.model": "a", "spec.register.artifact": "a"}),
    *longest(
        JOB,
        {
            "spec.register.model": 250,
            "spec.register.artifact": 1024,
            "spec.register.alias": 250,
            "spec.register.description": 5000,
        },
    ),
    *forms(
        JOB,
        {
            "spec.register.model": ("a b", "a/b"),
            "spec.register.artifact": ("a/b", "/a"),
            "spec.register.alias": ("", "a b"),
        },
    ),
    _rule("spec.register.artifact", "a/b", "a/../b", "a path must not lead upwards: leave out '..'"),
    _rule("spec.register.alias", "v", "V12", "is an alias that MLflow keeps for itself"),
]

CASES = [*ROOT, *WHAT_RUNS, *SOURCE, *TRACKING, *INPUTS, *EXPECT, *ENDS, *GATE, *REGISTER]
