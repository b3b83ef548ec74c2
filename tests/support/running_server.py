"""A server that runs while a test does, and a client that knows nothing of it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Seconds in which a server on a busy machine is ready.
PATIENCE = 60


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks to a server at an address."""

    host: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = PATIENCE

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        given = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            given.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self("POST", path, body, **headers)

    def get(self, path: str, **headers: str) -> Reply:
        return self("GET", path, **headers)

    def answer(self, path: str, body: Any, **headers: str) -> Any:
        reply = self.post(path, body, **headers)
        assert reply.status == 200, (reply.status, reply.body)
        return reply.json()

    def until_ready(self) -> "Client":
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            try:
                if self.get("/health").status == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        raise TimeoutError("the server did not get ready")


@contextmanager
def serving(places: dict[str, Path], *, wait: bool = True, **settings: Any) -> Iterator[Client]:
    """A server in a thread of this process."""
    import uvicorn

    from distilbert.serve.app import application
    from distilbert.serve.settings import Settings

    app = application(places, Settings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = Client("127.0.0.1", port)
        client.app = app  # type: ignore[attr-defined]  # for tests that look inside
        yield client.until_ready() if wait else client
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Process:
    """``distilbert serve`` in a process of its own."""

    process: subprocess.Popen[str]
    client: Client
    said: list[str]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def serve_process(*words: str, **environment: str) -> Iterator[Process]:
    """The command, at a port that is free."""
    process = subprocess.Popen(
        [sys.executable, "-m", "distilbert", "serve", *words, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    said: list[str] = []
    listening = threading.Event()

    def read() -> None:
        for line in process.stderr or ():
            said.append(line)
            if line.startswith("Listening at "):
                listening.set()
        listening.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert listening.wait(PATIENCE)
        address = next((line.split()[-1] for line in said if line.startswith("Listening")), None)
        assert address, "".join(said)
        host, _, port = address.rpartition("//")[2].rpartition(":")
        yield Process(process, Client(host, int(port)), said)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
