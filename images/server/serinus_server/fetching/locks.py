"""Locks on a volume that several pods and processes share.

They save work and keep what is in use; they do not guard the files, which only renames put in place. So a volume that
has no locks, or keeps them to one node, costs a second download at worst. A holder that is killed lets go.
"""

import errno
import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HELD: Final = frozenset({errno.EAGAIN, errno.EACCES})
_FOR_ALL: Final = 0o666


@dataclass(slots=True)
class Hold:
    """A lock that is held until it is released or the process ends, also over an exec."""

    descriptor: int | None

    @property
    def is_real(self) -> bool:
        """Whether others see it; not so where the volume has no locks or cannot be written to."""
        return self.descriptor is not None

    def release(self) -> None:
        """Let go; once more does no harm."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def take(path: Path, *, shared: bool = False) -> Hold | None:
    """The lock of a file, which stays for ever; None if another process has it."""
    descriptor = _opened(path)
    if descriptor is None:
        return Hold(None)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        return None if error.errno in _HELD else Hold(None)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library has it so
    return Hold(descriptor)


def _opened(path: Path) -> int | None:
    """For writing, as some network volumes want it; for reading where nothing can be written."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FOR_ALL)
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None
