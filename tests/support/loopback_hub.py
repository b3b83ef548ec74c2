"""A small hub on loopback: as much of the published protocol as the client needs to read and to write."""

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits, newest last, and the branches that point to them."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(
        self, files: Files, branch: str = "main", message: str = "", *, without: Collection[str] = ()
    ) -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        after = {**{name: content for name, content in before.items() if name not in without}, **files}
        content = repr((len(self.commits), sorted(after.items()))).encode()
        sha = hashlib.sha1(content).hexdigest()
        self.commits[sha] = after
        self.branches[branch] = sha
        self.messages.append(message)
        return sha


@dataclass
class Hub:
    """What the server holds, and what it was asked for."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    token: str = "hf_a_token_that_is_good"
    user: str = "somebody"
    address: str = ""
    #: Every request, as method and path.
    log: list[tuple[str, str]] = field(default_factory=list)
    #: Bytes after which a file's transfer is cut, by its name.
    cut_after: dict[str, int] = field(default_factory=dict)
    #: A status for every answer, as of a hub that is broken.
    broken: int | None = None
    #: Answers wait for this before they come, as of a hub that hangs.
    hangs: threading.Event | None = None

    def add(self, name: str, files: Files, *, branch: str = "main", **properties: bool) -> str:
        repository = self.repositories.setdefault(name, Repository(**properties))
        return repository.commit(files, branch)

    def files(self, name: str, revision: str = "main") -> Files:
        repository = self.repositories[name]
        return repository.commits[repository.branches.get(revision, revision)]

    @property
    def elsewhere(self) -> str:
        """The same server by another name."""
        return self.address.replace("127.0.0.1", "localhost")

    @property
    def fetched(self) -> list[str]:
        """The files whose content was asked for, sorted."""
        found = [
            re.search(r"/(?:resolve|elsewhere)/[^/]+/(.*)", path)
            for method, path in self.log
            if method == "GET"
        ]
        return sorted(match[1] for match in found if match)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: Any) -> None:
        """Nothing on standard error: the tests read ``hub.log``."""

    def do_GET(self) -> None:
        with suppress(ConnectionError):  # a client may have gone
            self._serve()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _serve(self) -> None:
        hub = self.hub
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        url = urlsplit(self.path)
        path, self.query = unquote(url.path), parse_qs(url.query)
        hub.log.append((self.command, path))
        if hub.hangs:
            hub.hangs.wait(30)
        if hub.broken:
            return self._answer(hub.broken, {"error": "broken"})
        if path == "/api/repos/create":
            return self._create(json.loads(self.body))
        for pattern, serve in self._routes():
            if match := re.fullmatch(pattern, path):
                return serve(*match.groups())
        return self._answer(404, {"error": "no such address"})

    def _routes(self) -> list[tuple[str, Any]]:
        name, owned = r"((?:[^/]+/)?[^/]+)", "[^/]+/[^/]+"
        return [
            (rf"/api/models/{name}/revision/(.+)", self._info),
            (rf"/api/models/{name}/tree/(.+)", self._tree),
            (rf"/api/models/{name}/preupload/(.+)", self._preupload),
            (rf"/api/models/{name}/commit/(.+)", self._commit),
            (rf"/api/models/{name}/branch/(.+)", self._branch),
            (rf"/api/models/{name}", self._info),
            (rf"/api/(datasets/{owned})/revision/(.+)", self._info),
            (rf"/api/(datasets/{owned})/tree/(.+)", self._tree),
            (rf"/(datasets/{owned})/resolve/(refs/convert/parquet)/(.+)", self._resolve),
            (rf"/{name}/resolve/([^/]+)/(.+)", self._resolve),
            (r"/elsewhere/([0-9a-f]+)/(.+)", self._elsewhere),
        ]

    def _allowed(self, name: str, *, reading_files: bool = False) -> Repository | None:
        repository = self.hub.repositories.get(name)
        trusted = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if repository is None:
            # Without a token nobody is told whether there is such a repository.
            self._refuse(404 if trusted else 401, "RepoNotFound")
        elif repository.private and not trusted:
            self._refuse(401, "RepoNotFound")
        elif repository.gated and reading_files and not trusted:
            self._refuse(403, "GatedRepo")
        else:
            return repository
        return None

    def _info(self, name: str, revision: str = "main") -> None:
        if (repository := self._allowed(name)) is None:
            return None
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            return self._refuse(404, "RevisionNotFound")
        siblings = [{"rfilename": file} for file in sorted(repository.commits[sha])]
        self._answer(200, {"id": name, "modelId": name, "sha": sha, "private": repository.private,
                           "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})  # fmt: skip
        return None

    def _tree(self, name: str, revision: str) -> None:
        if repository := self._allowed(name):
            if revision not in (*repository.branches, *repository.commits):
                return self._refuse(404, "RevisionNotFound")
            files = repository.commits[repository.branches.get(revision, revision)]
            listed = [{"type": "file", "path": p, "size": len(c), "oid": "0"} for p, c in files.items()]
            self._answer(200, listed)
        return None

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if (repository := self._allowed(name, reading_files=True)) is None:
            return None
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            return self._refuse(404, "RevisionNotFound")
        content = repository.commits[sha].get(file)
        if content is None:
            return self._refuse(404, "EntryNotFound")
        etag = hashlib.sha256(content).hexdigest()
        if file.endswith((".safetensors", ".bin")) and self.command == "HEAD":
            # Large files lie with another host; what is about them is said here.
            self._answer(302, b"", {"X-Repo-Commit": sha, "X-Linked-Etag": f'"{etag}"',
                                    "X-Linked-Size": str(len(content)),
                                    "Location": f"{self.hub.elsewhere}/elsewhere/{sha}/{file}"})  # fmt: skip
            return None
        self._send_file(content, {"X-Repo-Commit": sha, "ETag": f'"{etag}"'}, cut=file)
        return None

    def _elsewhere(self, sha: str, file: str) -> None:
        for repository in self.hub.repositories.values():
            if content := repository.commits.get(sha, {}).get(file):
                etag = hashlib.sha256(content).hexdigest()
                return self._send_file(content, {"ETag": f'"{etag}"'}, cut=file)
        return self._answer(404, {"error": "no such file"})

    def _send_file(self, content: bytes, headers: dict[str, str], *, cut: str) -> None:
        start = 0
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(wanted[1])
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self._answer(206 if start else 200, content[start:], headers, most=self.hub.cut_after.get(cut))

    def _create(self, asked: dict[str, Any]) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._refuse(401, "")
        name = f"{asked.get('organization') or self.hub.user}/{asked['name']}"
        address = {"url": f"{self.hub.address}/{name}", "name": name}
        if name in self.hub.repositories:
            return self._answer(409, {"error": "You already created this model repo", **address})
        repository = self.hub.repositories[name] = Repository()
        # Two generations of the client say it in two ways.
        repository.private = bool(asked.get("private")) or asked.get("visibility") == "private"
        repository.commit({".gitattributes": b""})
        return self._answer(200, address)

    def _preupload(self, name: str, revision: str) -> None:
        if self._allowed(name):
            files = json.loads(self.body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            self._answer(200, {"files": modes})

    def _commit(self, name: str, revision: str) -> None:
        if (repository := self._allowed(name)) is None:
            return None
        lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        message = next(line["value"]["summary"] for line in lines if line["key"] == "header")
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines if line["key"] == "file"
        }  # fmt: skip
        gone = [line["value"]["path"] for line in lines if line["key"] == "deletedFile"]
        if revision not in repository.branches:
            return self._refuse(404, "RevisionNotFound")
        proposal = self.query.get("create_pr") == ["1"]
        if proposal:
            repository.branches["refs/pr/1"] = repository.branches[revision]
        sha = repository.commit(files, "refs/pr/1" if proposal else revision, message, without=gone)
        answer = {"success": True, "commitOid": sha, "commitUrl": f"{self.hub.address}/{name}/commit/{sha}"}
        if proposal:
            answer["pullRequestUrl"] = f"{self.hub.address}/{name}/discussions/1"
        self._answer(200, answer)
        return None

    def _branch(self, name: str, branch: str) -> None:
        if repository := self._allowed(name):
            if branch in repository.branches:
                return self._answer(409, {"error": "it is there"})
            repository.branches[branch] = repository.branches["main"]
            self._answer(200, {})
        return None

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def _answer(
        self, status: int, content: Any, headers: dict[str, str] | None = None, *, most: int | None = None
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:most])
            if most is not None and most < len(body):
                self.close_connection = True


@contextmanager
def loopback_hub() -> Iterator[Hub]:
    """A hub that listens on a free port of this machine until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        if hub.hangs:
            hub.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def clients_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on loopback that the client of this process takes for its own, with this cache."""
    # Each of these keeps the address that there is when it is imported.
    from huggingface_hub import constants, file_download, hf_api  # noqa: F401

    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("HF_", "HUGGING")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")
    with loopback_hub() as hub:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        point_to(hub.address, monkeypatch)
        go_online(monkeypatch, online=True)
        try:
            yield hub
        finally:
            monkeypatch.undo()
            _renew_sessions()


def point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the client's hub, as ``HF_ENDPOINT`` does for a process that starts."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address)


def go_online(monkeypatch: pytest.MonkeyPatch, *, online: bool) -> None:
    """Let the client ask, or keep it from asking, as ``HF_HUB_OFFLINE`` does."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", not online)
    _renew_sessions()


def _renew_sessions() -> None:
    # Sessions remember whether they may go online; the two generations of the client renew them by two names.
    from huggingface_hub.utils import _http

    (getattr(_http, "reset_sessions", None) or _http.close_session)()
