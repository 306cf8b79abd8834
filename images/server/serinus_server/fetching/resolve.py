"""What an address means now: which version, which logged model, where its files are."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from serinus_server.fetching import manifest, registry
from serinus_server.fetching.address import Alias, Logged, Store, Version
from serinus_server.fetching.cache import Entry
from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.patience import Deadline, attempt
from serinus_server.fetching.registry import Registered, Registry
from serinus_server.fetching.settings import Settings
from serinus_server.fetching.words import safe
from serinus_server.problems import SETTINGS, ModelProblem

REQUEST_SECONDS: Final = 15.0
# How long a registry that does not answer holds up the start of a model that is here.
SHORT_SECONDS: Final = 2.0
_OF_THE_SERVER: Final = ("runs:", "mlflow-artifacts:")
_KEY_LENGTH: Final = 60


@dataclass(frozen=True, slots=True)
class Resolved:
    """One model, pinned. What does not apply is empty."""

    uri: str
    key: str
    name: str = ""
    version: str = ""
    alias: str = ""
    run_id: str = ""
    source: str = ""
    model_id: str = ""


class Resolver:
    """Asks the registry, and remembers what it said for when it cannot be asked."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        self._settings, self._deadline = settings, deadline

    def resolve(self, uri: str, address: Version | Alias | Logged | Store) -> Resolved:
        """What an address means; a Failure if the registry does not know or does not answer."""
        match address:
            case Logged(model_id):
                return Resolved(uri, model_id, source=uri, model_id=model_id)
            case Store(source):
                return Resolved(uri, _key(source, self._server_of(source)), source=source)
            case Version(name, version):
                return self._version(uri, name, version)
            case Alias(name, alias):
                return self._alias(uri, name, alias)

    def location(self, resolved: Resolved) -> str:
        """Where its files are."""
        if resolved.version:
            return self._ask(lambda known: known.location(resolved.name, resolved.version), self._deadline)
        if resolved.model_id:
            return self._ask(lambda known: known.logged_location(resolved.model_id), self._deadline)
        return resolved.source

    def _version(self, uri: str, name: str, version: str) -> Resolved:
        """A pinned version that is here needs no registry; it is asked all the same, for it may have been replaced."""
        last = self._remembered(uri)
        if last is not None and not self._settings.registry.startswith("http"):
            return last
        deadline = self._deadline.sooner(SHORT_SECONDS) if last is not None else self._deadline
        try:
            found = self._ask(lambda known: known.version(name, version), deadline)
        except Failure as failure:
            if last is None or failure.kind is not Kind.TRANSIENT:
                raise
            self._settings.say(f"the registry does not answer ({failure}); {uri} is in the cache and is used as it is")
            return last
        return self._keep(self._of(uri, found))

    def _alias(self, uri: str, name: str, alias: str) -> Resolved:
        try:
            found = self._ask(lambda known: known.alias(name, alias), self._deadline)
        except Failure as failure:
            raise Failure(failure.kind, f"{failure}{self._hint(uri)}") from failure
        resolved = self._keep(self._of(uri, found, alias))
        self._settings.say(f"{uri} is version {resolved.version} ({resolved.source})")
        return resolved

    def _hint(self, uri: str) -> str:
        last = self._remembered(uri)
        return f"; it was models:/{last.name}/{last.version}, which would start without the registry" if last else ""

    def _of(self, uri: str, found: Registered, alias: str = "") -> Resolved:
        pinned = f"models:/{found.name}/{found.version}"
        key = found.model_id or _key(pinned, safe(self._settings.registry), found.source)
        return Resolved(uri, key, found.name, found.version, alias, found.run_id, found.source, found.model_id)

    def _ask[T](self, question: Callable[[Registry], T], deadline: Deadline) -> T:
        address = self._settings.registry
        if not address:
            raise ModelProblem(SETTINGS, "nothing says where the registry is: set MLFLOW_TRACKING_URI")
        seconds = max(min(REQUEST_SECONDS, deadline.left()), 1.0)
        return attempt(
            lambda: question(registry.connect(address, seconds)), safe(address), deadline, self._settings.say
        )

    def _server_of(self, source: str) -> str:
        return safe(self._settings.tracking_uri) if source.startswith(_OF_THE_SERVER) else ""

    def _memory(self, uri: str) -> Path:
        text = json.dumps([safe(self._settings.registry), uri])
        return self._settings.cache / "resolved" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def _remembered(self, uri: str) -> Resolved | None:
        """What the registry said last, if the model of then is still here."""
        try:
            last = Resolved(**json.loads(self._memory(uri).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return last if Entry(self._settings.cache, last.key).manifest.exists() else None

    def _keep(self, resolved: Resolved) -> Resolved:
        memory = self._memory(resolved.uri)
        with suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            manifest.write(memory, json.dumps(asdict(resolved)).encode())
        return resolved


def _key(*parts: str) -> str:
    """A name for a folder that a person can make out, and that no other model has."""
    plain = "".join(one if one.isascii() and one.isalnum() else "-" for one in parts[0])
    return f"{plain[:_KEY_LENGTH].strip('-')}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"
