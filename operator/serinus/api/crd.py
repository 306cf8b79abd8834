"""The CustomResourceDefinition of a kind."""

from typing import Any

from serinus.api import names
from serinus.api.resource import Definition, PrinterColumn, Resource
from serinus.api.rules import VALIDATIONS
from serinus.api.schema import Schema, schema_of, served

# kstatus takes an object without status for settled; this says that nobody has looked at it yet.
UNOBSERVED = {"observedGeneration": -1}

# The bound that names of objects have anyway, which the cost of a rule about them is estimated by.
NAME = {"type": "string", "maxLength": 253}


def crd_of(resource: type[Resource]) -> dict[str, Any]:
    """The definition that the API server gets."""
    definition = resource.definition
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{definition.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": _names(definition),
            "scope": "Namespaced",
            "versions": [_version(resource)],
        },
    }


def root_schema(resource: type[Resource]) -> Schema:
    """The schema of the whole object; metadata is the API server's own matter."""
    schema = schema_of(resource)
    text = {"type": "string"}
    about = {
        "apiVersion": text | {"description": f"Always {names.API_VERSION}."},
        "kind": text | {"description": f"Always {resource.definition.kind}."},
        "metadata": {"type": "object", "properties": {"name": NAME}},
    }
    described = {key: schema[key] for key in ("description", "type", VALIDATIONS)}
    parts = {name: schema["properties"][name] for name in ("spec", "status")}
    return described | {"required": ["spec"], "properties": about | parts}


def _names(definition: Definition) -> dict[str, Any]:
    return {
        "kind": definition.kind,
        "listKind": f"{definition.kind}List",
        "plural": definition.plural,
        "singular": definition.kind.lower(),
        "shortNames": [definition.short],
        "categories": [names.CATEGORY],
    }


def _version(resource: type[Resource]) -> dict[str, Any]:
    schema = served(root_schema(resource))
    schema["properties"]["status"]["default"] = UNOBSERVED
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": _subresources(resource.definition),
        "additionalPrinterColumns": [_column(column) for column in resource.definition.columns],
        "schema": {"openAPIV3Schema": schema},
    }


def _subresources(definition: Definition) -> dict[str, Any]:
    scale = definition.scale
    if scale is None:
        return {"status": {}}
    paths = {
        "specReplicasPath": scale.replicas,
        "statusReplicasPath": scale.status_replicas,
        "labelSelectorPath": scale.selector,
    }
    return {"status": {}, "scale": paths}


def _column(column: PrinterColumn) -> dict[str, Any]:
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path} | wide
