"""Where things are in the pod, and which part of an address may be shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from serinus_fetch.failures import Permanent

SHOWN_LENGTH: Final = 160


@dataclass(frozen=True)
class Places:
    """The folders that the pod's volumes are mounted at."""

    root: Path = Path("/serinus")

    @property
    def source(self) -> Path:
        """Where the code ends up."""
        return self.root / "data" / "src"

    @property
    def claims(self) -> Path:
        """Where each volume claim that an input names is mounted."""
        return self.root / "claims"

    @property
    def config_maps(self) -> Path:
        """Where each ConfigMap that an input names is mounted, if it exists."""
        return self.root / "configmaps"


def shown(uri: str) -> str:
    """An address without what may be secret in it: who asks, and the query."""
    parts = urlsplit(uri)
    text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?…' if parts.query else ''}"
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 1]}…"


def inside(relative: str) -> Path:
    """A relative path as a path; Permanent where a part of it is none or leads upwards."""
    parts = relative.split("/")
    if "\0" in relative or not all(part.strip(" ") and part not in {".", ".."} for part in parts):
        raise Permanent(
            f"{relative[:SHOWN_LENGTH]!r} is no path below a folder: rename it, without . .. or empty parts"
        )
    return Path(*parts)
