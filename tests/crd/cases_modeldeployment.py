"""The cases of a ModelDeployment's spec, less what it takes from core/v1."""

from tests.crd.cases import (
    DEPLOYMENT,
    Case,
    at_least,
    at_most,
    choices,
    durations,
    forms,
    longest,
    most_items,
    not_empty,
    required,
)
from tests.crd.objects import VALID, Json, put

WHOLE = VALID["modeldeployment"]
ALIAS, VERSION = "spec.model.alias", "spec.model.version"
AUTOSCALING = "spec.server.autoscaling"
STEPS = "spec.rollout.steps"
ANALYSIS = "spec.rollout.analysis"
METRICS = f"{ANALYSIS}.metrics"
RATE, LATENCY = f"{METRICS}[0].errorRate", f"{METRICS}[2].latency"
RELATIVE_RATE, RELATIVE_LATENCY = f"{METRICS}[1].errorRate", f"{METRICS}[3].latency"
DRIFT, PROMETHEUS = f"{METRICS}[4].predictionDrift", f"{METRICS}[5].prometheus"


def _rule(path: str, good: object, bad: object, says: str) -> Case:
    return Case(DEPLOYMENT, path, "rule", good, bad, says)


NAME = "metadata.name must have 40 characters at most, a letter first"

ROOT = [
    *required(DEPLOYMENT, ["spec"]),
    *(
        _rule("", put(WHOLE, "metadata.name", good), put(WHOLE, "metadata.name", bad), NAME)
        for good, bad in [("a" * 40, "a" * 41), ("a-1", "1-a"), ("a", "a.b")]
    ),
    Case(DEPLOYMENT, "metadata.name", "maxLength", "other", "a" * 254, "253"),
]

MODEL = [
    *required(DEPLOYMENT, ["spec.model", "spec.model.name"]),
    *not_empty(DEPLOYMENT, {"spec.model.name": "a", ALIAS: "a", VERSION: "7"}),
    *longest(DEPLOYMENT, {"spec.model.name": 250, ALIAS: 250}),
    Case(DEPLOYMENT, VERSION, "maxLength", "1" * 10, "1" * 11, "Too long: may not be more than 10"),
    *forms(DEPLOYMENT, {"spec.model.name": ("a b", "a/b"), ALIAS: ("a_b", "@a"), VERSION: ("10", "01")}),
    _rule(ALIAS, "v1-stable", "v1", "is an alias that MLflow keeps for itself"),
    *(
        _rule("spec.model", {"name": "a", "version": "1"}, wrong, "model needs exactly one of alias (followed) and")
        for wrong in ({"name": "a"}, {"name": "a", "alias": "a", "version": "1"})
    ),
    *longest(DEPLOYMENT, {"spec.registry.uri": (2048, "https://"), "spec.registry.credentialsSecret": 253}),
    *forms(DEPLOYMENT, {"spec.registry.uri": ("", "mlflow"), "spec.registry.credentialsSecret": ("a", "A")}),
]

SERVER = [
    *longest(DEPLOYMENT, {"spec.server.image": 1024}),
    *forms(DEPLOYMENT, {"spec.server.image": ("", "a image")}),
    *at_least(
        DEPLOYMENT,
        {
            "spec.server.replicas": 1,
            f"{AUTOSCALING}.minReplicas": 1,
            f"{AUTOSCALING}.targetCPUUtilizationPercentage": 1,
            "spec.server.batching.maxSize": 1,
        },
    ),
    Case(DEPLOYMENT, f"{AUTOSCALING}.maxReplicas", "minimum", 2, 0, "should be greater than or equal to 1"),
    *at_most(
        DEPLOYMENT,
        {
            "spec.server.replicas": 1000,
            f"{AUTOSCALING}.maxReplicas": 1000,
            f"{AUTOSCALING}.targetCPUUtilizationPercentage": 1000,
            "spec.server.batching.maxSize": 4096,
        },
    ),
    Case(DEPLOYMENT, f"{AUTOSCALING}.minReplicas", "maximum", 10, 1001, "should be less than or equal to 1000"),
    *required(DEPLOYMENT, [f"{AUTOSCALING}.maxReplicas"]),
    _rule(
        AUTOSCALING, {"maxReplicas": 1}, {"minReplicas": 3, "maxReplicas": 2}, "minReplicas must not exceed maxReplicas"
    ),
    _rule(
        "spec.server",
        {"autoscaling": {"maxReplicas": 2}},
        {"replicas": 2, "autoscaling": {"maxReplicas": 2}},
        "replicas and autoscaling exclude each other: leave out replicas",
    ),
    *choices(DEPLOYMENT, {"spec.server.environment": ("Model", "Conda")}),
    *durations(DEPLOYMENT, {"spec.server.batching.maxDelay": ("0s", "1s", "", "1001ms")}),
]

