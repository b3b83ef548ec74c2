"""Models are loaded, swapped and let go while they are asked, and nobody notices."""

import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from held_runtime import held_runtime, until
from running_server import Client, serving
from served_folders import write_served_folders

PARIS = {"inputs": "paris is the capital of france ."}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return write_served_folders(tmp_path, "classes", "entailed", "tags")


def labels(client: Client) -> set[str]:
    return {one["label"] for one in client.answer("/models/mine", PARIS)[0]}


def test_a_model_is_swapped_under_load(folders: dict[str, Path], tmp_path: Path) -> None:
    place = shutil.copytree(folders["classes"], tmp_path / "mine")
    with serving({"mine": place}) as client:
        old, statuses, told, stop = labels(client), Counter[int](), set(), threading.Event()

        def ask() -> None:
            while not stop.is_set():
                reply = client.post("/models/mine", PARIS)
                statuses[reply.status] += 1
                if reply.status == 200:
                    told.add(frozenset(one["label"] for one in reply.json()[0]))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        # What cannot be loaded leaves what there was.
        config = (place / "config.json").read_text()
        (place / "config.json").write_text("{")
        assert client.post("/v2/repository/models/mine/load", {}).status == 424
        assert labels(client) == old
        (place / "config.json").write_text(config)
        shutil.rmtree(place)
        shutil.copytree(folders["entailed"], place)
        assert client.post("/v2/repository/models/mine/load", {}).status == 200
        new = labels(client)
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        assert new != old
        assert told == {frozenset(old), frozenset(new)}
        assert statuses.keys() == {200}
        until(lambda: not any(own.name.startswith("distilbert-close") for own in threading.enumerate()))


def test_it_listens_at_once_and_is_ready_when_it_has_answered(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilbert.serve.served import Served

    gate, warm = threading.Event(), Served.warm

    def waiting(self: Served) -> None:
        gate.wait(30)
        warm(self)

    monkeypatch.setattr(Served, "warm", waiting)
    with serving({"mine": folders["classes"]}, wait=False) as client:
        for path in ("/health", "/ping", "/v2/health/ready", "/v2/models/mine/ready"):
            assert client.get(path).status == 503, path
        assert client.get("/v2/health/live").status == 200
        early = client.post("/", PARIS)
        assert early.status == 503
        assert early.headers["retry-after"] == "1"
        gate.set()
        client.until_ready()
        assert client.post("/", PARIS).status == 200


def test_a_model_that_is_let_go_answers_whom_it_still_serves(folders: dict[str, Path]) -> None:
    places = {"mine": folders["classes"], "tags": folders["tags"]}
    with held_runtime() as runtime, serving(places) as client:
        served = client.app.state.desk.models.get("mine")
        runtime.gate.clear()
        replies: list[int] = []
        asking = threading.Thread(target=lambda: replies.append(client.post("/models/mine", PARIS).status))
        asking.start()
        until(lambda: served._users == 1)
        assert client.post("/v2/repository/models/mine/unload", {}).status == 200
        assert client.post("/models/mine", PARIS).status == 404
        runtime.gate.set()
        asking.join()
        assert replies == [200]
        # The usual model is now the other.
        assert client.post("/", PARIS).status == 200
