"""ModelDeployment: a registered model version in production, and the safe way to the next one."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from serinus.api.base import OUTSIDE_REVISION, Items, SpecPart
from serinus.api.modeldeployment_status import ModelDeploymentStatus
from serinus.api.pod import Env, PodTemplate, Resources
from serinus.api.resource import AGE, LOST_IF_UNREADABLE, Definition, PrinterColumn, Resource, Scale
from serinus.api.rollout import Rollout
from serinus.api.rules import at_most_one, count, exactly_one, rule
from serinus.api.scalars import Within
from serinus.api.texts import (
    Alias,
    Hostname,
    HttpAddressOrNone,
    ImageOrNone,
    LabelNameOrNone,
    ModelName,
    ModelVersion,
    NameOrNone,
)


class Model(SpecPart):
    """Which version is desired: the one that an alias points at, or this one."""

    name: ModelName = Field(description="Name of the registered model.")
    alias: Alias | None = Field(default=None, description="Alias that is followed, such as champion.")
    version: ModelVersion | None = Field(default=None, description='Version that is pinned, as text: "7".')

    @rule(exactly_one("alias", "version"), "model needs exactly one of alias (followed) and version (pinned)")
    def _one_way(self) -> bool:
        return count(self.alias, self.version) == 1


class Registry(SpecPart):
    """Where the model is registered."""

    uri: HttpAddressOrNone = Field(default="", description='Address of the MLflow server. "": the operator\'s.')
    credentials_secret: NameOrNone = Field(
        default="",
        description="Name of a Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        'MLFLOW_TRACKING_TOKEN. "": the operator\'s credentials for its own server, and none for another.',
    )


class Autoscaling(SpecPart):
    """Bounds between which a HorizontalPodAutoscaler chooses the number of pods."""

    min_replicas: int = Field(default=1, ge=1, le=1000, description="Number of pods at least.")
    max_replicas: int = Field(ge=1, le=1000, description="Number of pods at most.")
    target_cpu_utilization_percentage: int = Field(
        default=70,
        ge=1,
        le=1000,
        validation_alias="targetCPUUtilizationPercentage",
        serialization_alias="targetCPUUtilizationPercentage",
        description="CPU use of the pods that is aimed at, as a percentage of what they request.",
    )

    @rule(
        "(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas",
        "minReplicas must not exceed maxReplicas: raise maxReplicas or lower minReplicas",
    )
    def _min_at_most_max(self) -> bool:
        return self.min_replicas <= self.max_replicas


class Batching(SpecPart):
    """Requests that come close together are predicted together."""

    max_size: int = Field(default=64, ge=1, le=4096, description="Number of rows that a batch has at most.")
    max_delay: Annotated[timedelta, Within("0s", "1s")] = Field(
        default=timedelta(0),
        description="How long a request waits for others at most. Those that come while a prediction runs are batched "
        "without any delay.",
    )


class Server(SpecPart):
    """The pods that answer."""

    image: ImageOrNone = Field(
        default="", description='Image of the server, any that answers the same protocol. "": the operator\'s.'
    )
    replicas: Annotated[int | None, OUTSIDE_REVISION] = Field(
        default=None,
        ge=1,
        le=1000,
        description="Number of pods. Default: 1. `kubectl scale` writes it, and so does an autoscaler of another make, "
        "which needs a first number to be there.",
    )
    autoscaling: Annotated[Autoscaling | None, OUTSIDE_REVISION] = Field(
        default=None,
        description="Let a HorizontalPodAutoscaler choose the number of pods, instead of `replicas`. Default: none.",
    )
    resources: Resources = Field(default=Resources(), description="Resources of the server's container.")
    environment: Literal["Image", "Model"] = Field(
        default="Image",
        description="Image: predict with the packages of the image. Model: with those that the model itself requires, "
        "built once and cached.",
    )
    batching: Batching = Field(
        default=Batching(), description="Requests that come close together are predicted together."
    )
    env: Env = Field(default=(), description="Environment variables, as in core/v1.")
    pod_template: PodTemplate = Field(default=PodTemplate(), description="Overrides for the pods.")

    @rule(
        at_most_one("replicas", "autoscaling"),
        "replicas and autoscaling exclude each other: leave out replicas, or leave out autoscaling to set it by hand",
    )
    def _one_way_to_scale(self) -> bool:
        return count(self.replicas, self.autoscaling) <= 1


class Gateway(SpecPart):
    """The Gateway that routes are attached to."""

    name: NameOrNone = Field(default="", description='Name of the Gateway. "": the operator\'s.')
    namespace: LabelNameOrNone = Field(default="", description='Its namespace. "": that of this resource.')

    @rule(
        "!has(self.namespace) || self.namespace == '' || (has(self.name) && self.name != '')",
        "namespace is about the Gateway that name names: add name, or leave out namespace",
    )
    def _name_with_namespace(self) -> bool:
        return not self.namespace or bool(self.name)


class Traffic(SpecPart):
    """Where requests come in."""

    gateway: Gateway = Field(
        default=Gateway(),
        description="The Gateway. With none in the cluster, traffic is split by the number of pods.",
    )
    hostnames: Annotated[Items[Hostname], Field(max_length=16)] = Field(
        default=(), description="Host names that are served. Default: all that the Gateway takes."
    )
    path: Annotated[str, Field(max_length=1024, pattern="^(/|(/[-a-zA-Z0-9_.~]+)+)?$")] = Field(
        default="", description='Prefix of the path that is served. "": /<namespace>/<name> of this resource.'
    )


class ModelDeploymentSpec(SpecPart):
    """Which model to serve, by what, to whom, and how to change it."""

    model: Model = Field(description="Which version is desired.")
    registry: Registry = Field(default=Registry(), description="Where the model is registered.")
    server: Server = Field(default=Server(), description="The pods that answer.")
    traffic: Traffic = Field(default=Traffic(), description="Where requests come in.")
    rollout: Rollout = Field(default=Rollout(), description="How a new revision takes over the traffic.")


class ModelDeployment(Resource):
    """Serves one version of a model, and takes the traffic to the next one step by step, or back.

    The hash of the model version and everything in `server` that changes the pod is the revision.
    """

    definition: ClassVar = Definition(
        kind="ModelDeployment",
        plural="modeldeployments",
        short="md",
        columns=(
            PrinterColumn("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            PrinterColumn("Phase", ".status.phase"),
            PrinterColumn("Stable", ".status.stable.version"),
            PrinterColumn("Canary", ".status.canary.version"),
            PrinterColumn("Weight", ".status.canary.weight", type="integer"),
            PrinterColumn("Step", ".status.step.display"),
            AGE,
            PrinterColumn("Alias", ".spec.model.alias", wide=True),
            PrinterColumn("Verdict", ".status.analysis.verdict", wide=True),
            PrinterColumn("URL", ".status.url", wide=True),
            PrinterColumn("Message", ".status.message", wide=True),
        ),
        scale=Scale(replicas=".spec.server.replicas", status_replicas=".status.replicas", selector=".status.selector"),
    )

    spec: ModelDeploymentSpec = Field(description="Which model to serve, by what, to whom, and how to change it.")
    status: Annotated[ModelDeploymentStatus, LOST_IF_UNREADABLE] = Field(
        default=ModelDeploymentStatus(), description="What serves now, and where a rollout is."
    )
