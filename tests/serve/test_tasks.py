"""Published tasks over HTTP: every answer is the engine's, for the client that people have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import close
from huggingface_hub import InferenceClient
from loopback_hub import go_online
from pipeline_cases import LONG
from running_server import Client
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline

PARIS, QUESTION = TEXTS[4], {"question": "what is it", "context": TEXTS[2]}
COMPARED = {"source_sentence": "bread and soup", "sentences": ["a song", "bread and soup"]}
CHOICES = {"question": "what is it", "choices": ["a song of the choir", "bread and soup"]}
LABELS = {"candidate_labels": ["film", "work"]}

#: Of each model the task, an input, what is said of it, and what the pipeline is told for the same.
CASES: dict[str, tuple[str, Any, dict[str, Any], dict[str, Any]]] = {
    "classes": ("text-classification", PARIS, {}, {"top_k": None}),
    "entailed": ("zero-shot-classification", PARIS, LABELS, LABELS),
    "tags": ("token-classification", PARIS, {}, {"aggregation_strategy": "simple"}),
    "asked": ("question-answering", QUESTION, {"top_k": 2}, {"top_k": 2}),
    "masks": ("fill-mask", "it is [MASK]", {"top_k": 3}, {"top_k": 3}),
    "states": ("feature-extraction", PARIS, {}, {}),
    "vectors": ("sentence-similarity", COMPARED, {}, {}),
    "choices": ("multiple-choice", CHOICES, {}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_task_is_answered_as_the_engine_does(
    name: str, client: Client, served: dict[str, Path]
) -> None:
    task, given, parameters, options = CASES[name]
    with pipeline(task, served[name]) as ours:
        wanted = [ours(given, **options)]
        many = ours([given] * 3, **options)
    path = f"/models/{name}/pipeline/{task}"
    found = client.answer(path, {"inputs": given, "parameters": parameters})
    assert close([found] if task != "text-classification" else [found[0]], wanted)
    assert close(client.answer(path, {"inputs": [given] * 3, "parameters": parameters}), many)
    # What the model was made for is asked without a task.
    if name not in ("entailed", "vectors"):
        assert close(client.answer(f"/models/{name}", {"inputs": given, **parameters}), found)


def test_the_usual_model_is_the_first(client: Client) -> None:
    body = {"inputs": PARIS}
    assert client.answer("/", body) == client.answer("/models/classes", body)
    assert client.answer("/pipeline/text-classification", body) == client.answer("/", body)


def test_the_hubs_client_asks_every_task(
    client: Client, served: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    go_online(monkeypatch, online=True)

    def told(one: Any) -> dict[str, Any]:
        return {name: value for name, value in one.items() if value is not None}

    def at(name: str) -> InferenceClient:
        return InferenceClient(f"{client.address}/models/{name}", token="unused")

    with pipeline("text-classification", served["classes"]) as ours:
        found = at("classes").text_classification(PARIS, top_k=2)
        assert close([dict(one) for one in found], ours(PARIS, top_k=2))
        assert len(at("classes").text_classification(PARIS)) == 3
    with pipeline("ner", served["tags"], aggregation_strategy="average") as ours:
        found = at("tags").token_classification(PARIS, aggregation_strategy="average")
        assert close([told(one) for one in found], ours(PARIS))
    with pipeline("fill-mask", served["masks"]) as ours:
        assert close([told(one) for one in at("masks").fill_mask("it is [MASK]")], ours("it is [MASK]"))
    with pipeline("question-answering", served["asked"]) as ours:
        assert close(dict(at("asked").question_answering(**QUESTION)), ours(QUESTION))
    with pipeline("zero-shot-classification", served["entailed"]) as ours:
        client_of = InferenceClient(f"{client.address}/models/entailed/pipeline/zero-shot-classification")
        found = client_of.zero_shot_classification(PARIS, LABELS["candidate_labels"], multi_label=True)
        wanted = ours(PARIS, **LABELS, multi_label=True)
        assert close([one.label for one in found], wanted["labels"])
        assert close([one.score for one in found], wanted["scores"])
    with pipeline("sentence-similarity", served["vectors"]) as ours:
        there = InferenceClient(f"{client.address}/models/vectors/pipeline/sentence-similarity")
        found = there.sentence_similarity(COMPARED["source_sentence"], COMPARED["sentences"])
        assert close(found, ours(COMPARED))
    with pipeline("sentence-embedding", served["vectors"], normalize=True) as ours:
        found = at("vectors").feature_extraction("a song", normalize=True)
        np.testing.assert_allclose(found, [ours("a song")], atol=1e-6)
    with pipeline("feature-extraction", served["states"]) as ours:
        np.testing.assert_allclose(at("states").feature_extraction(PARIS), ours(PARIS), atol=1e-5)


def test_what_of_a_long_text_is_not_read_is_told(client: Client, served: dict[str, Path]) -> None:
    path, body = "/models/classes", {"inputs": [LONG, PARIS]}
    whole = client.post(path, body)
    assert whole.headers["x-windowed-inputs"] == "1"
    assert "x-dropped-tokens" not in whole.headers
    cut = client.post(path, {**body, "parameters": {"truncate": True}})
    with pipeline("text-classification", served["classes"], top_k=None) as ours:
        tokens = len(ours.tokenizer(LONG, verbose=False)["input_ids"])
        assert close(whole.json(), ours(body["inputs"]))
        assert close(cut.json(), ours(body["inputs"], truncation=True))
        left = client.answer(path, {**body, "truncate": True, "truncation_direction": "Left"})
        assert close(left, ours(body["inputs"], truncation=True, truncation_side="left"))
        assert not close(left, cut.json())
    assert cut.headers["x-truncated-inputs"] == "1"
    assert cut.headers["x-dropped-tokens"] == str(tokens - 24)
    short = client.post(path, {"inputs": PARIS})
    assert not [name for name in short.headers if name in ("x-dropped-tokens", "x-windowed-inputs")]
    refused = client.post(path, {**body, "truncate": False})
    assert refused.status == 422
    assert "at most 24 tokens" in refused.json()["error"]
    metrics = client.get("/metrics").body.decode()
    assert f'distilbert_dropped_tokens_total{{model="classes"}} {2 * (tokens - 24):.1f}' in metrics
    assert 'distilbert_windowed_texts_total{model="classes"} 1.0' in metrics


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/models/nothing", {"inputs": PARIS}, 404, "no model nothing"),
        ("/models/classes/pipeline/fill-mask", {"inputs": PARIS}, 422, "answers text-classification"),
        ("/models/classes", {"inputs": PARIS, "parameters": {"colour": 1}}, 422, "colour"),
        ("/models/classes", {"inputs": 3}, 422, "texts"),
        ("/models/classes", {"inputs": None}, 422, "texts"),
        ("/models/classes", {"inputs": {"txt": PARIS}}, 422, "text_pair"),
        ("/models/classes", {"inputs": [PARIS, 3]}, 422, "texts"),
        ("/models/classes", {"inputs": []}, 400, "must be asked"),
        ("/models/classes", {}, 422, "inputs: Field required"),
        ("/models/classes", [PARIS], 422, "dictionary"),
        ("/models/classes", {"inputs": PARIS, "parameters": {"function_to_apply": "tanh"}}, 422, "softmax"),
        ("/models/classes", {"inputs": ["a"] * 257}, 422, "at most 256 texts"),
        ("/models/masks", {"inputs": PARIS}, 422, "must have a mask"),
        ("/models/asked", {"inputs": PARIS}, 422, "question"),
        ("/models/entailed/pipeline/zero-shot-classification", {"inputs": PARIS}, 422, "classes"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    path: str, body: Any, status: int, says: str, client: Client, served: dict[str, Path]
) -> None:
    reply = client.post(path, body)
    assert reply.status == status, reply.body
    told = reply.json()
    assert says in told["error"]
    assert told["error_type"]
    # Nothing of the machine is told.
    assert str(served["classes"].parent) not in reply.body.decode()
    assert "Traceback" not in reply.body.decode()
