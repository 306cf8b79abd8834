"""The pieces of core/v1 that a user writes into our resources, each with its rules."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from serinus.api import names
from serinus.api.base import Items, KeyedBy, SpecPart
from serinus.api.rules import at_most_one, count, exactly_one, rule
from serinus.api.scalars import Quantity, quantity
from serinus.api.texts import DataKey, ObjectName, no_key_with, only_keys

VariableName = Annotated[str, Field(min_length=1, max_length=253, pattern="^[A-Za-z_][A-Za-z0-9_.-]*$")]
Text = Annotated[str, Field(max_length=8192)]


class KeySelector(SpecPart):
    """One key of a ConfigMap or Secret."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    key: DataKey = Field(description="Key in its data.")
    optional: bool = Field(default=False, description="Whether the object or the key may be missing.")


class FieldSelector(SpecPart):
    """One field of the pod."""

    field_path: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Path of the field, such as metadata.name or status.podIP."
    )


class ResourceSelector(SpecPart):
    """One resource of a container."""

    resource: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the resource, such as limits.memory."
    )
    container_name: Annotated[str, Field(max_length=63)] = Field(
        default="", description='Name of the container; "" is the one that the variable is for.'
    )
    divisor: Quantity | None = Field(default=None, description="Unit in which the value is given. Default: 1.")


class EnvSource(SpecPart):
    """Where the value of a variable comes from."""

    secret_key_ref: KeySelector | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(default=None, description="A key of a ConfigMap.")
    field_ref: FieldSelector | None = Field(default=None, description="A field of the pod.")
    resource_field_ref: ResourceSelector | None = Field(default=None, description="A resource of a container.")

    @rule(
        exactly_one("secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef"),
        "valueFrom needs exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
    )
    def _one_source(self) -> bool:
        return count(self.secret_key_ref, self.config_map_key_ref, self.field_ref, self.resource_field_ref) == 1


class EnvVar(SpecPart):
    """One environment variable, as in core/v1."""

    name: VariableName = Field(description="Name of the variable.")
    value: Text | None = Field(
        default=None, description='Its value; $(NAME) stands for a variable defined before. Default: "".'
    )
    value_from: EnvSource | None = Field(default=None, description="Where its value comes from, instead of `value`.")

    @rule(
        at_most_one("value", "valueFrom"),
        "value and valueFrom exclude each other: leave one of them out",
        expression="self.name + ': value and valueFrom exclude each other: leave one of them out'",
    )
    def _one_value(self) -> bool:
        return count(self.value, self.value_from) <= 1


class ObjectSelector(SpecPart):
    """A whole ConfigMap or Secret."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    optional: bool = Field(default=False, description="Whether the object may be missing.")


class EnvFrom(SpecPart):
    """Variables out of a whole ConfigMap or Secret, as in core/v1."""

    prefix: Annotated[str, Field(max_length=253, pattern="^([A-Za-z_][A-Za-z0-9_.-]*)?$")] = Field(
        default="", description="What is put before each key."
    )
    config_map_ref: ObjectSelector | None = Field(default=None, description="The ConfigMap.")
    secret_ref: ObjectSelector | None = Field(default=None, description="The Secret.")

    @rule(
        exactly_one("configMapRef", "secretRef"), "each item of envFrom needs exactly one of configMapRef and secretRef"
    )
    def _one_source(self) -> bool:
        return count(self.config_map_ref, self.secret_ref) == 1


Env = Annotated[Items[EnvVar], Field(max_length=128), KeyedBy("name")]
EnvFromList = Annotated[Items[EnvFrom], Field(max_length=32)]

_RESOURCE_NAMES = only_keys(
    "^([-a-z0-9.]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    "name resources as cpu, memory or nvidia.com/gpu",
)
Quantities = Annotated[Mapping[str, Quantity], Field(max_length=16), _RESOURCE_NAMES]


class Resources(SpecPart):
    """What a container asks for and may use at most, as in core/v1."""

    requests: Quantities = Field(default={}, description="What is set aside, such as cpu: 500m.")
    limits: Quantities = Field(
        default={}, description="What may be used at most, such as memory: 2Gi or nvidia.com/gpu: 1."
    )

    @rule(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits)"
        " || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
        "no request may exceed its limit: raise the limit or lower the request",
    )
    def _requests_within_limits(self) -> bool:
        both = self.requests.keys() & self.limits.keys()
        return all(quantity(self.requests[name]) <= quantity(self.limits[name]) for name in both)


_NOT_OURS = no_key_with(f"{names.GROUP}/", f"keys that start with {names.GROUP}/ are the operator's: choose another")
Labels = Annotated[
    Mapping[str, Annotated[str, Field(max_length=63, pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]],
    Field(max_length=64),
    _NOT_OURS,
]
Annotations = Annotated[Mapping[str, Annotated[str, Field(max_length=16384)]], Field(max_length=64), _NOT_OURS]


class PodMetadata(SpecPart):
    """Labels and annotations of pods."""

    labels: Labels = Field(default={}, description="Labels that the pods get beside the operator's.")
    annotations: Annotations = Field(default={}, description="Annotations that the pods get.")


# A PodSpec has hundreds of fields that change with every Kubernetes: the API server judges them when it gets the pod.
FreeForm = Annotated[
    Mapping[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]


class PodTemplate(SpecPart):
    """What the operator's pod is overridden with, as in core/v1 PodTemplateSpec."""

    metadata: PodMetadata = Field(default=PodMetadata(), description="Labels and annotations of the pods.")
    spec: FreeForm = Field(
        default={},
        description="Any part of a core/v1 PodSpec, merged strategically over what the operator makes: nodeSelector, "
        "tolerations, affinity, volumes, more containers. It is checked when the pod is made, not before.",
    )
