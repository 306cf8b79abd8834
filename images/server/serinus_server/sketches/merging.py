"""Two sketches as one, whatever they are of."""

from collections.abc import Mapping
from typing import Any

from serinus_server.sketches import categories, numeric
from serinus_server.sketches.categories import Categories
from serinus_server.sketches.numeric import Numbers

type Sketch = Numbers | Categories


def merge(one: Sketch, other: Sketch) -> Sketch:
    """Both together, in any order; ValueError if one is of numbers and the other is of categories."""
    if isinstance(one, Numbers) and isinstance(other, Numbers):
        return one.plus(other)
    if isinstance(one, Categories) and isinstance(other, Categories):
        return one.plus(other)
    raise ValueError("a sketch of numbers and one of categories cannot be merged")


def parse(document: Mapping[str, Any]) -> Sketch:
    """The sketch that one column of /sketches is."""
    return numeric.parse(document) if document["kind"] == numeric.KIND else categories.parse(document)
