"""What surrounds every request: its number, its time, a line in the log, spans."""

import json
import logging
import re
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distilbert.serve.metrics import Metrics
from distilbert.serve.settings import Settings
from distilbert.serve.tracing import Spans

logger = logging.getLogger(__name__)

_ID = re.compile(rb"[\w.:/+=-]{1,128}")


class Edge:
    """An application with requests numbered, counted and logged.

    Args:
        app: what answers.
        settings: say whether texts may be logged.
        metrics: requests are told to them.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._spans = Spans.if_installed()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, began = time.perf_counter(), time.time_ns()
        number = _number(scope)
        state = scope.setdefault("state", {})
        state["begun"] = begun
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", number)]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.told(route, status, state.get("refused"), seconds)
            if self._spans is not None:
                self._spans.told(scope, status=status, began=began, seconds=seconds)
            if logger.isEnabledFor(logging.INFO):
                logger.info("%s", self._line(scope, number, status, seconds))

    def _line(self, scope: Scope, number: bytes, status: int, seconds: float) -> str:
        state = scope["state"]
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": number.decode("ascii"),
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(1000 * seconds, 2),
        }
        done = state.get("done")
        if done is not None:
            line |= {"tokens": done.tokens, "dropped": done.dropped}
            line |= {f"{stage}_ms": round(1000 * own, 2) for stage, own in done.seconds.items()}
        if "refused" in state:
            line["refused"] = state["refused"]
        if self._settings.log_texts and "texts" in state:
            line["texts"] = state["texts"]
        return json.dumps(line, ensure_ascii=False)


def _number(scope: Scope) -> bytes:
    """The number that a request came with, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            number: bytes = value
            return number
    return uuid.uuid4().hex.encode("ascii")
