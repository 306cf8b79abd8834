"""Credentials for MLflow servers: the operator's own, and those in users' Secrets."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from serinus.adapters.mlflow.failures import Failed, address_of
from serinus.asks import Server, TroubleKind
from serinus.objects import SECRET, Manifest, Ref
from serinus.ports import Forbidden, Kube, KubeError

USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 (the name of a key)
TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 (the name of a key)

_CACHE_SECONDS = 60.0


@dataclass(frozen=True)
class Credentials:
    """A name with a password, or a token; as MLflow's own client has it, the former wins. Nothing of it is shown."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def headers(self) -> Mapping[str, str]:
        """How a request says it."""
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Wallet:
    """Finds the credentials for a server. What a Secret holds is kept for a minute at most."""

    def __init__(self, kube: Kube, home: str, own: Credentials) -> None:
        self._kube = kube
        try:
            self._home = address_of(home) if home else None
        except Failed as failed:
            raise ValueError(f"the operator's tracking server: {failed}") from None
        self._own = own
        self._kept: dict[Ref, tuple[float, Credentials]] = {}

    async def credentials(self, server: Server) -> Credentials:
        """The credentials for a server; Failed if the Secret that should hold them does not.

        The operator's own are for its own server only. Another server that is named without a Secret gets none: else
        whoever may create a resource could have them sent to an address of their choice.
        """
        if server.secret:
            return await self._of_secret(Ref(SECRET, server.namespace, server.secret))
        return self._own if self.is_home(server) else Credentials()

    def is_home(self, server: Server) -> bool:
        """Whether it is the operator's own server."""
        return address_of(server.uri) == self._home

    def remedy(self, server: Server) -> str:
        """What to do where the credentials for a server do not serve."""
        if server.secret:
            return f"check the user and the keys in Secret {server.namespace}/{server.secret}"
        if self.is_home(server):
            return "check the credentials in the operator's settings"
        return "name a Secret with credentials for it in credentialsSecret"

    def forget(self, server: Server) -> None:
        """Read the Secret anew the next time."""
        self._kept.pop(Ref(SECRET, server.namespace, server.secret), None)

    async def _of_secret(self, ref: Ref) -> Credentials:
        now = asyncio.get_running_loop().time()
        self._kept = {kept: entry for kept, entry in self._kept.items() if now - entry[0] < _CACHE_SECONDS}
        if ref not in self._kept:
            self._kept[ref] = now, _parsed(ref, await self._read(ref))
        return self._kept[ref][1]

    async def _read(self, ref: Ref) -> Manifest:
        try:
            secret = await self._kube.get(ref)
        except Forbidden as error:
            message = f"the operator may not read {ref} ({error}): let its role get Secrets in this namespace"
            raise Failed(TroubleKind.CREDENTIALS_MISSING, message) from error
        except KubeError as error:
            raise Failed(TroubleKind.UNREACHABLE, f"{ref} with MLflow's credentials cannot be read: {error}") from error
        if secret is None:
            raise Failed(
                TroubleKind.CREDENTIALS_MISSING,
                f"{ref} does not exist: create it with {USERNAME} and {PASSWORD}, or with {TOKEN}",
            )
        return secret


def _parsed(ref: Ref, secret: Manifest) -> Credentials:
    data = secret.get("data") or {}
    username, password, token = (_text(ref, data, key) for key in (USERNAME, PASSWORD, TOKEN))
    if not (token or (username and password)):
        missing = PASSWORD if username else USERNAME if password else f"{USERNAME} and {PASSWORD}"
        raise Failed(TroubleKind.CREDENTIALS_MISSING, f"{ref} has no {missing} and no {TOKEN}: add the key")
    return Credentials(username, password, token)


def _text(ref: Ref, data: Mapping[str, str], key: str) -> str:
    """The text under a key, without the line end that `echo` puts there; empty if there is none."""
    try:
        text = base64.b64decode(data.get(key, ""), validate=True).decode().strip("\r\n")
    except (binascii.Error, UnicodeDecodeError):
        text = "\n"
    if not text.isprintable():
        # `from None`: the error that was handled shows what it could not decode.
        raise Failed(
            TroubleKind.CREDENTIALS_MISSING, f"{ref} holds no plain text under {key}: set the key anew"
        ) from None
    return text
