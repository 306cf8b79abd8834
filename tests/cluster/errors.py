"""The one error that a person is meant to read: what is wrong, and what to do about it."""


class ClusterError(Exception):
    """Something that the person at the terminal can put right."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(f"{message}\n  → {remedy}")
        self.message = message
        self.remedy = remedy
