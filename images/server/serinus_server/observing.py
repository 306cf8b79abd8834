"""Who looks on while a server predicts: metrics, sketches, the tap, feedback and a shadow; and where they are asked."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

import orjson

from serinus_server.app import JSON, App
from serinus_server.batcher import Batch, Batcher
from serinus_server.feedback import Feedback
from serinus_server.http import Request
from serinus_server.metrics import Metrics
from serinus_server.problems import RequestProblem
from serinus_server.settings import Settings
from serinus_server.shadow import Shadow
from serinus_server.sketches import Sketches
from serinus_server.tap import Follower, Tap
from serinus_server.values import Call

log = logging.getLogger(__name__)

_LINES: Final = b"content-type: application/x-ndjson\r\ncache-control: no-store\r\n"
_OFF: Final = "{0} is off on this server; {1} switches it on"


class Observers:
    """All of them, each only if it is switched on. For the event loop's thread."""

    def __init__(self, settings: Settings, model: dict[str, str], metrics: Metrics) -> None:
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self.sketches = Sketches(model) if settings.sketches else None
        self.tap = Tap(model, share=settings.tap_sample) if settings.tap_sample else None
        rows, seconds = settings.feedback_rows, settings.feedback_keep
        self.feedback = Feedback(model["version"], rows=rows, seconds=seconds) if rows else None
        self.shadow: Shadow | None = None
        for one in (self.sketches, self.tap, self.feedback):
            if one is not None:
                metrics.also(one.families)

    def follow(self, url: str, batcher: Batcher) -> None:
        """Predict what another server is asked, too."""
        self.shadow = Shadow(url, batcher.predict)
        self._metrics.also(self.shadow.families)
        self._start(self.shadow.run())

    def add(self, app: App) -> None:
        """Have them asked, and told of what was answered."""
        app.on("GET", "/sketches", lambda request: self._sketches(app, request))
        app.on("GET", "/tap", self._tap)
        app.on("POST", "/feedback", lambda request: self._feedback(app, request))
        if self.tap is not None or self.feedback is not None:
            app.after = self._answered

    def predicted(self, batch: Batch) -> None:
        """A batch was predicted, or failed."""
        self._metrics.batched(batch.rows, len(batch.calls), batch.waited, batch.took)
        if batch.error is not None:
            self._metrics.prediction_errors += 1
        elif self.sketches is not None:
            self.sketches.observe(batch.value, batch.outputs)

    async def stop(self) -> None:
        """Follow nobody any more."""
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _answered(self, request_id: str, call: Call, outputs: Any) -> None:
        if self.feedback is not None:
            self.feedback.remember(request_id, outputs, call.rows)
        if self.tap is not None:
            self.tap.offer(request_id, call.value, outputs)

    def _sketches(self, app: App, request: Request) -> None:
        if self.sketches is None:
            raise RequestProblem(404, _OFF.format("sketching", "SKETCHES=on"))
        document = self.sketches.document()
        self._start(self._write(app, request, document))

    @staticmethod
    async def _write(app: App, request: Request, document: Any) -> None:
        """Many columns take longer to write than others should wait for."""
        app.answer(request, 200, JSON, await asyncio.to_thread(document.json))

    def _tap(self, request: Request) -> None:
        if self.tap is None:
            raise RequestProblem(404, _OFF.format("the tap", "TAP_SAMPLE=1"))
        self._start(self._stream(request, self.tap.follow()))

    @staticmethod
    async def _stream(request: Request, follower: Follower) -> None:
        """Lines for as long as somebody reads them; who reads slowly loses some, and nobody waits."""
        stream = request.stream(_LINES)
        try:
            async for line in follower:
                while stream.is_open and not stream.is_writable:  # noqa: ASYNC110 (the ring goes on meanwhile)
                    await asyncio.sleep(0.01)
                if not stream.is_open:
                    return
                stream.send(line)
        finally:
            follower.close()
            stream.close()

    def _feedback(self, app: App, request: Request) -> None:
        if self.feedback is None:
            raise RequestProblem(404, _OFF.format("feedback", "FEEDBACK_ROWS=100000"))
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise RequestProblem(400, f"the body is not JSON: {error}") from error
        app.answer(request, 200, JSON, orjson.dumps({"results": self.feedback.submit(body)}))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed by a mistake in the server", exc_info=error)
