"""The paths below /v2: what the server and its model are, whether they are well, and predictions."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import orjson

from serinus_server.app import JSON, App
from serinus_server.http import Request
from serinus_server.inference.rest import V2Protocol
from serinus_server.inference.served import EXTENSIONS, SERVER, Served
from serinus_server.problems import RequestProblem

ROOT: Final = "/v2"
_MODELS: Final = f"{ROOT}/models/"


def add(
    app: App, served: Served, *, release: str = "", is_live: Callable[[], bool] = lambda: True, binary: bool = False
) -> None:
    """Have all paths below /v2 answered."""
    pages = Pages(app, served, V2Protocol(served, binary_answers=binary), release, is_live)
    app.on("GET", ROOT, pages.server)
    app.on("GET", f"{ROOT}/health/live", pages.live)
    app.on("GET", f"{ROOT}/health/ready", pages.ready)
    # What nearly all ask for is found at once; who writes the path otherwise is found by its parts.
    path = _MODELS + quote(served.name, safe="")
    app.on("POST", f"{path}/infer", pages.infer)
    if served.version:
        app.on("POST", f"{path}/versions/{quote(served.version, safe='')}/infer", pages.infer)
    app.on("GET", f"{ROOT}/", pages.below)


class Pages:
    """The answers."""

    def __init__(
        self, app: App, served: Served, protocol: V2Protocol, release: str, is_live: Callable[[], bool]
    ) -> None:
        self._app = app
        self._served = served
        self._protocol = protocol
        self._release = release
        self._is_live = is_live

    def server(self, request: Request) -> None:
        """What this server is."""
        self._say(request, 200, {"name": SERVER, "version": self._release, "extensions": EXTENSIONS})

    def live(self, request: Request) -> None:
        """Whether it gets on."""
        is_live = self._is_live()
        self._say(request, 200 if is_live else 503, {"live": is_live})

    def ready(self, request: Request) -> None:
        """Whether it takes requests."""
        self._say(request, self._status(), {"ready": self._app.is_ready})

    def infer(self, request: Request) -> None:
        """Predict."""
        self._app.predict(request, self._protocol)

    def below(self, request: Request) -> None:
        """Whatever else is below /v2; problems are told as the protocol tells them."""
        try:
            self._below(request)
        except RequestProblem as problem:
            self._app.answer(request, problem.status, JSON, self._protocol.problem(problem))

    def _below(self, request: Request) -> None:
        name, version, verb = parts(request.path)
        self._served.check(name, version)
        if request.method not in ((b"POST",) if verb == "infer" else (b"GET", b"HEAD")):
            wanted = "POST" if verb == "infer" else "GET"
            raise RequestProblem(405, f"{request.path[:200]} takes {wanted}, not {request.method.decode('latin-1')}")
        if verb == "infer":
            self.infer(request)
        elif verb == "ready":
            self._say(request, self._status(), {"name": name, "ready": self._app.is_ready})
        else:
            self._say(request, 200, self._served.metadata())

    def _status(self) -> int:
        return 200 if self._app.is_ready else 503

    def _say(self, request: Request, status: int, content: dict[str, Any]) -> None:
        self._app.answer(request, status, JSON, orjson.dumps(content))


def parts(path: str) -> tuple[str, str, str]:
    """Name, version and verb of a path below /v2/models; a name may have slashes in it, as in catalogs."""
    if not path.startswith(_MODELS):
        raise RequestProblem(404, f"nothing is at {path[:200]}: the model is at {_MODELS}<name>")
    rest = path.removeprefix(_MODELS)
    verb = next((one for one in ("infer", "ready") if rest.endswith(f"/{one}")), "")
    rest = rest.removesuffix(f"/{verb}") if verb else rest
    name, found, version = rest.rpartition("/versions/")
    return (name, version, verb) if found else (rest, "", verb)
