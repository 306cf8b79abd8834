"""pandas without pyarrow, where nothing of it is needed: 30 MB less, which is a sixth of a small model's server.

pandas uses pyarrow for columns of strings if it finds it when it is imported. A model of numbers has none. Reading
Parquet imports pyarrow by itself, later.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from serinus_server.signature import Signature

_NUMBERS: Final = frozenset({"boolean", "integer", "long", "float", "double"})
_PYARROW: Final = "pyarrow"
_NEITHER: Final = frozenset({"pandas", _PYARROW})


@contextmanager
def importing(signature: Signature, artifact: Path) -> Iterator[None]:
    """While a model is loaded: pandas is imported without pyarrow if neither its inputs nor its parts may need it."""
    columns = signature.columns
    is_of_numbers = bool(columns) and all(one.type in _NUMBERS for one in columns)
    if not is_of_numbers or not _NEITHER.isdisjoint(sys.modules) or b"arrow" in artifact.read_bytes():
        yield
        return
    sys.modules[_PYARROW] = None  # type: ignore[assignment]
    try:
        import pandas  # noqa: F401, ICN001 (it is imported for what it finds)

        yield
    finally:
        del sys.modules[_PYARROW]
