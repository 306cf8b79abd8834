"""The resource definitions and the reference, as text; `make generate` writes them."""

from typing import Any

import yaml

from serinus.api import names
from serinus.api.crd import crd_of
from serinus.api.modeldeployment import ModelDeployment
from serinus.api.reference import reference
from serinus.api.resource import Resource
from serinus.api.trainingjob import TrainingJob

KINDS: tuple[type[Resource], ...] = (TrainingJob, ModelDeployment)
FOLDERS = ("crds", "helm/serinus/files/crds")
HEADER = "# Generated from operator/serinus/api by `make generate`.\n"


class _Dumper(yaml.SafeDumper):
    """Writes everything out: an alias in a definition helps no reader."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 (PyYAML's signature)
        return True


def generated() -> dict[str, str]:
    """Everything that is generated, by its path in the checkout."""
    definitions = {f"{kind.definition.plural}.{names.GROUP}.yaml": HEADER + _yaml(crd_of(kind)) for kind in KINDS}
    # Helm reads no file outside of the chart.
    crds = {f"{folder}/{name}": text for folder in FOLDERS for name, text in definitions.items()}
    return crds | {"docs/reference/api.md": reference(KINDS)}


def _yaml(document: Any) -> str:  # noqa: ANN401 (any JSON)
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
