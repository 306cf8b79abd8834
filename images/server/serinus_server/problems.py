"""What may be wrong: with a request, which is its sender's to mend, or with a model, which the pod's end tells."""

from collections.abc import Callable
from typing import Any


class RequestProblem(Exception):
    """A request that cannot be answered as it is: a status of 4xx, or 503 and 504, and what to do about it."""

    def __init__(self, status: int, message: str, *, column: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        # The column of the signature that it is about, for the metrics; empty if it is about no column.
        self.column = column
        self.retry_after = retry_after


class Slow(Exception):
    """A request that takes longer to read than others should wait for: `read` reads it, in a thread."""

    def __init__(self, read: Callable[[], Any]) -> None:
        super().__init__("it takes long to read")
        self.read = read

    def then(self, make: Callable[[Any], Any]) -> "Slow":
        """The same, and what is made of what was read."""
        return Slow(lambda: make(self.read()))


class ModelProblem(Exception):
    """A model that cannot be served. Its reason is of the closed list below, its message one line with a remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


# Reasons of a ModelProblem.
NOT_FOUND = "ModelNotFound"
UNREADABLE = "ModelUnreadable"
DIGEST_MISMATCH = "DigestMismatch"
PACKAGE_MISSING = "PackageMissing"
ENVIRONMENT = "EnvironmentFailed"
PREDICTION = "PredictionFailed"
SETTINGS = "InvalidSettings"
