"""From MODEL_URI to a model in a folder, and from a problem on the way to the words that kubectl shows."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from serinus_server.app import Identity
from serinus_server.problems import ModelProblem
from serinus_server.settings import Settings

if TYPE_CHECKING:
    from serinus_server.environment import Settings as EnvironmentSettings
    from serinus_server.fetching import Fetched
    from serinus_server.fetching import Settings as FetchSettings

log = logging.getLogger(__name__)

TERMINATION_LOG: Final = Path("/dev/termination-log")
# What the kubelet keeps of it.
_LONGEST: Final = 4000
# How the process that downloads ends once it has told what is wrong.
_TOLD: Final = 65


def fetch(settings: Settings) -> None:
    """Have the model, and its packages where they are to be its own, in the cache; for an init container."""
    from serinus_server import environment, mlmodel

    fetched = _fetched(settings)
    if settings.environment == "Model":
        environment.build(mlmodel.read(fetched.path), _environment(settings))


def serve(settings: Settings) -> None:
    """Fetch what is not there yet, and serve it until told to stop."""
    fetched = _fetched(settings)
    if settings.environment == "Model":
        from serinus_server import environment, mlmodel

        # An alias may have moved before it is asked for again.
        os.environ["MODEL_URI"] = _pinned(fetched)
        # Does not come back: the process goes on as another one, with other packages.
        environment.ensure(mlmodel.read(fetched.path), _environment(settings), sys.argv[1:])
    from serinus_server import serve as service

    identity = Identity(
        settings.model_name or fetched.name, settings.model_version or fetched.version, settings.model_revision
    )
    loaded = service.load(fetched.path, identity, settings)
    service.run(loaded, settings)


def tell(problem: ModelProblem, file: Path = TERMINATION_LOG) -> None:
    """Say why in the log, and as JSON where the kubelet looks for it: the operator shows that."""
    log.error("%s: %s", problem.reason, problem.message)
    said = json.dumps({"reason": problem.reason, "message": problem.message[:_LONGEST]})
    if not file.exists():
        return
    try:
        file.write_text(said)
    except OSError as error:
        log.warning("the reason could not be written to %s: %s", file, error)


def _fetched(settings: Settings) -> "Fetched":
    """The model, in a folder. What downloads it is imported in a process that ends: it would cost 60 MB for good."""
    from serinus_server import fetching
    from serinus_server.fetching.address import Local, parse

    to = fetching.Settings(
        tracking_uri=settings.tracking_uri,
        cache=settings.model_cache,
        digest=settings.model_digest,
        limit=settings.model_cache_size,
        deadline=settings.fetch_timeout,
        say=log.info,
    )
    if not isinstance(parse(settings.model_uri), Local):
        child = os.fork()
        if child == 0:
            _fetch_and_end(settings.model_uri, to)
        if (code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) == _TOLD:
            # It has said why.
            raise SystemExit(1)
        if code != 0:
            log.warning("what fetched the model ended with %d; it is fetched once more", code)
    return fetching.fetch(settings.model_uri, to)


def _fetch_and_end(uri: str, to: "FetchSettings") -> NoReturn:
    """The life of the process that downloads; what it finds out is in the cache afterwards."""
    from serinus_server import fetching

    try:
        fetching.fetch(uri, to)
        os._exit(0)
    except ModelProblem as problem:
        tell(problem)
        os._exit(_TOLD)
    except BaseException:
        log.exception("fetching failed by a mistake in the server")
        os._exit(1)


def _pinned(fetched: "Fetched") -> str:
    """The address of this very version."""
    return f"models:/{fetched.name}/{fetched.version}" if fetched.name and fetched.version else fetched.uri


def _environment(settings: Settings) -> "EnvironmentSettings":
    from serinus_server import environment

    return environment.Settings(
        cache=settings.model_cache,
        wheels=Path(settings.wheel_house) if settings.wheel_house else None,
        deadline=settings.fetch_timeout,
    )
