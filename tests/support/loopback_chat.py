"""A small server of the chat protocol on loopback, which answers by a text's words, and can misbehave."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

from small_files import SUBJECTS

#: What is answered in place of a good reply: a status with its headers, or raw bytes under status 200.
Trouble = tuple[int, dict[str, str]] | bytes | None


def subject(text: str) -> str:
    """The subject most of whose words a text has."""
    return max(SUBJECTS, key=lambda name: sum(word in SUBJECTS[name] for word in text.split()))


def completion(content: str | None, top: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    """A chat completion; ``top`` are the probabilities of its first token."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": content}}
    if top is not None:
        tokens = [{"token": token, "logprob": log(p), "bytes": None} for token, p in top.items()]
        choice["logprobs"] = {"content": [{**tokens[0], "top_logprobs": tokens}]}
    usage = {"prompt_tokens": 50, "completion_tokens": 1, "total_tokens": 51}
    return {"object": "chat.completion", "choices": [choice], "usage": usage, **more}


@dataclass
class Chat:
    """What the server was asked, and how it answers."""

    address: str = ""
    #: Bodies of all requests, with the headers as ``headers``.
    asked: list[dict[str, Any]] = field(default_factory=list)
    #: When each came.
    times: list[float] = field(default_factory=list)
    #: What comes in place of a reply, by the request's number and text.
    trouble: Callable[[int, str], Trouble] = lambda number, text: None
    #: The reply to a text and its classes by letter.
    reply: Callable[[str, dict[str, str]], dict[str, Any]] | None = None
    #: Seconds before each reply.
    delay: float = 0.0
    under_way: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def texts(self) -> list[str]:
        return [text_of(body) for body in self.asked]


def text_of(body: dict[str, Any]) -> str:
    return re.search(r"Text:\n(.*?)\n\nAnswer", body["messages"][0]["content"], re.DOTALL)[1]


def usual_reply(text: str, classes: dict[str, str]) -> dict[str, Any]:
    """The letter of the text's subject, with 0.8 for it, 0.15 for the next in turn, and a tenth of that."""
    letters = list(classes)
    at = list(classes.values()).index(subject(text))
    best, second = letters[at], letters[(at + 1) % len(letters)]
    return completion(best, {best: 0.6, f" {best}": 0.2, second: 0.15, "The": 0.05})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chat: Chat

    def do_POST(self) -> None:
        chat = self.chat
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with chat.lock:
            number = len(chat.asked)
            chat.asked.append({**body, "headers": dict(self.headers), "path": self.path})
            chat.times.append(time.monotonic())
            chat.under_way += 1
            chat.most_at_once = max(chat.most_at_once, chat.under_way)
        try:
            time.sleep(chat.delay)
            text = text_of(body)
            trouble = chat.trouble(number, text)
            if isinstance(trouble, tuple):
                status, headers = trouble
                self._send(status, json.dumps({"error": {"message": headers.pop("said", "no")}}), headers)
            elif trouble is not None:
                self._send(200, trouble, {})
            else:
                question = body["messages"][0]["content"]
                classes = dict(re.findall(r"^([A-Z]|\d+)\. (.+)$", question, re.MULTILINE))
                self._send(200, json.dumps((chat.reply or usual_reply)(text, classes)), {})
        finally:
            with chat.lock:
                chat.under_way -= 1

    def _send(self, status: int, content: str | bytes, headers: dict[str, str]) -> None:
        content = content.encode() if isinstance(content, str) else content
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def chat_server(chat: Chat | None = None) -> Iterator[Chat]:
    """A server that runs until the block ends."""
    chat = chat or Chat()
    handler = type("Handler", (_Handler,), {"chat": chat})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    chat.address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
