"""How a model is to be fetched."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from serinus_server.fetching.words import to_stdout

CACHE: Final = Path("/serinus/cache")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to ask, where to keep, what to check. Credentials come from the environment, as MLflow has them."""

    tracking_uri: str = field(default_factory=lambda: os.environ.get("MLFLOW_TRACKING_URI", ""))
    # Where versions and aliases are, if not where runs are.
    registry_uri: str = field(default_factory=lambda: os.environ.get("MLFLOW_REGISTRY_URI", ""))
    cache: Path = CACHE
    # The sha256 that the model must have (see `digest`); empty: whatever it has.
    digest: str = ""
    # Whether the sha256 of every cached file is compared at this start, and not only its size and time.
    thorough: bool = False
    # What all cached models together may take, in bytes; None: all there is.
    limit: int | None = None
    # Seconds, from the beginning to the last byte.
    deadline: float = 600.0
    # Told one line now and then. Never holds a credential.
    say: Callable[[str], None] = to_stdout

    @property
    def registry(self) -> str:
        """The address of what knows versions and aliases."""
        return self.registry_uri or self.tracking_uri
