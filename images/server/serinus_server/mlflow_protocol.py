"""MLflow's scoring protocol over HTTP."""

from collections.abc import Callable
from typing import Any

from serinus_server.http import Request
from serinus_server.problems import RequestProblem, Slow
from serinus_server.scoring import Scoring, error_body
from serinus_server.values import Call

_JSON = "application/json"


class MlflowProtocol:
    """What `mlflow models serve` speaks."""

    name = "mlflow"

    def __init__(self, scoring: Scoring) -> None:
        self._decode = scoring.decode
        self._encoder = scoring.encoder

    def decode(self, request: Request) -> tuple[Call, Callable[[Any], bytes]]:
        """A request that says nothing of its type is taken for JSON."""
        kind = request.header(b"content-type").decode("latin-1") or _JSON
        try:
            return self._with_encoder(self._decode(request.body, kind))
        except Slow as slow:
            raise slow.then(self._with_encoder) from None

    def _with_encoder(self, call: Call) -> tuple[Call, Callable[[Any], bytes]]:
        return call, self._encoder(call)

    @staticmethod
    def problem(problem: RequestProblem) -> bytes:
        """As MLflow's clients read it."""
        return error_body(problem)
