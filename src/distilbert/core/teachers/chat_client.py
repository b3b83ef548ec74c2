"""Requests of the OpenAI chat protocol: bounded, repeated where that helps, with a key that stays unseen."""

import json
import re
import threading
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from distilbert.core.teachers.purse import Purse
from distilbert.core.teachers.replies import Reply
from distilbert.errors import ConfigError

#: Bytes of a reply: an answer of one word with twenty tokens' log-probabilities has some 4 kB.
MAX_REPLY = 2**20

#: Seconds that a server may ask to wait for; one that wants more has had enough for now.
LONGEST_WAIT = 120.0

#: What a server says when another try may help.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

#: What it says of every request, so that no other need be tried.
_LASTING = frozenset({401, 402, 403, 404, 405})

_PATH = "/chat/completions"
_KEY = re.compile(r"[\x21-\x7e]+")


class NoAnswerError(Exception):
    """A request that came to nothing, and why.

    Attributes:
        lasting: every other one would come to nothing too.
        stopped: it was given up because nothing more may be asked.
    """

    def __init__(self, reason: str, *, lasting: bool = False, stopped: bool = False) -> None:
        super().__init__(reason)
        self.lasting, self.stopped = lasting, stopped


class ChatClient:
    """Sends requests to one address; several threads may use it.

    Args:
        address: of the protocol's root, such as ``https://host/v1``.
        key: sent as a bearer token; it is in no message.
        timeout: seconds of one try.
        tries: of one request.
        first_wait: seconds before the second try; each further wait is twice as long, unless the server says.

    Raises:
        ConfigError: an address that is none, or over which a key would travel unprotected.
    """

    def __init__(
        self, address: str, *, key: str | None, timeout: float, tries: int, first_wait: float
    ) -> None:
        parts = _parts(address)
        self.local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if key is not None and not _KEY.fullmatch(key):
            raise ConfigError(
                "A key must be one word of plain characters.",
                received="another one (it is not shown)",
                remedy="Check the environment variable.",
            )
        if key is not None and parts.scheme != "https" and not self.local:
            raise ConfigError(
                "A key travels over https, or stays on this machine.",
                received=f"a key for {parts.scheme}://{parts.netloc}",
                remedy="Give an https:// address, or no key.",
            )
        self.address = _endpoint(parts)
        self._key, self._timeout, self._tries, self._first_wait = key, timeout, tries, first_wait
        self._opener = _opener(local=self.local)
        #: Set to give up whatever waits.
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0

    def ask(self, body: bytes, purse: Purse, most: tuple[int, int]) -> Reply:
        """The reply to one request, which ``purse`` has admitted for at most so many tokens.

        Raises:
            NoAnswerError: there is none, after all tries.
        """
        wait = self._first_wait
        for left in range(self._tries - 1, -1, -1):
            self._pause()
            told, unreachable = None, False
            try:
                return self._once(body)
            except HTTPError as error:
                told, reason = _told_wait(error.headers), self._said(error)
                if error.code not in _PASSING:
                    raise NoAnswerError(
                        reason, lasting=error.code in _LASTING or 300 <= error.code < 400
                    ) from None
            except URLError as error:
                reason, unreachable = f"no connection: {str(error.reason)[:200]}", True
            except (OSError, HTTPException) as error:
                # Whoever breaks off or says nothing may still have done the work.
                purse.lose(*most)
                reason = f"{type(error).__name__}: {str(error)[:200]}"
            except ValueError as error:
                purse.lose(*most)
                raise NoAnswerError(f"a reply that cannot be read ({error})") from None
            if told is not None and told > LONGEST_WAIT:
                raise NoAnswerError(f"{reason}; it asks to wait {told:.0f} s", lasting=True)
            if not left:
                raise NoAnswerError(f"{reason}, {self._tries} times", lasting=unreachable)
            self._put_off(wait if told is None else told)
            wait *= 2
            if not purse.admit_again():
                raise NoAnswerError(reason, stopped=True)
        raise AssertionError("the last try returns or raises")

    def _once(self, body: bytes) -> Reply:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        ends = time.monotonic() + self._timeout
        request = Request(self.address, data=body, headers=headers, method="POST")
        with self._opener.open(request, timeout=self._timeout) as response:
            content = b""
            while chunk := response.read1(2**16):
                content += chunk
                if len(content) > MAX_REPLY:
                    raise ValueError(f"more than {MAX_REPLY} bytes")
                if time.monotonic() > ends:
                    raise TimeoutError(f"no whole reply within {self._timeout:g} s")
            if getattr(response, "length", None):
                raise ConnectionError("the reply broke off")
        try:
            reply = Reply.of_protocol(json.loads(content))
        except RecursionError:
            raise ValueError("lists in lists without end") from None
        if reply is None:
            raise ValueError("no chat completion")
        return reply

    def _said(self, error: HTTPError) -> str:
        """A server's refusal in its own words, as far as they are short, and without the key."""
        try:
            content = error.read(4096).decode(errors="replace")
        except (OSError, HTTPException):
            content = ""
        if self._key is not None:
            content = content.replace(self._key, "…")
        words = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.){1,300})', content)
        said = words[1] if words else " ".join(content.split())[:120]
        return f"status {error.code}" + (f", {said}" if said else "")

    def _put_off(self, seconds: float) -> None:
        """Whoever asks next waits so long: a server that is busy is busy for all."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _pause(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            if self.stopping.wait(left):
                break
        if self.stopping.is_set():
            raise NoAnswerError("it was given up", stopped=True)


class _NoRedirect(HTTPRedirectHandler):
    """A key is for the address that was named, and for no other."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


def _opener(*, local: bool) -> OpenerDirector:
    # What is on this machine is not reached through a proxy.
    return build_opener(_NoRedirect, *([ProxyHandler({})] if local else []))


def _parts(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\x00-\x20\x7f-\U0010ffff]", address):
        raise ConfigError(
            "A server's address must be an http:// or https:// one.",
            received=f"{address!r:.120}",
            remedy="Give the root of its protocol, such as https://host/v1.",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "A server's address must hold no password.",
            received=f"one with a password for {parts.hostname}",
            remedy="Put the key into an environment variable, and name that: --key-variable NAME",
        )
    return parts


def _endpoint(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path.removesuffix(_PATH) + _PATH, parts.query, ""))


def _told_wait(headers: Any) -> float | None:
    """Seconds that a server asks to wait (RFC 9110, 10.2.3): a number of them, or a date."""
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,3})?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
