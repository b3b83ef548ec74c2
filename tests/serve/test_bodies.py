"""Bodies that are too large, too deep, of another type, slow, or no JSON: refused; others are served."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from running_server import Client, serving
from served_folders import write_served_folders

from distilbert.serve.bodies import refuse_deep
from distilbert.serve.refusals import Malformed

GOOD = {"inputs": "it is bad"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folders = write_served_folders(tmp_path_factory.mktemp("served"), "classes")
    with serving(folders, max_body=10_000, deadline=1.0, grace=1.0) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 400),
        (b'{"inputs": "\xff\xfe"}', "application/json", 400),
        (b'{"inputs": "\\ud800"}', "application/json", 400),
        (b'{"inputs": NaN}', "application/json", 400),
        (b"null", "application/json", 422),
        (b"[" * 5000, "application/json", 400),
        (b'{"inputs": ' + b"[" * 40 + b"]" * 40 + b"}", "application/json", 400),
        (b'{"inputs": "' + b"a" * 10_000 + b'"}', "application/json", 413),
        (json.dumps(GOOD).encode(), "text/plain", 415),
        (json.dumps(GOOD).encode(), "application/x-www-form-urlencoded", 415),
        (json.dumps(GOOD).encode(), "application/json; charset=utf-8", 200),
        (b'{"inputs": "\\u0000 \\" [[[[[ it is bad"}', "application/json", 200),
    ],
)
def test_bodies_are_read_within_limits(body: bytes, kind: str, status: int, client: Client) -> None:
    reply = client.post("/", body, content_type=kind)
    assert reply.status == status, reply.body
    if status != 200:
        assert reply.json()["error"]
    assert client.post("/", GOOD).status == 200


def test_brackets_in_texts_mean_nothing() -> None:
    refuse_deep(json.dumps({"inputs": "[" * 100 + '"' + "{" * 100}).encode(), 5)
    with pytest.raises(Malformed, match="brackets"):
        refuse_deep(b'{"a": [[[[[1]]]]]}', 5)
    refuse_deep(b'{"a": [[[[1]]]]}', 5)


def test_routes_that_are_not_there_are_told(client: Client) -> None:
    assert client.get("/nothing").status == 404
    assert client.get("/nothing").json()["error_type"] == "NotFound"
    assert client.get("/pipeline/ner").status == 405


def test_a_body_that_does_not_come_is_not_waited_for(client: Client) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as slow:
        slow.sendall(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{"
        )
        # Nobody waits behind it.
        assert client.post("/", GOOD).status == 200
        begun = time.monotonic()
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begun < 5


def test_connections_that_say_nothing_stop_nobody(client: Client) -> None:
    silent = [socket.create_connection((client.host, client.port)) for _ in range(50)]
    try:
        for one in silent[::2]:
            one.sendall(b"POST / HTTP/1.1\r\nhost: a\r\n")
        assert client.post("/", GOOD).status == 200
    finally:
        for one in silent:
            one.close()
    assert client.post("/", GOOD).status == 200


def test_what_is_no_http_is_refused(client: Client) -> None:
    with socket.create_connection((client.host, client.port), timeout=10) as other:
        other.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert other.recv(100)[:12] in (b"HTTP/1.1 400", b"")
    assert client.post("/", GOOD).status == 200


def test_requests_have_numbers(client: Client) -> None:
    assert client.post("/", GOOD, x_request_id="mine-1").headers["x-request-id"] == "mine-1"
    other = client.post("/", GOOD, x_request_id="a\tb" + "c" * 200).headers["x-request-id"]
    assert len(other) == 32
    assert other != client.post("/", GOOD).headers["x-request-id"]
    assert client.get("/nothing").headers["x-request-id"]


@pytest.mark.parametrize("seconds", ["soon", "-1", "0", "nan"])
def test_a_deadline_is_a_number_of_seconds(seconds: str, client: Client) -> None:
    reply = client.post("/", GOOD, x_request_timeout=seconds)
    assert reply.status == 422
    assert "number of seconds" in reply.json()["error"]
