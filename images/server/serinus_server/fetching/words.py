"""What is said while a model is fetched: amounts as people say them, and never a credential."""

import os
import re
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000
_SECRETS: Final = re.compile(r"PASSWORD|TOKEN|SECRET|ACCESS_KEY|_KEY$|CREDENTIAL")
# Shorter ones would blot out letters of every word.
_SHORTEST_SECRET: Final = 4
_USER_INFO: Final = re.compile(r"(?<=://)[^/\s@]+@")
_SIGNATURES: Final = re.compile(
    r"((?:X-Amz-|X-Goog-)?(?:Signature|Credential|Security-Token|sig)=)[^&\s'\"]+", re.IGNORECASE
)


def to_stdout(text: str) -> None:
    """One line on stdout, at once."""
    print(text, flush=True)  # noqa: T201 - the log of whoever has no other


def amount(size: float) -> str:
    """A number of bytes as people say it."""
    unit = 0
    while size >= _THOUSAND and unit < len(_UNITS) - 1:
        size, unit = size / _THOUSAND, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def safe(text: str) -> str:
    """A text as one line without secrets: of the environment, in addresses, in signed URLs."""
    for secret in _of_environment():
        text = text.replace(secret, "***")
    text = _SIGNATURES.sub(r"\1***", _USER_INFO.sub("***@", text))
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _of_environment() -> list[str]:
    values = (value.strip() for name, value in os.environ.items() if _SECRETS.search(name.upper()))
    # A path to credentials is no secret, and saying it helps.
    return [value for value in values if len(value) >= _SHORTEST_SECRET and not value.startswith("/")]


def described(error: BaseException, length: int = 400) -> str:
    """An error in one line, with its kind."""
    text = safe(str(error))
    kind = type(error).__name__
    return f"{kind}: {text[:length]}" if text else kind
