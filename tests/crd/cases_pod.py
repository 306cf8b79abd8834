"""The cases of what both kinds take from core/v1."""

from tests.crd.cases import (
    DEPLOYMENT,
    JOB,
    Case,
    each_once,
    forms,
    longest,
    most_items,
    most_keys,
    not_empty,
    required,
)

ENV = {"name": "MODE"}
REF = {"name": "tokens", "key": "churn"}


def _env(kind: str, env: str) -> list[Case]:
    secret, config_map = f"{env}[1].valueFrom.secretKeyRef", f"{env}[2].valueFrom.configMapKeyRef"
    field, resource = f"{env}[3].valueFrom.fieldRef", f"{env}[4].valueFrom.resourceFieldRef"
    names = [f"{env}[0].name", *(f"{ref}.{part}" for ref in (secret, config_map) for part in ("name", "key"))]
    return [
        *required(kind, [*names, f"{field}.fieldPath", f"{resource}.resource"]),
        *longest(kind, dict.fromkeys(names, 253)),
        *not_empty(kind, dict.fromkeys(names, "a")),
        *forms(kind, dict.fromkeys(names, ("a", "a b"))),
        *longest(kind, {f"{env}[0].value": 8192, f"{field}.fieldPath": 512, f"{resource}.resource": 253}),
        *longest(kind, {f"{resource}.containerName": 63}),
        *not_empty(kind, {f"{field}.fieldPath": "status.podIP", f"{resource}.resource": "limits.cpu"}),
        *_quantity(kind, f"{resource}.divisor"),
        *most_items(kind, {env: 128}, key="name"),
        *each_once(kind, [env]),
        Case(
            kind,
            f"{env}[0]",
            "rule",
            ENV | {"valueFrom": {"secretKeyRef": REF}},
            ENV | {"value": "fast", "valueFrom": {"secretKeyRef": REF}},
            "value and valueFrom exclude each other: leave one of them out",
        ),
        *(
            Case(
                kind,
                f"{env}[1].valueFrom",
                "rule",
                {"secretKeyRef": REF},
                wrong,
                "valueFrom needs exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
            )
            for wrong in ({}, {"secretKeyRef": REF, "configMapKeyRef": REF})
        ),
    ]


def _env_from(kind: str, env_from: str) -> list[Case]:
    says = "each item of envFrom needs exactly one of configMapRef and secretRef"
    names = [f"{env_from}[0].configMapRef.name", f"{env_from}[1].secretRef.name"]
    both = {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}
    return [
        *required(kind, names),
        *longest(kind, dict.fromkeys([*names, f"{env_from}[0].prefix"], 253)),
        *not_empty(kind, dict.fromkeys(names, "a")),
        *forms(kind, dict.fromkeys(names, ("a.b", "A"))),
        *forms(kind, {f"{env_from}[0].prefix": ("A_", "1A")}),
        *most_items(kind, {env_from: 32}),
        Case(kind, f"{env_from}[0]", "rule", {"secretRef": {"name": "b"}}, both, says),
        Case(kind, f"{env_from}[0]", "rule", {"configMapRef": {"name": "b"}}, {}, says),
    ]


def _quantity(kind: str, path: str) -> list[Case]:
    return [
        Case(kind, path, "pattern", "1.5Gi", "1.5GB", "should match"),
        Case(kind, path, "pattern", 3, "-3", "should match"),
        Case(kind, path, "maxLength", "1" * 15 + "." + "1" * 9 + "Gi", "1" * 28, "Too long: may not be more than 27"),
    ]


def _resources(kind: str, resources: str) -> list[Case]:
    says = "no request may exceed its limit: raise the limit or lower the request"
    names = "name resources as cpu, memory or nvidia.com/gpu"
    return [
        Case(kind, f"{resources}.requests", "rule", {"example.com/fpga": 1}, {"c p u": 1}, names),
        Case(kind, f"{resources}.limits", "rule", {"nvidia.com/gpu": 1}, {"-": 1}, names),
        *most_keys(kind, {f"{resources}.requests": 16, f"{resources}.limits": 16}),
        *_quantity(kind, f"{resources}.requests.storage"),
        *_quantity(kind, f"{resources}.limits.storage"),
        Case(
            kind,
            resources,
            "rule",
            {
                "requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"cpu": 1, "memory": "1024Mi", "storage": 1},
            },
            {"requests": {"cpu": "1500m"}, "limits": {"cpu": 1}},
            says,
        ),
    ]


def _template(kind: str, template: str) -> list[Case]:
    metadata = f"{template}.metadata"
    says = "keys that start with serinus.dev/ are the operator's: choose another"
    ours = {"serinus.dev/revision": "1"}
    return [
        *most_keys(kind, {f"{metadata}.labels": 64, f"{metadata}.annotations": 64}),
        *longest(kind, {f"{metadata}.labels.team": 63, f"{metadata}.annotations.note": 16384}),
        *forms(kind, {f"{metadata}.labels.team": ("a.b", "a b")}),
        Case(kind, f"{metadata}.labels", "rule", {"example.com/a": "1"}, ours, says),
        Case(kind, f"{metadata}.annotations", "rule", {"example.com/a": "1"}, ours, says),
    ]


def _both(kind: str, place: str) -> list[Case]:
    return [
        *_env(kind, f"{place}.env"),
        *_resources(kind, f"{place}.resources"),
        *_template(kind, f"{place}.podTemplate"),
    ]


CASES = [*_both(JOB, "spec"), *_env_from(JOB, "spec.envFrom"), *_both(DEPLOYMENT, "spec.server")]
