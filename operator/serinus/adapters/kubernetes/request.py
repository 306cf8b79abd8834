"""One request to the API server as a value: what is asked of what, at which address, and in which words."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from serinus.objects import Manifest, ObjectKind, Ref
from serinus.ports import Refused

JSON: Final = "application/json"
METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE: Final = "application/merge-patch+json"

# With the parameter the client sends the body as it is; without it, it would write JSON that this is not (see as_yaml).
APPLY: Final = "application/apply-patch+yaml; charset=utf-8"

type Verb = Literal["discover", "get", "list", "apply", "create", "replace", "delete", "patch"]

METHODS: Final[dict[Verb, str]] = {
    "discover": "GET",
    "get": "GET",
    "list": "GET",
    "apply": "PATCH",
    "create": "POST",
    "replace": "PUT",
    "delete": "DELETE",
    "patch": "PATCH",
}


@dataclass(frozen=True)
class Request:
    """What is asked; without a name of the collection, without a namespace of the whole cluster."""

    verb: Verb
    kind: ObjectKind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: tuple[tuple[str, str], ...] = ()
    content: str = JSON
    accept: str = JSON
    body: Manifest | bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for part in (self.namespace, self.name):
            if part in {".", ".."} or "/" in part or "%" in part:
                raise Refused(f"cannot {self}: {part!r} cannot be a name; Kubernetes has no names with '/' or '%'")

    @property
    def method(self) -> str:
        """The HTTP method."""
        return METHODS[self.verb]

    @property
    def path(self) -> str:
        """The address, without query; what a discovery asks for is the kind's whole group."""
        if self.verb == "discover":
            return self.kind.path
        namespace = f"namespaces/{self.namespace}" if self.namespace else ""
        parts = (self.kind.path, namespace, self.kind.plural, self.name, self.subresource)
        return "/".join(part for part in parts if part)

    @property
    def resource(self) -> str:
        """The word for it in RBAC rules."""
        return "/".join(part for part in (self.kind.plural, self.subresource) if part)

    @property
    def operation(self) -> str:
        """The word for it in metrics."""
        return f"{self.verb} {self.resource}"

    def __str__(self) -> str:
        """In words: `apply Deployment shop/churn`."""
        target = str(Ref(self.kind, self.namespace, self.name)) if self.name else self.kind.plural
        of = f"the {self.subresource} of " if self.subresource else ""
        where = f" in {self.namespace or 'all namespaces'}" if not self.name else ""
        return f"{self.verb} {of}{target}{where}"


# Among them are controls and separators that YAML refuses or changes when they are not escaped.
_ESCAPED: Final = re.compile("[\x7f-\uffff]")


def as_yaml(value: Any) -> bytes:  # noqa: ANN401 (whatever JSON can say)
    r"""JSON that is YAML too, as server-side apply reads it.

    JSON escapes a character beyond U+FFFF as a pair (`\ud83d\ude00`), which YAML does not know: the API server refuses
    an object with an emoji in it. Such characters are sent as they are, all others beyond ASCII escaped.
    """
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
