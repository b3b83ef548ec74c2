"""Spans of requests, where OpenTelemetry is installed: one for each, in it one for each of its stages.

They go where the process has been told to send them (``opentelemetry-instrument distilbert serve …``); where
nobody has told it, they go nowhere and cost next to nothing.
"""

from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from distilbert import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

#: Nanoseconds of a second.
_NANO = 1e9


class Spans:
    """What is told of requests when they have ended.

    Args:
        tracer: takes the spans.
        tracing: the module ``opentelemetry.trace``.
        extract: what reads the trace that a request is a part of out of its headers.
    """

    def __init__(self, tracer: "Tracer", tracing: Any, extract: Any) -> None:
        self._tracer, self._tracing, self._extract = tracer, tracing, extract

    @classmethod
    def if_installed(cls) -> "Spans | None":
        """None where OpenTelemetry is not."""
        try:
            from opentelemetry import propagate, trace
        except ImportError:
            return None
        return cls(trace.get_tracer("distilbert.serve", __version__), trace, propagate.extract)

    def told(self, scope: Scope, *, status: int, began: int, seconds: float) -> None:
        """Tell of a request.

        Args:
            scope: of the application, with what was said in its state.
            status: that was sent.
            began: when it came, in nanoseconds of the wall clock.
            seconds: that it took.
        """
        route = getattr(scope.get("route"), "path", "unknown")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._tracer.start_span(
            f"{scope['method']} {route}",
            context=self._extract(headers),
            kind=self._tracing.SpanKind.SERVER,
            start_time=began,
        )
        if span.is_recording():
            state = scope["state"]
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)
            if "refused" in state:
                span.set_attribute("error.type", state["refused"])
            if status >= 500:
                span.set_status(self._tracing.StatusCode.ERROR)
            if done := state.get("done"):
                span.set_attribute("distilbert.model", state["model"])
                span.set_attribute("distilbert.tokens", done.tokens)
                span.set_attribute("distilbert.dropped_tokens", done.dropped)
                self._stages(span, began + int(_NANO * (done.begun - state["begun"])), done.seconds)
        span.end(began + int(_NANO * seconds))

    def _stages(self, span: Any, at: int, seconds: dict[str, float]) -> None:
        """One after the other."""
        context = self._tracing.set_span_in_context(span)
        for stage, own in seconds.items():
            inner = self._tracer.start_span(stage, context=context, start_time=at)
            at += int(_NANO * own)
            inner.end(at)
