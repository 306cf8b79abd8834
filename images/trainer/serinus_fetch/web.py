"""Inputs at http and https addresses."""

import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from serinus_fetch import digest
from serinus_fetch.digest import File
from serinus_fetch.failures import Permanent, Transient
from serinus_fetch.log import Progress
from serinus_fetch.retry import Patience, is_transient

TIMEOUT: Final = 30.0
_REMEDIES: Final = {
    401: "it needs credentials, which http inputs have none of: use an s3, gs or pvc address, or a signed one",
    403: "access is refused: use an address that may be read, such as a signed one that has not expired",
    404: "there is nothing at this address: correct it",
    410: "there is nothing at this address any more: correct it",
}


def download(uri: str, to: Path, name: str, patience: Patience, progress: Progress) -> File:
    """Download a file; from the beginning again after each transient failure."""
    parts = urlsplit(uri)
    if "@" in parts.netloc:
        raise Permanent("an address must hold no credentials: use a signed one, or an s3, gs or pvc address")
    if parts.path.endswith("/"):
        raise Permanent("http knows no folders: write the address of a file, or use an s3, gs or pvc address")
    return patience.attempt(lambda: _attempt(uri, to, name, progress))


def _attempt(uri: str, to: Path, name: str, progress: Progress) -> File:
    try:
        with _opener().open(uri, timeout=TIMEOUT) as response, to.open("wb") as sink:
            return _whole(response, digest.copied(response.read, sink, name, progress.add))
    except HTTPError as error:
        raise _refused(error) from error
    except URLError as error:
        raise _kind(error)(f"no connection: {error.reason}") from error
    except OSError as error:
        raise _kind(error)(f"the download broke off: {error}") from error


def _opener() -> urllib.request.OpenerDirector:
    """What reads http and https alone, also where a redirect points to a file or to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _whole(response: HTTPResponse, file: File) -> File:
    """The file, if it is all that the server announced; reading in pieces does not say so by itself."""
    announced = response.headers.get("Content-Length")
    if announced is not None and int(announced) != file.size:
        raise Transient(f"the download broke off after {file.size} of {announced} bytes")
    return file


def _refused(error: HTTPError) -> Permanent | Transient:
    remedy = _REMEDIES.get(error.code, "see what the server says to it")
    return _kind(error)(f"the server answered {error.code} {error.reason}: {remedy}")


def _kind(error: BaseException) -> type[Permanent | Transient]:
    return Transient if is_transient(error) else Permanent
