"""What a server is told, each field with its rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.engine.long_texts import ON_LONG
from distilbert.errors import ConfigError

#: Names of this machine alone.
LOOPBACK = ("127.0.0.1", "::1", "localhost")

_count = rules.integer(1)
_seconds = rules.number(0.001, 86_400)

_RULES = {
    "host": rules.text,
    "port": rules.integer(0, 65_535),
    "keys": rules.names,
    "key_requests": rules.optional(_count),
    "max_waiting_tokens": _count,
    "max_requests": _count,
    "max_texts": _count,
    "max_body": _count,
    "max_depth": rules.integer(4, 512),
    "deadline": _seconds,
    "grace": _seconds,
    "on_long": rules.one_of(ON_LONG),
    "log_texts": rules.flag,
}


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        host: where it listens; by default this machine alone.
        port: 0 for any that is free.
        keys: one of them must come with each request; none asks for none.
        key_requests: that may be under way at once for each key; None for any number.
        max_waiting_tokens: of all requests that were let in and are not answered.
        max_requests: that may be under way at once.
        max_texts: of one request.
        max_body: of one request, in bytes.
        max_depth: of JSON, in brackets within brackets.
        deadline: of a request, in seconds; it may ask for less.
        grace: seconds in which all that was let in is answered, once the server is told to stop.
        on_long: what becomes of a text that is longer than the model reads, as ``Engine``.
        tls_certificate, tls_key: files with which it speaks TLS; none speaks plain HTTP.
        predict_route, health_route: of Vertex AI, beside the usual ones.
        log_texts: what is asked stands in the log.
        computing: ``runtime``, ``streams``, ``threads``, ``budget`` and ``workers``, as ``Computer``.

    Raises:
        ConfigError: a value that cannot be.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    keys: tuple[str, ...] = field(default=(), repr=False)
    key_requests: int | None = None
    max_waiting_tokens: int = 65_536
    max_requests: int = 512
    max_texts: int = 256
    max_body: int = 2_000_000
    max_depth: int = 32
    deadline: float = 30.0
    grace: float = 25.0
    on_long: str = "window"
    tls_certificate: str | None = None
    tls_key: str | None = None
    predict_route: str | None = None
    health_route: str | None = None
    log_texts: bool = False
    computing: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            rule(name, getattr(self, name))
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError(
                "TLS needs a certificate and its key.",
                received="a certificate alone" if self.tls_certificate else "a key alone",
                remedy="Name both files, or none.",
            )
        for name in ("predict_route", "health_route"):
            route = getattr(self, name)
            if route is not None and not route.startswith("/"):
                raise ConfigError(
                    "A route begins with a slash.", received=f"{name}={route!r:.60}", remedy="Write it so."
                )
        for name in ("tls_certificate", "tls_key"):
            place = getattr(self, name)
            if place is not None and not Path(place).is_file():
                raise ConfigError(
                    "TLS needs files that are there.", received=f"{name}={place!r}", remedy="Name others."
                )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Settings":
        """From what was said; None is what was not."""
        known = {own.name for own in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known and value is not None})

    @property
    def is_public(self) -> bool:
        """Whether other machines are heard."""
        return self.host not in LOOPBACK
