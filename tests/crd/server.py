"""A kube-apiserver asked about our objects, fast: one connection, and nothing is stored."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.cluster.layout import Layout
from tests.crd.objects import DEFINITIONS, Json

TYPES = {"POST": "application/json", "PATCH": "application/merge-patch+json"}
ASK = "dryRun=All&fieldValidation=Strict"


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    status: int
    body: Json

    @property
    def accepted(self) -> bool:
        """Whether it would store the object."""
        return self.status in {http.client.OK, http.client.CREATED}

    @property
    def message(self) -> str:
        """What the user reads."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Server:
    """The server, and our way to it."""

    connection: http.client.HTTPSConnection

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """The server of a cluster, asked as its administrator."""
        context = ssl.create_default_context(cafile=str(layout.keys / "ca.crt"))
        # The cluster's own authority leaves out extensions that strict checking asks for; the chain is still verified.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_cert_chain(layout.keys / "admin.crt", layout.keys / "admin.key")
        address = urlsplit(layout.server)
        return cls(http.client.HTTPSConnection(str(address.hostname), address.port, context=context, timeout=30))

    def create(self, document: Json, ask: str = ASK) -> Answer:
        """Create an object, or only ask whether it could be."""
        return self._send("POST", f"{_collection(document)}?{ask}", document)

    def write_status(self, document: Json) -> Answer:
        """Ask whether an object that is stored could have this status."""
        path = f"{_collection(document)}/{document['metadata']['name']}/status?{ASK}"
        return self._send("PATCH", path, {"status": document["status"]})

    def judge(self, document: Json, path: str) -> Answer:
        """Ask about an object of which the place at the path is of interest."""
        return self.write_status(document) if path.startswith("status") else self.create(document)

    def _send(self, verb: str, path: str, document: Json) -> Answer:
        self.connection.request(verb, path, json.dumps(document), {"Content-Type": TYPES[verb]})
        response = self.connection.getresponse()
        return Answer(response.status, json.loads(response.read()))


def _collection(document: Json) -> str:
    plural = DEFINITIONS[document["kind"]]["spec"]["names"]["plural"]
    return f"/apis/{document['apiVersion']}/namespaces/{document['metadata']['namespace']}/{plural}"
