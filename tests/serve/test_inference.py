"""The open inference protocol in both versions, and Vertex AI's form of the first."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import close
from running_server import Client
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline
from distilbert.engine.waiting import Row

PARIS = TEXTS[4]


def text_input(texts: list[str]) -> dict[str, Any]:
    return {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}


def test_texts_are_answered_as_json(client: Client, served: dict[str, Path]) -> None:
    body = {"id": "7", "inputs": [text_input(list(TEXTS))], "parameters": {"top_k": 2}}
    found = client.answer("/v2/models/classes/infer", body)
    assert (found["id"], found["model_name"], found["model_version"]) == ("7", "classes", "1")
    (output,) = found["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("answer", "BYTES", [len(TEXTS)])
    with pipeline("text-classification", served["classes"], top_k=2) as ours:
        assert close([json.loads(own) for own in output["data"]], ours(list(TEXTS)))
    vectors = client.answer("/v2/models/vectors/infer", {"inputs": [text_input(["a song"])]})["outputs"][0]
    with pipeline("sentence-embedding", served["vectors"]) as ours:
        np.testing.assert_allclose(np.reshape(vectors["data"], vectors["shape"]), [ours("a song")], atol=1e-5)


@pytest.mark.parametrize("name", ["classes", "tags", "asked", "masks", "states", "vectors", "choices"])
def test_tokens_are_answered_with_what_the_model_gives(
    name: str, client: Client, served: dict[str, Path]
) -> None:
    tasks = {
        "classes": "text-classification", "tags": "ner", "asked": "question-answering", "masks": "fill-mask",
        "states": "feature-extraction", "vectors": "sentence-embedding", "choices": "multiple-choice",
    }  # fmt: skip
    ids, mask = [[2, 8, 9, 3], [0, 2, 7, 3]], [[1, 1, 1, 1], [0, 1, 1, 1]]
    inputs = [
        {"name": "input_ids", "shape": [2, 4], "datatype": "INT64", "data": ids},
        {"name": "attention_mask", "shape": [2, 4], "datatype": "INT64", "data": [*mask[0], *mask[1]]},
    ]
    found = {
        own["name"]: np.reshape(own["data"], own["shape"])
        for own in client.answer(f"/v2/models/{name}/infer", {"inputs": inputs})["outputs"]
    }
    told = client.get(f"/v2/models/{name}").json()
    assert [own["name"] for own in told["outputs"]] == ["answer", *found]
    with pipeline(tasks[name], served[name]) as ours:
        asked = np.arange(3, dtype=np.int32) if name == "masks" else None
        row = Row(np.array([2, 7, 3], np.int32), asked=asked)
        wanted = ours._computer.submit([row]).result()[0]
        if name == "vectors":
            wanted = (ours.modules.finish(wanted[0][None])[0],)
    for array, own in zip(found.values(), wanted, strict=True):
        live = array[1][1:] if ours.answers_tokens else array[1]
        np.testing.assert_allclose(live, own, atol=1e-5)
        if ours.answers_tokens:
            assert not array[1][0].any()


def test_binary_data_both_ways(client: Client) -> None:
    texts = [PARIS.encode(), "é".encode()]
    content = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    head = {
        "inputs": [
            {"name": "text", "shape": [2, 1], "datatype": "BYTES",
             "parameters": {"binary_data_size": len(content)}}
        ],
        "parameters": {"binary_data_output": True},
    }  # fmt: skip
    said = json.dumps(head).encode()
    sizes = {"inference_header_content_length": str(len(said)), "content_type": "application/octet-stream"}
    reply = client.post("/v2/models/vectors/infer", said + content, **sizes)
    size = int(reply.headers["inference-header-content-length"])
    (output,) = json.loads(reply.body[:size])["outputs"]
    found = np.frombuffer(reply.body[size:], "<f4").reshape(output["shape"])
    plain = client.answer("/v2/models/vectors/infer", {"inputs": [text_input([PARIS, "é"])]})["outputs"][0]
    np.testing.assert_allclose(found.ravel(), plain["data"], atol=1e-6)
    for wrong in ("9999", "-1", "x"):
        broken = {**sizes, "inference_header_content_length": wrong}
        assert client.post("/v2/models/vectors/infer", said + content, **broken).status == 400
    assert client.post("/v2/models/vectors/infer", said + content[:-1], **sizes).status == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"shape": [3]}, 400), ({"shape": [-1]}, 400), ({"datatype": "TEXT"}, 400), ({"name": "texts"}, 422),
        ({"data": "a"}, 400), ({"data": [3]}, 422), ({"datatype": "INT64"}, 400), ({"shape": "a"}, 400),
    ],
)  # fmt: skip
def test_tensors_that_are_not_as_they_say(change: dict[str, Any], status: int, client: Client) -> None:
    body = {"inputs": [{**text_input([PARIS]), **change}]}
    reply = client.post("/v2/models/classes/infer", body)
    assert reply.status == status, reply.body
    assert isinstance(reply.json()["error"], str)


def test_ids_that_the_model_does_not_know(client: Client) -> None:
    for data in ([[2, 10**6]], [[-1, 2]], [[2] * 25], [[]]):
        inputs = [{"name": "input_ids", "shape": [1, len(data[0])], "datatype": "INT64", "data": data}]
        assert client.post("/v2/models/classes/infer", {"inputs": inputs}).status == 422, data


def test_the_server_and_its_models(client: Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["name"] == "distilbert"
    assert client.get("/v2/models/classes/ready").json() == {"name": "classes", "ready": True}
    assert client.get("/v2/models/classes/versions/1").json()["versions"] == ["1"]
    assert client.get("/v2/models/classes/versions/2").status == 422
    assert client.get("/v2/models/nothing/ready").status == 404
    assert client.get("/v2/models/nothing").json()["error"].startswith("There is no model nothing")
    listed = client.post("/v2/repository/index", None).json()
    assert {"name": "tags", "version": "1", "state": "READY"} in listed


def test_instances(client: Client, served: dict[str, Path]) -> None:
    with pipeline("text-classification", served["classes"], top_k=None) as ours:
        wanted = ours([PARIS, TEXTS[1]])
    body = {"instances": [PARIS, {"inputs": TEXTS[1]}]}
    for path in ("/v1/models/classes:predict", "/vertex"):
        assert close(client.answer(path, body)["predictions"], wanted)
    with pipeline("question-answering", served["asked"]) as ours:
        question = {"question": "what is it", "context": PARIS}
        found = client.answer(
            "/v1/models/asked:predict", {"instances": [question], "parameters": {"top_k": 1}}
        )
        assert close(found["predictions"], [ours(question)])
    assert client.post("/vertex", {"instances": []}).status == 400
    assert client.post("/v1/models/nothing:predict", body).status == 404


def test_tritons_client(client: Client, served: dict[str, Path]) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="Triton's client is not installed")
    asking = triton.InferenceServerClient(f"{client.host}:{client.port}")
    assert asking.is_server_live()
    assert asking.is_server_ready()
    assert asking.is_model_ready("vectors")
    assert asking.get_model_metadata("vectors")["outputs"][1]["name"] == "sentence_embedding"
    with pipeline("sentence-embedding", served["vectors"]) as ours:
        for binary in (True, False):
            given = triton.InferInput("text", [2], "BYTES")
            given.set_data_from_numpy(np.array(["a song", "é"], object), binary_data=binary)
            wanted = [triton.InferRequestedOutput("sentence_embedding", binary_data=binary)]
            for outputs in (wanted, None):
                found = asking.infer("vectors", [given], outputs=outputs).as_numpy("sentence_embedding")
                np.testing.assert_allclose(found, ours(["a song", "é"]), atol=1e-5)
    asking.close()
