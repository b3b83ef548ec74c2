"""What a server counts, for Prometheus: under our names, and under those of the text-embeddings server."""

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from distilbert.serve.work import Desk, Done

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)


class Metrics:
    """Of one server; another in the same process has its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(name, told, labels, registry=self.registry)

        def gauge(name: str, told: str, *labels: str) -> Gauge:
            return Gauge(name, told, labels, registry=self.registry)

        def histogram(name: str, told: str, *labels: str, buckets: Any = _SECONDS) -> Histogram:
            return Histogram(name, told, labels, buckets=buckets, registry=self.registry)

        self._requests = counter(
            "distilbert_requests", "Requests that were told something.", "route", "status"
        )
        self._seconds = histogram("distilbert_request_seconds", "From a request to its last byte.", "route")
        self._stages = histogram("distilbert_stage_seconds", "Parts of a request.", "model", "stage")
        self._tokens = histogram("distilbert_request_tokens", "Of a request.", "model", buckets=_TOKENS)
        self._dropped = counter("distilbert_dropped_tokens", "That were cut off texts.", "model")
        self._cut = counter("distilbert_cut_texts", "That lost some of their tokens.", "model")
        self._windowed = counter("distilbert_windowed_texts", "That were read in windows.", "model")
        # The text-embeddings server's names, for dashboards that there are; as gauges, since counters would
        # get another ending.
        self._te_count = gauge("te_request_count", "Requests.", "method")
        self._te_success = gauge("te_request_success", "Answered requests.", "method")
        self._te_failure = gauge("te_request_failure", "Requests that were not answered.", "err")
        self._te_duration = histogram("te_request_duration", "Seconds of a request.")
        self._te_length = histogram("te_request_input_length", "Tokens of a request.", buckets=_TOKENS)
        self._te_stages = {
            stage: histogram(f"te_request_{stage}_duration", f"Seconds of {stage}.")
            for stage in ("tokenization", "queue", "inference")
        }

    def watch(self, desk: "Desk") -> None:
        """Tell what waits and what was computed, whenever it is asked."""

        def gauge(name: str, told: str, value: Any) -> None:
            Gauge(name, told, registry=self.registry).set_function(value)

        def tallied(name: str) -> Any:
            return lambda: sum(getattr(served.main.tally, name) for served in desk.models.loaded)

        gauge("distilbert_waiting_requests", "That are under way.", lambda: desk.admission.requests)
        gauge("distilbert_waiting_tokens", "Of requests under way.", lambda: desk.admission.tokens)
        gauge("distilbert_tokens_per_second", "As measured of late.", lambda: desk.admission.speed or 0.0)
        gauge("te_queue_size", "Requests under way.", lambda: desk.admission.requests)

        def processes(name: str) -> Any:
            return lambda: sum(
                getattr(served.main.workers, name)
                for served in desk.models.loaded
                if served.main.workers is not None
            )

        gauge("distilbert_workers", "Processes that compute.", processes("alive"))
        gauge("distilbert_workers_replaced", "That have died.", processes("replaced"))
        gauge("distilbert_batches", "Calls of the runtime.", tallied("groups"))
        gauge("distilbert_batch_rows", "Rows in them.", tallied("rows"))
        gauge("distilbert_batch_tokens", "Tokens in them.", tallied("tokens"))
        gauge("distilbert_batch_places", "Places of tokens in them, padding included.", tallied("places"))
        places = tallied("places")
        gauge(
            "distilbert_padding_share",
            "Of what was computed.",
            lambda: 1 - tallied("tokens")() / places() if places() else 0.0,
        )

    def answered(self, model: str, done: "Done") -> None:
        """Count what was answered."""
        for stage, seconds in done.seconds.items():
            self._stages.labels(model, stage).observe(seconds)
            self._te_stages[stage].observe(seconds)
        self._tokens.labels(model).observe(done.tokens)
        self._te_length.observe(done.tokens)
        self._dropped.labels(model).inc(done.dropped)
        self._cut.labels(model).inc(done.cut)
        self._windowed.labels(model).inc(done.windowed)

    def told(self, route: str, status: int, kind: str | None, seconds: float) -> None:
        """Count a request that has come to its end.

        Args:
            route: the path's pattern, or "unknown".
            status: that was sent.
            kind: of the refusal, if it was one.
            seconds: from its first byte to the last of its answer.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._te_count.labels(route).inc()
        self._te_duration.observe(seconds)
        if status < 400:
            self._te_success.labels(route).inc()
        else:
            self._te_failure.labels(kind or str(status)).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
