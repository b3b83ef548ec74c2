"""Under load: who is let in is answered rightly and in time, who is not hears so at once, nobody is lost."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from child_processes import children_of
from held_runtime import Held, held_runtime, until
from running_server import serve_process, serving
from served_folders import write_served_folders
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline
from distilbert.serve.admission import Admission
from distilbert.serve.refusals import Overloaded, TooLarge

GOOD = {"inputs": TEXTS[4]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_served_folders(tmp_path_factory.mktemp("served"), "classes", "tags")


@pytest.fixture
def held(folders: dict[str, Path]) -> Iterator[tuple[Any, Held]]:
    """A server whose models are held up, with room for few."""
    with (
        held_runtime() as runtime,
        serving(folders, max_waiting_tokens=200, deadline=5.0, computing={"streams": 1}) as client,
    ):
        yield client, runtime
        runtime.gate.set()


def admitted(client: Any) -> int:
    return client.app.state.desk.admission.requests


def test_requests_that_come_together_are_computed_together(held: Any) -> None:
    client, runtime = held
    runtime.gate.clear()
    begun = len(runtime.came)
    queue = client.app.state.desk.models.get().main._computer._scheduler
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(client.post, "/", GOOD)
        until(lambda: len(runtime.came) > begun)
        others = [threads.submit(client.post, "/", GOOD) for _ in range(8)]
        until(lambda: queue.waiting_tokens == 8 * 9)
        runtime.gate.set()
        answers = {reply.result().body for reply in [first, *others]}
    assert {reply.result().status for reply in others} == {200}
    assert runtime.took[begun:] == [(1, 9), (8, 9)]
    assert len({round(json.loads(body)[0][0]["score"], 5) for body in answers}) == 1


def test_who_is_not_let_in_hears_it_at_once_and_when_to_come_again(held: Any) -> None:
    client, runtime = held
    runtime.gate.clear()
    many = {"inputs": [TEXTS[4]] * 10}  # of 9 tokens each
    with ThreadPoolExecutor(2) as threads:
        inside = [threads.submit(client.post, "/", many) for _ in range(2)]
        until(lambda: admitted(client) == 2)
        begun = time.monotonic()
        refused = client.post("/", {"inputs": [TEXTS[4]] * 4})
        assert time.monotonic() - begun < 1
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error_type"] == "Overloaded"
        # A whole request is let in or none of it, and one that never could be is told so.
        assert client.post("/", {"inputs": ["long " * 400]}).status == 413
        assert client.get("/health").status == 200
        runtime.gate.set()
        assert [reply.result().status for reply in inside] == [200, 200]
    assert admitted(client) == 0
    assert client.post("/", {"inputs": [TEXTS[4]] * 4}).status == 200


def test_a_request_has_a_deadline_and_what_of_it_waits_is_let_go(held: Any) -> None:
    client, runtime = held
    runtime.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        blocking = threads.submit(client.post, "/", GOOD)
        until(lambda: admitted(client) == 1)
        late = client.post("/", {"inputs": [TEXTS[1]] * 5}, x_request_timeout="0.1")
        assert late.status == 504
        assert "in time" in late.json()["error"]
        assert admitted(client) == 1
        before = len(runtime.took)
        runtime.gate.set()
        assert blocking.result().status == 200
    assert client.post("/", GOOD).status == 200
    assert not [shape for shape in runtime.took[before:] if shape[0] == 5]


def test_who_leaves_frees_the_place(held: Any) -> None:
    client, runtime = held
    runtime.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        blocking = threads.submit(client.post, "/", GOOD)
        until(lambda: admitted(client) == 1)
        body = json.dumps({"inputs": [TEXTS[1]] * 7}).encode()
        with socket.create_connection((client.host, client.port)) as leaving:
            leaving.sendall(
                b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: "
                + str(len(body)).encode() + b"\r\n\r\n" + body
            )  # fmt: skip
            until(lambda: admitted(client) == 2)
        until(lambda: admitted(client) == 1)
        runtime.gate.set()
        assert blocking.result().status == 200
    assert client.post("/", GOOD).status == 200
    assert not [shape for shape in runtime.took if shape[0] == 7]


def test_a_long_request_does_not_hold_up_a_short_one(held: Any) -> None:
    client, runtime = held
    runtime.seconds = 0.05
    client.app.state.desk.admission._most = 100_000
    with ThreadPoolExecutor(1) as threads:
        # Windows of 24 tokens, 21 to a batch of 512: some thirty batches.
        long = threads.submit(client.post, "/", {"inputs": ["film " * 10_000]})
        until(lambda: len(runtime.took) > 3)
        assert client.post("/", GOOD).status == 200
        short = len(runtime.took)
        assert long.result().status == 200
    assert short < 8
    assert len(runtime.took) > 20


def test_an_overload_of_ten_times_loses_nothing_and_mixes_nothing_up(held: Any, folders: Any) -> None:
    client, runtime = held
    runtime.seconds = 0.02
    texts = [*TEXTS[:2], *TEXTS[3:5]]
    with pipeline("text-classification", folders["classes"], top_k=None) as ours:
        wanted = dict(zip(texts, ours(texts), strict=True))
    seen: Counter[int] = Counter()
    ends = time.monotonic() + 2

    def ask(number: int) -> None:
        while time.monotonic() < ends:
            text = texts[number % 4]
            begun = time.monotonic()
            reply = client.post("/", {"inputs": [text] * 8})
            seen[reply.status] += 1
            if reply.status == 200:
                for found in reply.json():
                    assert {one["label"]: one["score"] for one in found} == {
                        one["label"]: pytest.approx(one["score"], abs=1e-5) for one in wanted[text]
                    }
            else:
                assert reply.status == 429
                assert time.monotonic() - begun < 2
                time.sleep(0.01)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, range(16)))
    assert seen.keys() == {200, 429}
    assert seen[200] > 20
    assert admitted(client) == 0
    assert client.app.state.desk.admission.tokens == 0


# The admission by itself.


def admission(**more: Any) -> tuple[Admission, list[float]]:
    now = [0.0]
    return Admission(
        **{"most_tokens": 1000, "most_requests": 10, "deadline": 10.0, "clock": lambda: now[0], **more}
    ), now


def test_waiting_is_estimated_from_the_speed_of_late() -> None:
    inside, now = admission()
    assert inside.speed is None
    with inside.enter(key="", characters=392, texts=1) as place:
        assert place.tokens == 100
        now[0], place.computed = 10.0, 100
    assert inside.speed == 10  # tokens a second: seventy fit in seven tenths of the deadline
    now[0] = 500.0  # what passes while nothing is asked counts for nothing
    with inside.enter(key="", characters=192, texts=1):
        with pytest.raises(Overloaded) as refused:
            inside.enter(key="", characters=192, texts=1)
        assert refused.value.retry_after == 3
        inside.enter(key="", characters=72, texts=1)
    # Who comes alone is always tried, if there is room for it at all.
    assert inside.requests == 1
    with pytest.raises(TooLarge):
        inside.enter(key="", characters=4100, texts=1)


def test_a_key_has_requests_of_its_own() -> None:
    inside, _ = admission(key_requests=1)
    with inside.enter(key="a", characters=10, texts=1):
        with pytest.raises(Overloaded, match="at most 1"):
            inside.enter(key="a", characters=10, texts=1)
        with inside.enter(key="b", characters=10, texts=1):
            assert inside.requests == 2
    with inside.enter(key="a", characters=10, texts=1) as place:
        place.correct(50)
        assert inside.tokens == 50
    assert inside.tokens == 0


# Whole processes.


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "with workers"])
def test_sigterm_under_load_answers_all_that_was_let_in(
    folders: dict[str, Path], workers: tuple[str, ...]
) -> None:
    with serve_process(str(folders["classes"]), f"names={folders['tags']}", *workers) as running:
        client = running.client.until_ready()
        # Without PyTorch, whoever computes.
        computing = children_of(running.process.pid) or {running.process.pid}
        assert len(computing) == (4 if workers else 1)
        for process in computing:
            maps = Path(f"/proc/{process}/maps").read_text()
            assert "onnxruntime" in maps
            assert "libtorch" not in maps
        statuses: list[int] = []
        refused: list[str] = []
        stopping = threading.Event()

        def ask() -> None:
            while not (stopping.is_set() and refused):
                try:
                    statuses.append(client.post("/", {"inputs": [" ".join(TEXTS)] * 40}).status)
                except ConnectionRefusedError:
                    refused.append("refused")
                    return
                except OSError as error:
                    # A connection that the kernel had taken and nobody has read yet.
                    refused.append(type(error).__name__)
                    return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(statuses) > 8)
        stopping.set()
        assert running.stop() == 0
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) > 8
        assert set(refused) <= {"refused", "ConnectionResetError", "RemoteDisconnected"}
        lines = [json.loads(line) for line in running.said if line.startswith("{")]
        assert {line["status"] for line in lines} <= {200, 503}
        assert len(
            [line for line in lines if line["status"] == 200 and line["path"] == "/"]
        ) == statuses.count(200)
        assert not any("lives in new york" in line for line in running.said)


def test_a_worker_that_is_killed_under_load_costs_nobody_more_than_an_error(folders: dict[str, Path]) -> None:
    with serve_process(str(folders["classes"]), "--workers", "2", "--streams", "1") as running:
        client = running.client.until_ready()
        wanted = client.answer("/", GOOD)
        seen: Counter[int] = Counter()
        stopping = threading.Event()

        def ask() -> None:
            while not stopping.is_set():
                reply = client.post("/", {"inputs": [TEXTS[4]] * 20})
                seen[reply.status] += 1
                if reply.status == 200:
                    assert {one["label"]: one["score"] for one in reply.json()[19]} == {
                        one["label"]: pytest.approx(one["score"], abs=1e-5) for one in wanted[0]
                    }
                else:
                    assert reply.status == 424
                    assert reply.json()["error_type"] == "Backend"
                    assert "Traceback" not in reply.json()["error"]

        with ThreadPoolExecutor(6) as threads:
            asking = [threads.submit(ask) for _ in range(6)]
            for killed in range(1, 4):
                answered = seen[200]
                until(lambda answered=answered: seen[200] > answered + 10)
                os.kill(min(children_of(running.process.pid)), signal.SIGKILL)
                until(
                    lambda killed=killed: (
                        f"workers_replaced {killed}.0" in client.get("/metrics").body.decode()
                    )
                )
                until(lambda: "distilbert_workers 2.0" in client.get("/metrics").body.decode())
                assert client.get("/health").status == 200
            stopping.set()
            for thread in asking:
                thread.result(60)
        assert seen.keys() <= {200, 424}
        assert seen[424] <= 3 * 2  # of each, what it computed
        workers = children_of(running.process.pid)
        assert len(workers) == 2
        assert running.stop() == 0
        until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))


def test_a_server_that_is_killed_leaves_nobody_waiting(folders: dict[str, Path]) -> None:
    with serve_process(str(folders["classes"]), "--workers", "1") as running:
        client = running.client.until_ready()
        workers = children_of(running.process.pid)
        told: list[str] = []
        answered: list[int] = []

        def ask() -> None:
            try:
                while True:
                    answered.append(client.post("/", {"inputs": [" ".join(TEXTS)] * 40}).status)
            except (OSError, http.client.HTTPException) as error:
                told.append(type(error).__name__)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(answered) > 8)
        running.process.kill()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert len(told) == 8
        assert set(answered) == {200}
        until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))


def test_a_folder_that_cannot_be_served_ends_the_server_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serve_process(str(tmp_path / "empty")) as running:
        assert running.process.wait(timeout=60) == 2
        time.sleep(0.1)
    assert any("config.json" in line for line in running.said)
    assert not any("Traceback" in line for line in running.said)


def test_ctrl_c_ends_it_as_a_person_expects(folders: dict[str, Path]) -> None:
    with serve_process(str(folders["classes"])) as running:
        running.client.until_ready()
        assert running.stop(signal.SIGINT) == 130
