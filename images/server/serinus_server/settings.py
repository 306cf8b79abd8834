"""What the environment says: one variable for each setting, all of them optional but MODEL_URI."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

from serinus_server import problems
from serinus_server.problems import ModelProblem

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_SIZES: Final[Mapping[str, int]] = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}
_SPANS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Settings:
    """All settings, with their defaults."""

    model_uri: str
    # What answers and metrics call it; by default what the registry says.
    model_name: str = ""
    model_version: str = ""
    model_revision: str = ""
    model_digest: str = ""
    model_way: str = "auto"
    model_cache: Path = Path("/tmp/serinus")  # noqa: S108 (a pod's own; a volume is better, and may be mounted there)
    model_cache_size: int = 20 * 2**30
    fetch_timeout: float = 1800.0
    environment: str = "Image"
    wheel_house: str = ""
    tracking_uri: str = ""
    host: str = "0.0.0.0"  # noqa: S104 (a pod is asked from outside)
    port: int = 8080
    grpc_port: int = 0
    batching: str = "auto"
    batch_max_size: int = 64
    batch_max_delay: float = 0.0
    queue_size: int = 1024
    request_timeout: float = 30.0
    receive_timeout: float = 30.0
    idle_timeout: float = 75.0
    max_body: int = 16 * 2**20
    max_in_hand: int = 256 * 2**20
    drain: float = 5.0
    grace: float = 25.0
    hung_after: float = 60.0
    sketches: bool = True
    tap_sample: float = 0.0
    feedback_rows: int = 100_000
    feedback_keep: float = 3600.0
    shadow_of: str = ""
    access_log: bool = False
    log_level: str = "INFO"
    docs: bool = True

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Those of the environment; raises a ModelProblem that names the variable and what it may be."""
        env = _Reader(os.environ if environ is None else environ)
        uri = env.text("MODEL_URI", "")
        if not uri:
            raise ModelProblem(
                problems.SETTINGS, "MODEL_URI is empty: name the model, for example models:/churn/7, or a folder"
            )
        return cls(
            model_uri=uri,
            model_name=env.text("MODEL_NAME", cls.model_name),
            model_version=env.text("MODEL_VERSION", cls.model_version),
            model_revision=env.text("MODEL_REVISION", cls.model_revision),
            model_digest=env.text("MODEL_DIGEST", cls.model_digest),
            model_way=env.choice("MODEL_WAY", cls.model_way, ("auto", "direct", "pyfunc")),
            model_cache=Path(env.text("MODEL_CACHE", str(cls.model_cache))),
            model_cache_size=env.size("MODEL_CACHE_SIZE", cls.model_cache_size),
            fetch_timeout=env.span("FETCH_TIMEOUT", cls.fetch_timeout),
            environment=env.choice("MODEL_ENVIRONMENT", cls.environment, ("Image", "Model")),
            wheel_house=env.text("WHEEL_HOUSE", cls.wheel_house),
            tracking_uri=env.text("MLFLOW_TRACKING_URI", cls.tracking_uri),
            host=env.text("HOST", cls.host),
            port=env.number("PORT", cls.port, 0, 65535),
            grpc_port=env.number("GRPC_PORT", cls.grpc_port, 0, 65535),
            batching=env.choice("BATCHING", cls.batching, ("auto", "on", "off")),
            batch_max_size=env.number("BATCH_MAX_SIZE", cls.batch_max_size, 1, 1_000_000),
            batch_max_delay=env.span("BATCH_MAX_DELAY", cls.batch_max_delay),
            queue_size=env.number("QUEUE_SIZE", cls.queue_size, 1, 1_000_000),
            request_timeout=env.span("REQUEST_TIMEOUT", cls.request_timeout),
            receive_timeout=env.span("RECEIVE_TIMEOUT", cls.receive_timeout),
            idle_timeout=env.span("IDLE_TIMEOUT", cls.idle_timeout),
            max_body=env.size("MAX_BODY", cls.max_body),
            max_in_hand=env.size("MAX_IN_HAND", cls.max_in_hand),
            drain=env.span("DRAIN", cls.drain),
            grace=env.span("GRACE", cls.grace),
            hung_after=env.span("HUNG_AFTER", cls.hung_after),
            sketches=env.switch("SKETCHES", default=cls.sketches),
            tap_sample=env.share("TAP_SAMPLE", cls.tap_sample),
            feedback_rows=env.number("FEEDBACK_ROWS", cls.feedback_rows, 0, 100_000_000),
            feedback_keep=env.span("FEEDBACK_KEEP", cls.feedback_keep),
            shadow_of=env.text("SHADOW_OF", cls.shadow_of),
            access_log=env.switch("ACCESS_LOG", default=cls.access_log),
            log_level=env.choice("LOG_LEVEL", cls.log_level, ("DEBUG", "INFO", "WARNING", "ERROR")),
            docs=env.switch("DOCS", default=cls.docs),
        )


class _Reader:
    """Variables in their types."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        """As it is."""
        return self._environ.get(name, "").strip() or default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of a few words, in whatever case."""
        text = self.text(name, default)
        found = next((one for one in choices if one.lower() == text.lower()), None)
        return found if found is not None else self._refuse(name, text, f"one of {', '.join(choices)}")

    def switch(self, name: str, *, default: bool) -> bool:
        """On or off."""
        text = self.text(name, "on" if default else "off").lower()
        if text not in _TRUE | _FALSE:
            self._refuse(name, text, "on or off")
        return text in _TRUE

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number between two others."""
        text = self.text(name, str(default))
        if not text.isdecimal() or not least <= int(text) <= most:
            self._refuse(name, text, f"a whole number from {least} to {most}")
        return int(text)

    def share(self, name: str, default: float) -> float:
        """A number from 0 to 1."""
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        return value if 0 <= value <= 1 else self._refuse(name, text, "a number from 0 to 1")

    def span(self, name: str, default: float) -> float:
        """Seconds, or a number with ms, s, m or h."""
        return self._scaled(name, f"{default:g}", _SPANS, "a time such as 500ms, 30s or 2m")

    def size(self, name: str, default: int) -> int:
        """Bytes, or a number with Ki, Mi, Gi, k, M or G."""
        return int(self._scaled(name, str(default), _SIZES, "a size such as 512Ki, 16Mi or 1Gi"))

    def _scaled(self, name: str, default: str, units: Mapping[str, float], wanted: str) -> float:
        text = self.text(name, default)
        unit = next((one for one in units if text.endswith(one)), "")
        try:
            value = float(text.removesuffix(unit)) * units.get(unit, 1.0)
        except ValueError:
            value = -1.0
        return value if 0 <= value < float("inf") else self._refuse(name, text, wanted)

    @staticmethod
    def _refuse(name: str, text: str, wanted: str) -> Never:
        raise ModelProblem(problems.SETTINGS, f"{name} is {text!r}: it has to be {wanted}")
