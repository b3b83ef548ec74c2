"""A server from its start to its end: it listens, answers, and finishes what it holds before it stops."""

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import uvicorn

from distilbert.errors import ConfigError, DistilBertError
from distilbert.serve.app import application
from distilbert.serve.models import Models
from distilbert.serve.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds of the grace time that are kept for answers on their way.
_LAST = 0.5


def serve(
    places: Mapping[str, str | Path],
    settings: Settings | None = None,
    *,
    task: str | None = None,
    on_listening: Callable[[str], None] = lambda address: None,
    on_ready: Callable[[Models], None] = lambda models: None,
) -> int:
    """Serve models until SIGTERM or SIGINT.

    Args:
        places: folders by the names of their models, or names on a hub.
        settings: the server's.
        task: what the first is asked where nothing is said; None for what it was made for.
        on_listening: is told the address.
        on_ready: is told when all models have answered once.

    Returns:
        The signal that it was stopped by.

    Raises:
        CheckpointError: a folder cannot be read.
        ConfigError: the address cannot be had.
        MissingExtraError: no runtime is installed.
    """
    settings = settings or Settings()
    failures: list[DistilBertError] = []

    def fail(error: DistilBertError) -> None:
        failures.append(error)
        server.should_exit = True

    app = application(places, settings, task=task, on_ready=on_ready, on_failure=fail)
    listening = _listening(settings)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        # Longer than balancers keep theirs: none of them sends into one that is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=ceil(settings.grace),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    _allow_connections()
    server = _Server(config, lambda loop: _end(app, loop.time() + max(_LAST, settings.grace - _LAST)))
    on_listening(_address(listening, settings))
    with listening:
        server.run(sockets=[listening])
    if failures:
        raise failures[0]
    return server.stopped_by


class _Server(uvicorn.Server):
    """One that ends by itself when it is told to, and does not raise the signal again."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self.stopped_by = 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._stop, number, loop)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _stop(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        if self.stopped_by:
            self.force_exit = number == signal.SIGINT  # told twice by a person
            return
        logger.info("stopping: what was let in is answered first")
        self.stopped_by = number
        self.should_exit = True
        self._on_stop(loop)


def _allow_connections() -> None:
    """Have as many open files as the system allows: a connection is one, and a process begins with few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:
        logger.warning("no more files may be open than there are: %s", error)


def _end(app: object, at: float) -> None:
    app.state.desk.ends = at  # type: ignore[attr-defined]  # FastAPI's, which names none of its state


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            "A server must have an address that it can listen at.",
            received=f"{settings.host} port {settings.port}: {error.strerror or error}",
            remedy="Choose another --port, or 0 for any that is free.",
        ) from None


def _address(listening: socket.socket, settings: Settings) -> str:
    host, port, *_ = listening.getsockname()
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