TRAFFIC = [
    *longest(
        DEPLOYMENT,
        {
            "spec.traffic.gateway.name": 253,
            "spec.traffic.gateway.namespace": 63,
            "spec.traffic.hostnames[0]": 253,
            "spec.traffic.path": (1024, "/"),
        },
    ),
    *forms(
        DEPLOYMENT,
        {
            "spec.traffic.gateway.name": ("a", "A"),
            "spec.traffic.gateway.namespace": ("", "a.b"),
            "spec.traffic.hostnames[0]": ("*.example.com", "https://example.com"),
            "spec.traffic.path": ("/", "/a/"),
        },
    ),
    *not_empty(DEPLOYMENT, {"spec.traffic.hostnames[0]": "a"}),
    *most_items(DEPLOYMENT, {"spec.traffic.hostnames": 16}),
    *(
        _rule("spec.traffic.gateway", good, bad, "namespace is about the Gateway that name names: add name")
        for good, bad in [({"name": "a"}, {"namespace": "b"}), ({"namespace": ""}, {"name": "", "namespace": "b"})]
    ),
]

WEIGHT: Json = {"setWeight": 10}
JUDGE: Json = {"analysis": {}}
WAIT: Json = {"pause": {}}
BAD_STEPS: list[Json] = [{}, {"pause": {}, "analysis": {}}, {"setWeight": 20, "pause": {}}]
ROLLOUT = [
    Case(DEPLOYMENT, STEPS, "minItems", [WEIGHT], [], "should have at least 1 items"),
    *most_items(DEPLOYMENT, {STEPS: 32}),
    # 0 itself is accepted below: this example goes on with an analysis.
    Case(DEPLOYMENT, f"{STEPS}[0].setWeight", "minimum", 1, -1, "should be greater than or equal to 0"),
    Case(DEPLOYMENT, f"{STEPS}[2].setWeight", "maximum", 99, 101, "should be less than or equal to 100"),
    *(
        _rule(f"{STEPS}[1]", {"analysis": {}}, wrong, "a step has exactly one of setWeight, analysis and pause")
        for wrong in BAD_STEPS
    ),
    _rule(STEPS, [WEIGHT, WAIT, WEIGHT], [{"setWeight": 50}, WAIT, WEIGHT], "weights must not decrease from step to"),
    *(
        _rule(STEPS, [WEIGHT, {"setWeight": 100}], wrong, "setWeight: 100 must be the last step")
        for wrong in ([{"setWeight": 100}, JUDGE], [WEIGHT, {"setWeight": 100}, {"setWeight": 100}])
    ),
    *(
        _rule(STEPS, good, bad, "an analysis step needs traffic to judge: put a setWeight above 0 before it")
        for good, bad in [
            ([WEIGHT, JUDGE], [JUDGE, WEIGHT]),
            ([WAIT, WEIGHT, JUDGE], [WAIT, JUDGE]),
            ([{"setWeight": 0}, WAIT, WEIGHT, JUDGE], [{"setWeight": 0}, JUDGE]),
        ]
    ),
    *durations(
        DEPLOYMENT,
        {
            f"{STEPS}[1].analysis.duration": ("1s", "720h", "999ms", "720h1ms"),
            f"{STEPS}[3].pause.duration": ("1s", "720h", "0s", "721h"),
            f"{ANALYSIS}.interval": ("1s", "1h", "999ms", "61m"),
            "spec.rollout.soak.duration": ("0s", "168h", "", "169h"),
        },
    ),
    *at_least(DEPLOYMENT, {"spec.rollout.progressDeadlineSeconds": 1, "spec.rollout.revisionHistoryLimit": 1}),
    *at_most(DEPLOYMENT, {"spec.rollout.progressDeadlineSeconds": 86_400, "spec.rollout.revisionHistoryLimit": 10}),
    *longest(DEPLOYMENT, {"spec.rollout.promotedAlias": 250}),
    *forms(DEPLOYMENT, {"spec.rollout.promotedAlias": ("", "a b")}),
    _rule("spec.rollout.promotedAlias", "", "latest", "is an alias that MLflow keeps for itself"),
]

