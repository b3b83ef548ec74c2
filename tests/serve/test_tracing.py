"""Spans: one for each request, those of its stages within it, of the trace that the request names."""

from pathlib import Path

import pytest
from running_server import serving
from served_folders import write_served_folders


def test_a_request_is_a_span_with_its_stages_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="what keeps spans is not installed")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    folders = write_served_folders(tmp_path, "classes")
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with serving(folders) as client:
        kept.clear()
        client.answer("/models/classes", {"inputs": "it is bad"}, traceparent=parent)
        client.post("/models/nobody", {"inputs": "it is bad"})
    spans = {span.name: span for span in kept.get_finished_spans()}
    whole = spans["POST /models/{name}"]
    first = [span for span in kept.get_finished_spans() if span.attributes.get("distilbert.model")]
    (answered,) = first
    assert answered.context.trace_id == int(parent.split("-")[1], 16)
    assert answered.parent.span_id == int(parent.split("-")[2], 16)
    assert answered.attributes["http.response.status_code"] == 200
    assert answered.attributes["distilbert.model"] == "classes"
    assert answered.attributes["distilbert.tokens"] == 5
    at = answered.start_time
    for stage in ("tokenization", "queue", "inference"):
        span = spans[stage]
        assert span.parent.span_id == answered.context.span_id
        assert at <= span.start_time <= span.end_time <= answered.end_time
        at = span.end_time
    assert whole.attributes["http.response.status_code"] == 404
    assert whole.attributes["error.type"] == "NotFound"
    assert "it is bad" not in str([span.attributes for span in spans.values()])
