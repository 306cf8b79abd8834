"""Whether a child is as it should be, so that a settled one costs no request."""

from collections.abc import Mapping, Sequence
from decimal import DecimalException
from typing import Any

from serinus import objects
from serinus.api import names, scalars
from serinus.objects import Manifest

# What is one value, though it is a mapping: with a key more it means something else.
_WHOLE = frozenset({"selector", "nodeSelector"})


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its own digest as an annotation, by which a later operator knows what was applied."""
    metadata = manifest["metadata"]
    seal = {names.Annotation.APPLIED: objects.digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **seal}}}


def is_settled(live: Manifest, wanted: Manifest) -> bool:
    """Whether the live object is what was applied last, and says all that it is to say.

    The digest tells that nothing was taken out of what is wanted; the comparison that nobody changed what was applied.
    What others have added is theirs.
    """
    seal = names.Annotation.APPLIED
    return objects.annotations(live).get(seal) == objects.annotations(wanted).get(seal) and contains(live, wanted)


def contains(live: Any, wanted: Any) -> bool:  # noqa: ANN401 (any JSON)
    """Whether all that is wanted is there, however the API server writes it."""
    if live is None and _is_empty(wanted):
        return True
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            live.get(key) == value if key in _WHOLE else contains(live.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return isinstance(live, Sequence) and not isinstance(live, str) and _contains_items(live, wanted)
    return bool(live == wanted) or _is_same_quantity(live, wanted)


def _contains_items(live: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Items that have a name are found by it, as server-side apply merges them; others stand where they stand."""
    if all(isinstance(item, Mapping) and "name" in item for item in (*live, *wanted)):
        by_name = {item["name"]: item for item in live}
        return all(contains(by_name.get(item["name"]), item) for item in wanted)
    return len(live) == len(wanted) and all(map(contains, live, wanted))


def _is_empty(value: object) -> bool:
    """The API server leaves out what is empty."""
    if isinstance(value, Mapping):
        return all(map(_is_empty, value.values()))
    return value in ("", None, False, 0, (), [])


def _is_same_quantity(live: object, wanted: object) -> bool:
    """1000m is stored as 1."""
    if not isinstance(live, str | int) or not isinstance(wanted, str | int) or isinstance(wanted, bool):
        return False
    try:
        return scalars.quantity(live) == scalars.quantity(wanted)
    except (DecimalException, KeyError):
        return False
