"""SageMaker's routes: JSON as its toolkit answers it, lines and tables for batches, models by name."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import close
from running_server import Client, serving
from served_folders import write_served_folders
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline

PARIS = TEXTS[4]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Client, dict[str, Path]]]:
    folders = write_served_folders(tmp_path, "classes", "tags")
    with serving({"classes": folders["classes"]}) as client:
        yield client, folders


def test_invocations_are_answered_as_the_toolkit_does(client: Client, served: dict[str, Path]) -> None:
    with pipeline("text-classification", served["classes"]) as ours:
        for inputs in (PARIS, [PARIS, TEXTS[1]]):
            assert close(client.answer("/invocations", {"inputs": inputs}), ours(inputs))
        body = {"inputs": PARIS, "parameters": {"top_k": 2}}
        assert close(client.answer("/invocations", body), ours(PARIS, top_k=2))
    with pipeline("ner", served["tags"]) as ours:
        assert close(client.answer("/models/tags/invoke", {"inputs": PARIS}), ours(PARIS))
    assert client.get("/ping").body == b""
    reply = client.post("/invocations", {"inputs": PARIS}, x_amzn_sagemaker_custom_attributes="trace=1")
    assert reply.headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"


def test_lines_and_tables(client: Client, served: dict[str, Path]) -> None:
    texts = [PARIS, "no, it is bad"]
    with pipeline("text-classification", served["classes"]) as ours:
        wanted = ours(texts)
        pair = ours({"text": PARIS, "text_pair": "no"})
    for lines in (texts, [{"inputs": text} for text in texts]):
        body = "\n".join(map(json.dumps, lines)).encode() + b"\n"
        reply = client.post("/invocations", body, content_type="application/jsonlines")
        assert reply.headers["content-type"].startswith("application/jsonlines")
        assert close([json.loads(line) for line in reply.body.splitlines()], wanted)
    table = b'"paris is the capital of france ."\n"no, it is bad"\n'
    reply = client.post("/invocations", table, content_type="text/csv", accept="application/json")
    assert close(reply.json(), wanted)
    told = client.post("/invocations", table, content_type="text/csv").body.decode().splitlines()
    assert [line.split(",")[0] for line in told] == [one["label"] for one in wanted]
    reply = client.post(
        "/invocations", f"{PARIS},no\n".encode(), content_type="text/csv", accept="application/json"
    )
    assert close(reply.json(), [pair])
    for body, kind, status in (
        (b"a,b,c\n", "text/csv", 422), (b"\xff\n", "text/csv", 400), (b"{\n", "application/jsonlines", 400),
        (b"", "text/csv", 400), (b"<a/>", "application/xml", 415),
    ):  # fmt: skip
        assert client.post("/invocations", body, content_type=kind).status == status, body


def test_models_come_and_go(own: tuple[Client, dict[str, Path]]) -> None:
    client, folders = own
    place = {"model_name": "names", "url": str(folders["tags"])}
    assert client.post("/models", place).status == 200
    assert client.post("/models", place).status == 409
    listed = client.get("/models").json()["models"]
    assert [one["modelName"] for one in listed] == ["classes", "names"]
    assert client.get("/models/names").json()["modelUrl"] == str(folders["tags"])
    assert client.post("/models/names/invoke", {"inputs": PARIS}).status == 200
    broken = client.post("/models", {"model_name": "none", "url": str(folders["tags"].parent / "none")})
    assert broken.status == 424
    assert str(folders["tags"].parent) not in broken.body.decode()
    assert client("DELETE", "/models/names").status == 200
    assert client("DELETE", "/models/names").status == 404
    assert client.get("/models/names").status == 404
    assert client.post("/models/names/invoke", {"inputs": PARIS}).status == 404
    assert client.post("/invocations", {"inputs": PARIS}).status == 200
