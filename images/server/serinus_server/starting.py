"""From MODEL_URI to a model in a folder, and from a problem on the way to the words that kubectl shows."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from serinus_server.app import Identity
from serinus_server.problems import ModelProblem
from serinus_server.settings import Settings

if TYPE_CHECKING:
    from serinus_server.environment import Settings as EnvironmentSettings
    from serinus_server.fetching import Fetched

log = logging.getLogger(__name__)

TERMINATION_LOG: Final = Path("/dev/termination-log")
# What the kubelet keeps of it.
_LONGEST: Final = 4000


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
    """Leave the reason where the kubelet looks for it, as JSON: the operator shows it."""
    said = json.dumps({"reason": problem.reason, "message": problem.message[:_LONGEST]})
    if not file.exists():
        return
    try:
        file.write_text(said)
    except OSError as error:
        log.warning("the reason could not be written to %s: %s", file, error)


def _fetched(settings: Settings) -> "Fetched":
    from serinus_server import fetching

    to = fetching.Settings(
        tracking_uri=settings.tracking_uri,
        cache=settings.model_cache,
        digest=settings.model_digest,
        limit=settings.model_cache_size,
        deadline=settings.fetch_timeout,
        say=log.info,
    )
    return fetching.fetch(settings.model_uri, to)


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
