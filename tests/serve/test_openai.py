"""OpenAI's embeddings and models: for its client, where that is installed, and for any other."""

import base64
from pathlib import Path

import numpy as np
import pytest
from running_server import Client

from distilbert.engine.pipelines import pipeline

TEXTS = ["a song of the choir", "bread and soup"]


def test_embeddings(client: Client, served: dict[str, Path]) -> None:
    with pipeline("sentence-embedding", served["vectors"]) as ours:
        wanted, ids = np.array(ours(TEXTS)), ours.tokenizer(TEXTS)["input_ids"]
    body = {"model": "vectors", "input": TEXTS, "user": "me"}
    found = client.answer("/v1/embeddings", body)
    assert (found["object"], found["model"]) == ("list", "vectors")
    assert [(one["object"], one["index"]) for one in found["data"]] == [("embedding", 0), ("embedding", 1)]
    np.testing.assert_allclose([one["embedding"] for one in found["data"]], wanted, atol=1e-5)
    tokens = sum(map(len, ids))
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    packed = client.answer("/v1/embeddings", {**body, "encoding_format": "base64"})
    numbers = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed["data"]]
    np.testing.assert_allclose(numbers, wanted, atol=1e-5)
    for given in (TEXTS[0], ids[0], [ids[0]]):
        one = client.answer("/embeddings", {**body, "input": given})
        np.testing.assert_allclose([own["embedding"] for own in one["data"]], wanted[:1], atol=1e-5)
    few = client.answer("/v1/embeddings", {**body, "dimensions": 2})["data"][0]["embedding"]
    np.testing.assert_allclose(few, wanted[0, :2] / np.linalg.norm(wanted[0, :2]), atol=1e-5)


def test_models(client: Client) -> None:
    listed = client.get("/v1/models").json()
    assert next(one["id"] for one in listed["data"]) == "classes"
    assert {one["object"] for one in listed["data"]} == {"model"}
    assert client.get("/v1/models/tags").json()["id"] == "tags"
    assert client.get("/v1/models/nothing").status == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nothing", "input": "a"}, 404, "model_not_found"),
        ({"model": "classes", "input": "a"}, 422, None),
        ({"model": "vectors", "input": []}, 400, None),
        ({"model": "vectors", "input": ""}, 400, None),
        ({"model": "vectors", "input": [10**9]}, 422, None),
        ({"model": "vectors"}, 422, None),
        ({"model": "vectors", "input": "a", "dimensions": 10**6}, 422, None),
    ],
)
def test_errors_have_its_shape(
    body: dict[str, object], status: int, code: str | None, client: Client
) -> None:
    reply = client.post("/v1/embeddings", body)
    assert reply.status == status, reply.body
    error = reply.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == code


def test_its_own_client(client: Client, served: dict[str, Path]) -> None:
    openai = pytest.importorskip("openai", reason="the client of OpenAI's interface is not installed")
    asking = openai.OpenAI(base_url=f"{client.address}/v1", api_key="unused", max_retries=0)
    with pipeline("sentence-embedding", served["vectors"]) as ours:
        found = asking.embeddings.create(model="vectors", input=TEXTS)
        np.testing.assert_allclose([one.embedding for one in found.data], ours(TEXTS), atol=1e-5)
    assert next(one.id for one in asking.models.list()) == "classes"
    assert asking.models.retrieve("tags").owned_by == "distilbert"
    with pytest.raises(openai.NotFoundError, match="no model nothing"):
        asking.embeddings.create(model="nothing", input=TEXTS)
