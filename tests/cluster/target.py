"""Where tests and the demo run: our own cluster or the user's, with images brought where it finds them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import binaries, cluster, containers, external, images
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.layout import Profile
from tests.cluster.settings import Settings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """A cluster that works, its clients, and a way to give it images."""

    settings: Settings
    kubectl: Kubectl
    helm: Path
    say: Say
    local: cluster.Cluster | None = None
    offered: dict[str, str] = field(default_factory=dict)

    def offer(self, names: Iterable[str]) -> dict[str, str]:
        """Build images and make them available; name → the reference under which the cluster knows it."""
        missing = [name for name in names if name not in self.offered]
        for name, built in images.build(missing, self.settings.cache, self.say).items():
            self.offered[name] = self._bring(built)
        return {name: self.offered[name] for name in names}

    def _bring(self, built: images.Built) -> str:
        if self.local is not None:
            containers.load_missing(self.local.layout, built.archive, built.reference, self.say)
            return built.reference
        if self.settings.registry:
            self.say(f"pushing {built.name} to {self.settings.registry}")
            return images.push(built, self.settings.registry)
        kind = external.kind_name(self.kubectl)
        if not kind:
            raise ClusterError(
                "your cluster cannot get at the images built here",
                remedy="name a registry that you push to and it pulls from: IMAGE_REGISTRY=registry.example/ml",
            )
        self.say(f"loading {built.name} into kind's cluster {kind}")
        images.kind_load(built, kind)
        return built.reference


def up(settings: Settings, say: Say) -> Target:
    """The cluster that the settings name, running."""
    helm = binaries.build(["helm"], settings.cache, say)["helm"] / "helm"
    if settings.external:
        return Target(settings, external.find(), helm, say)
    local = cluster.up(settings, Profile.FULL, say)
    return Target(settings, local.kubectl, helm, say, local)
