"""The revision of a spec: a hash of what the user wrote, without what changes only how it is done."""

from typing import Any

from serinus.api.base import OUTSIDE_REVISION, SpecPart


def significant(part: SpecPart) -> dict[str, Any]:
    """What a revision is about: the canonical form, less the fields that are marked as outside of it."""
    return part.model_dump(
        mode="json",
        by_alias=True,
        exclude_defaults=True,
        exclude={name for name, field in type(part).model_fields.items() if OUTSIDE_REVISION in field.metadata},
    )
