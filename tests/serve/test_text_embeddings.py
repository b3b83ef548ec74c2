"""The text-embeddings server's routes: fields, answers, errors and headers as its clients know them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import close
from pipeline_cases import LONG
from running_server import Client
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline
from distilbert.engine.runtimes.onnx import OnnxRuntime

PARIS = TEXTS[4]


def at(path: str, model: str) -> str:
    return f"{path}?model={model}"


def test_vectors(client: Client, served: dict[str, Path]) -> None:
    texts = ["a song", "bread and soup"]
    with pipeline("sentence-embedding", served["states"]) as ours:
        wanted = np.array(ours(texts))
        found = client.answer(at("/embed", "states"), {"inputs": texts, "normalize": False})
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        found = client.answer(at("/embed", "states"), {"inputs": texts})
        lengths = np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(found, wanted / lengths, atol=1e-6)
        assert np.abs(lengths - 1).max() > 0.1  # and else nothing was shown
        few = client.answer(at("/embed", "states"), {"inputs": texts[0], "dimensions": 4})
        np.testing.assert_allclose(few, wanted[:1, :4] / np.linalg.norm(wanted[:1, :4]), atol=1e-6)
        ids = ours.tokenizer(PARIS)["input_ids"]
        for inputs in (ids, [ids], [PARIS, ids][1:]):
            found = client.answer(at("/embed", "states"), {"inputs": inputs, "normalize": False})
            np.testing.assert_allclose(found, [ours(PARIS)], atol=1e-5)
    with pipeline("feature-extraction", served["states"]) as ours:
        found = client.answer(at("/embed_all", "states"), {"inputs": [PARIS, "no"]})
        assert close(found, [own[0] for own in ours([PARIS, "no"])])
    with pipeline("sparse-embedding", served["masks"]) as ours:
        assert close(client.answer(at("/embed_sparse", "masks"), {"inputs": PARIS}), [ours(PARIS)])


def test_labels_and_a_flat_pair(client: Client, served: dict[str, Path]) -> None:
    with pipeline("text-classification", served["classes"], top_k=None) as ours:
        assert close(client.answer("/predict", {"inputs": PARIS}), ours([PARIS])[0])
        pair = {"text": TEXTS[1], "text_pair": TEXTS[3]}
        assert close(client.answer("/predict", {"inputs": [TEXTS[1], TEXTS[3]]}), ours(pair))
        several = client.answer("/predict", {"inputs": [[PARIS], [TEXTS[1], TEXTS[3]]]})
        assert close(several, ours([PARIS, pair]))
        raw = client.answer("/predict", {"inputs": PARIS, "raw_scores": True})
        assert close(raw, ours([PARIS], function_to_apply="none")[0])
    assert client.post("/predict", {"inputs": [["a", "b", "c"]]}).status == 422


def test_ranks(client: Client, served: dict[str, Path]) -> None:
    texts = list(TEXTS)
    body = {"query": PARIS, "texts": texts, "return_text": True}
    with pipeline("text-classification", served["ranks"], function_to_apply="sigmoid") as ours:
        scores = [one["score"] for one in ours([{"text": PARIS, "text_pair": text} for text in texts])]
    found = client.answer(at("/rerank", "ranks"), body)
    assert [one["index"] for one in found] == np.argsort(scores)[::-1].tolist()
    assert [one["text"] for one in found] == [texts[one["index"]] for one in found]
    assert close([one["score"] for one in found], sorted(scores, reverse=True))
    assert "text" not in client.answer(at("/rerank", "ranks"), {"query": PARIS, "texts": texts})[0]
    assert client.post("/rerank", body).status == 422
    assert client.post(at("/rerank", "ranks"), {"query": PARIS, "texts": []}).status == 400


def test_similarities(client: Client, served: dict[str, Path]) -> None:
    inputs = {"source_sentence": "a song", "sentences": ["bread and soup", "a song"]}
    with pipeline("sentence-similarity", served["vectors"]) as ours:
        assert close(client.answer(at("/similarity", "vectors"), {"inputs": inputs}), ours(inputs))
    empty = client.post(at("/similarity", "vectors"), {"inputs": {**inputs, "sentences": []}})
    assert (empty.status, empty.json()["error_type"]) == (400, "Empty")


def test_tokens_and_back(client: Client) -> None:
    ((first, *middle, last),) = client.answer("/tokenize", {"inputs": PARIS})
    assert first == {"id": 2, "text": "[CLS]", "special": True, "start": None, "stop": None}
    assert last["special"]
    assert [PARIS[own["start"] : own["stop"]] for own in middle] == PARIS.split()
    plain = client.answer("/tokenize", {"inputs": [PARIS, "no"], "add_special_tokens": False})
    assert [own["id"] for own in plain[0]] == [own["id"] for own in middle]
    ids = [own["id"] for own in (first, *middle, last)]
    assert client.answer("/decode", {"ids": ids}) == [PARIS.replace(" .", ".")]
    assert client.answer("/decode", {"ids": [ids, ids[1:2]], "skip_special_tokens": False})[1] == "paris"
    for wrong in (-1, 10**6, 10**30):
        assert client.post("/decode", {"ids": [wrong]}).status == 422


def test_what_a_model_is(client: Client) -> None:
    told = client.get("/info").json()
    assert told["model_type"]["classifier"]["id2label"] == {"0": "bad", "1": "so so", "2": "good"}
    assert told["max_input_length"] == 24
    assert told["max_client_batch_size"] == 256
    assert client.get(at("/info", "vectors")).json()["model_type"]["embedding"]["pooling"] == "mean+cls"
    assert "reranker" in client.get(at("/info", "ranks")).json()["model_type"]
    assert client.get(at("/info", "nothing")).status == 404


def test_headers_and_long_texts(client: Client) -> None:
    reply = client.post("/predict", {"inputs": PARIS})
    assert reply.headers["x-compute-tokens"] == "9"
    assert reply.headers["x-compute-characters"] == str(len(PARIS))
    times = ("compute-time", "total-time", "tokenization-time", "queue-time", "inference-time")
    assert all(reply.headers[f"x-{name}"].isdecimal() for name in times)
    body = {"inputs": LONG, "truncate": True, "truncation_direction": "Left"}
    assert int(client.post("/predict", body).headers["x-dropped-tokens"]) > 0
    refused = client.post("/predict", {**body, "truncate": False})
    assert (refused.status, refused.json()["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": PARIS}),  # of a classifier
        (at("/embed", "vectors"), {"inputs": PARIS, "prompt_name": "query"}),
        (at("/embed", "vectors"), {"inputs": PARIS, "truncation_direction": "Up"}),
        (at("/embed", "vectors"), {"inputs": 3}),
        (at("/embed", "vectors"), {"inputs": [[1.5]]}),
        (at("/embed", "vectors"), {"inputs": PARIS, "dimensions": 0}),
        ("/predict", {"inputs": ["a", "b", "c"]}),
        ("/tokenize", {"inputs": None}),
        ("/tokenize", {"inputs": PARIS, "prompt_name": "query"}),
    ],
)
def test_what_cannot_be_is_refused_in_its_shape(path: str, body: Any, client: Client) -> None:
    reply = client.post(path, body)
    assert (reply.status, reply.json()["error_type"]) == (422, "Validation"), reply.body
    assert isinstance(reply.json()["error"], str)


def test_what_was_counted(client: Client) -> None:
    client.post("/predict", {"inputs": PARIS})
    client.post("/predict", {"inputs": 3})
    told = client.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain")
    text = told.body.decode()
    for name in (
        'te_request_count{method="/predict"}', 'te_request_success{method="/predict"}',
        'te_request_failure{err="Validation"}', "te_queue_size 0.0", "te_request_duration_bucket",
        "te_request_queue_duration_sum", "te_request_input_length_count", "distilbert_batch_places",
        "process_resident_memory_bytes", 'distilbert_stage_seconds_sum{model="classes",stage="queue"}',
        'distilbert_requests_total{route="/predict",status="422"}',
    ):  # fmt: skip
        assert name in text, name


def test_what_a_model_computes_in_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> tuple[str, str]:
        dtype = client.get("/info").json()["model_dtype"]
        return dtype, client.post("/predict", {"inputs": PARIS}).headers["x-compute-type"]

    assert told() == ("float32", "cpu")
    with monkeypatch.context() as patch:
        # As of a folder that was optimised.
        patch.setattr(OnnxRuntime, "precision", "int8")
        opened = client.app.state.desk.models.get().main._computer._opened
        before = opened.__dict__.pop("precision")
        try:
            assert told() == ("int8", "cpu+optimized")
        finally:
            opened.__dict__["precision"] = before