JUDGING = [
    Case(DEPLOYMENT, METRICS, "minItems", [{"errorRate": {"max": 0}}], [], "should have at least 1 items"),
    *most_items(DEPLOYMENT, {METRICS: 16}),
    *at_least(DEPLOYMENT, {f"{ANALYSIS}.minSamples": 1, f"{ANALYSIS}.confidence": 0.5}),
    *at_least(DEPLOYMENT, {f"{RATE}.max": 0, f"{RELATIVE_RATE}.worseThanStable": 0}),
    *at_most(DEPLOYMENT, {f"{ANALYSIS}.minSamples": 10**6, f"{DRIFT}.max": 10}),
    *at_most(DEPLOYMENT, {f"{RATE}.max": 1, f"{RELATIVE_RATE}.worseThanStable": 1}),
    Case(DEPLOYMENT, f"{ANALYSIS}.confidence", "maximum", 0.9999, 1, "should be less than 1"),
    Case(DEPLOYMENT, f"{LATENCY}.quantile", "maximum", 0.999, 1, "should be less than 1"),
    Case(DEPLOYMENT, f"{LATENCY}.quantile", "minimum", 0.5, 0, "should be greater than 0"),
    Case(DEPLOYMENT, f"{DRIFT}.max", "minimum", 0.01, 0, "should be greater than 0"),
    *required(DEPLOYMENT, [f"{LATENCY}.quantile", f"{DRIFT}.max", f"{PROMETHEUS}.query", f"{PROMETHEUS}.max"]),
    *choices(DEPLOYMENT, {f"{ANALYSIS}.onNoData": ("Fail", "Wait"), f"{ANALYSIS}.onProviderError": ("Hold", "Fail")}),
    *durations(DEPLOYMENT, {f"{LATENCY}.max": ("1ms", "10m", "0s", "11m")}),
    *forms(DEPLOYMENT, {f"{RELATIVE_LATENCY}.worseThanStable": ("12.5%", "0.2")}),
    Case(
        DEPLOYMENT,
        f"{RELATIVE_LATENCY}.worseThanStable",
        "maxLength",
        "1000.25%",
        "10000.25%",
        "Too long: may not be more than 8",
    ),
    *not_empty(DEPLOYMENT, {f"{PROMETHEUS}.query": "1"}),
    *longest(DEPLOYMENT, {f"{PROMETHEUS}.query": 4096}),
    *(
        _rule(RATE, {"max": 0.1}, wrong, "errorRate needs exactly one of max and worseThanStable")
        for wrong in ({}, {"max": 0.1, "worseThanStable": 0.1})
    ),
    *(
        _rule(LATENCY, {"quantile": 0.9, "max": "1s"}, wrong, "latency needs exactly one of max and worseThanStable")
        for wrong in ({"quantile": 0.9}, {"quantile": 0.9, "max": "1s", "worseThanStable": "20%"})
    ),
    *(
        _rule(f"{METRICS}[0]", {"predictionDrift": {"max": 1}}, wrong, "a metric has exactly one of errorRate")
        for wrong in ({}, {"errorRate": {"max": 0.1}, "predictionDrift": {"max": 1}})
    ),
]

CASES = [*ROOT, *MODEL, *SERVER, *TRAFFIC, *ROLLOUT, *JUDGING]
