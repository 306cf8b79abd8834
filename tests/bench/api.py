"""The API server over its HTTP API, without a client that has limits or a cache of its own."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Api:
    """Where it is, and the folder with the administrator's certificate."""

    server: str
    keys: Path

    def tls(self) -> ssl.SSLContext:
        """The context of a connection as administrator."""
        context = ssl.create_default_context(cafile=str(self.keys / "ca.crt"))
        # The cluster's certificates are plain: they lack what the newest rules ask for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_cert_chain(self.keys / "admin.crt", self.keys / "admin.key")
        return context
