"""One GET of JSON from an MLflow server, with the credentials that MLflow's own client would send."""

import base64
import configparser
import json
import os
import ssl
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from serinus_server.fetching import failures
from serinus_server.fetching.failures import Failure, Kind
from serinus_server.fetching.words import safe

_WORDS: Final = 300


class Client:
    """A server; each question has so many seconds."""

    def __init__(self, address: str, seconds: float) -> None:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._seconds = seconds

    def json(self, path: str) -> Any:
        """What the server answers, parsed; a Failure if it is not 200 with JSON."""
        request = urllib.request.Request(self._base + path)  # noqa: S310 - http or https, by whom made it
        for name, value in self._headers().items():
            # Not sent along where a redirect leads to another server.
            request.add_unredirected_header(name, value)
        try:
            with self._opener().open(request, timeout=self._seconds) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise failures.of_status(error.code, f"HTTP {error.code}: {_words(error.read())}") from error
        except urllib.error.URLError as error:
            raise _failure(error) from error
        except ValueError as error:
            raise Failure(Kind.REFUSED, "the answer is not JSON, so this is no MLflow server") from error

    def _headers(self) -> dict[str, str]:
        found = {"Accept": "application/json"}
        if workspace := os.environ.get("MLFLOW_WORKSPACE"):
            found["X-MLFLOW-WORKSPACE"] = workspace
        user, password = self._credentials()
        if user and password:
            found["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            found["Authorization"] = f"Bearer {token}"
        return found

    def _credentials(self) -> tuple[str, str]:
        """Of the environment, else of MLflow's file, else of the address."""
        written = _written()
        user = os.environ.get("MLFLOW_TRACKING_USERNAME") or written.get("mlflow_tracking_username") or self._user
        word = os.environ.get("MLFLOW_TRACKING_PASSWORD") or written.get("mlflow_tracking_password") or self._password
        return user, word

    def _opener(self) -> urllib.request.OpenerDirector:
        if not self._base.startswith("https:"):
            return urllib.request.build_opener()
        return urllib.request.build_opener(urllib.request.HTTPSHandler(context=_tls()))


def _written() -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path("~/.mlflow/credentials").expanduser())
    except (configparser.Error, OSError, RuntimeError):
        return {}
    return dict(parser["mlflow"]) if "mlflow" in parser else {}


def _tls() -> ssl.SSLContext:
    """Trust as MLflow's client has it: by its own variables, by those of requests, by the system."""
    given = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    context = ssl.create_default_context(
        cafile=next((os.environ[name] for name in given if os.environ.get(name)), None)
    )
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate := os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"):
        context.load_cert_chain(certificate)
    return context


def _words(body: bytes) -> str:
    """What MLflow says in its JSON, else the beginning of whatever it is."""
    text = body.decode("utf-8", "replace")
    with suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    return safe(text)[:_WORDS] or "no words"


def _failure(error: urllib.error.URLError) -> Failure:
    reason = error.reason if isinstance(error.reason, BaseException) else error
    found = failures.of(reason)
    # Whatever kept a connection from being made may pass, but for a certificate.
    lasting = isinstance(reason, ssl.SSLCertVerificationError)
    return Failure(Kind.REFUSED if lasting else Kind.TRANSIENT, f"no connection: {found}")
