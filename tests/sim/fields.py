"""Server-side apply: who owns which field, and what becomes of an object when somebody applies or edits it.

Lists are one field as a whole, which is stricter than the API server for lists with keys.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

type Json = Any
type Path = tuple[str, ...]

NOBODYS: Final = frozenset({("apiVersion",), ("kind",)})
SERVERS: Final = frozenset(
    ("metadata", name)
    for name in (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
    )
)


# Mappings that are one field as a whole (x-kubernetes-map-type: atomic).
ATOMIC: Final = frozenset({("spec", "selector"), ("spec", "template", "spec", "nodeSelector")})


def leaves(value: Mapping[str, Json], path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Every field that holds no others."""
    for key, item in value.items():
        here = (*path, key)
        if isinstance(item, Mapping) and item and here not in ATOMIC:
            yield from leaves(item, here)
        else:
            yield here, item


def owned(manifest: Mapping[str, Json]) -> dict[Path, Json]:
    """The fields that somebody who writes this object wants to own."""
    return {
        path: value
        for path, value in leaves(manifest)
        if path not in NOBODYS and path not in SERVERS and path[0] != "status"
    }


def merged(base: Mapping[str, Json], over: Mapping[str, Json], path: Path = ()) -> dict[str, Json]:
    """A mapping with the fields of another laid over it; neither is changed."""
    result = dict(base)
    for key, value in over.items():
        there, here = result.get(key), (*path, key)
        if isinstance(there, Mapping) and isinstance(value, Mapping) and here not in ATOMIC:
            value = merged(there, value, here)  # noqa: PLW2901 (it is what goes in)
        result[key] = value
    return result


def patched(base: Json, patch: Json) -> Json:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(base) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def without(value: Mapping[str, Json], path: Path) -> dict[str, Json]:
    """A mapping without a field, and without what is empty for want of it."""
    result = dict(value)
    key, *rest = path
    if key not in result:
        return result
    if rest and isinstance(result[key], Mapping):
        result[key] = without(result[key], tuple(rest))
        if result[key]:
            return result
    del result[key]
    return result


def get(value: Json, *path: str) -> Json:
    """What is at a path, or None."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


@dataclass
class Managers:
    """Who owns which fields of one object."""

    of: dict[str, frozenset[Path]] = field(default_factory=dict)

    def conflicts(self, manager: str, current: Mapping[str, Json], wanted: Mapping[str, Json]) -> list[Path]:
        """The fields that the manager wants otherwise than somebody else who owns them."""
        theirs = frozenset().union(*(fields for other, fields in self.of.items() if other != manager))
        return [path for path, value in owned(wanted).items() if path in theirs and get(current, *path) != value]

    def apply(self, manager: str, current: Mapping[str, Json], wanted: Mapping[str, Json]) -> dict[str, Json]:
        """The object after a forced apply: what the manager no longer names goes, if nobody else owns it."""
        mine = frozenset(owned(wanted))
        dropped = self.of.get(manager, frozenset()) - mine
        self._take(manager, mine)
        self.of[manager] = mine
        kept = frozenset().union(*self.of.values())
        result = merged(current, wanted)
        for path in sorted(dropped - kept):
            if not any(other[: len(path)] == path for other in kept):
                result = without(result, path)
        return result

    def edit(self, manager: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> None:
        """Note an update: whoever changes a field owns it from then on."""
        old, new = owned(before), owned(after)
        changed = frozenset(path for path, value in new.items() if path not in old or old[path] != value)
        gone = frozenset(path for path in old if path not in new)
        self._take(manager, changed | gone)
        self.of[manager] = (self.of.get(manager, frozenset()) | changed) - gone

    def _take(self, manager: str, fields: frozenset[Path]) -> None:
        for other in self.of:
            if other != manager:
                self.of[other] -= fields
