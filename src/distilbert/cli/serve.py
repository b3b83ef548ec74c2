"""Serve trained folders over HTTP, to the clients that people have.

Each folder is a model under its name, or under the one that is given; the first answers where none is said.
The server answers this machine alone unless --host says otherwise, and is ready when /health says so.

  distilbert serve classifier/
  distilbert serve classifier/ names=tagger/ --port 8080
  curl 127.0.0.1:8080 -H 'content-type: application/json' -d '{"inputs": "I like it."}'
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from distilbert.cli.display import Display
from distilbert.errors import ConfigError

if TYPE_CHECKING:
    from distilbert.serve.models import Models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="*",
        metavar="[NAME=]MODEL",
        help="a folder, or its name on a hub; several serve several; none takes what the environment names",
    )
    parser.add_argument("--task", help="what the first model is asked where nothing is said")
    address = parser.add_argument_group("address")
    address.add_argument("--host", help="where to listen (127.0.0.1: this machine alone)")
    address.add_argument("--port", type=int, help="0 for any that is free (8080)")
    address.add_argument("--tls-certificate", metavar="FILE", help="speak TLS, with this certificate")
    address.add_argument("--tls-key", metavar="FILE", help="and its key")
    keys = parser.add_argument_group("keys")
    keys.add_argument("--key-file", metavar="FILE", help="a key a line; one must come with each request")
    keys.add_argument("--key-requests", type=int, metavar="N", help="requests under way for each key")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-waiting-tokens", type=int, metavar="N", help="of requests let in and not answered (65536)"
    )
    limits.add_argument("--max-requests", type=int, metavar="N", help="under way at once (512)")
    limits.add_argument("--max-texts", type=int, metavar="N", help="of a request (256)")
    limits.add_argument("--max-body", type=int, metavar="BYTES", help="of a request (2000000)")
    limits.add_argument("--deadline", type=float, metavar="SECONDS", help="of a request (30)")
    limits.add_argument("--grace", type=float, metavar="SECONDS", help="to finish, once told to stop (25)")
    group = parser.add_argument_group("computing")
    group.add_argument("--on-long", choices=("window", "truncate", "error"), help="long texts (window)")
    group.add_argument(
        "--runtime", choices=("auto", "onnx", "openvino", "torch"), help="what computes (auto)"
    )
    group.add_argument("--streams", type=int, help="batches at once (one for each core)")
    group.add_argument("--threads", type=int, help="that share a batch")
    group.add_argument(
        "--workers", type=int, metavar="N", help="processes that compute each model (none but the server's)"
    )
    parser.add_argument("--log-texts", action="store_true", default=None, help="log what is asked, too")


def needs_framework(args: argparse.Namespace) -> bool:
    return False


def run(args: argparse.Namespace, display: Display) -> int:
    import signal

    try:
        from distilbert.serve.environment import told_by
        from distilbert.serve.run import serve
        from distilbert.serve.settings import Settings
    except ImportError as error:
        from distilbert.errors import MissingExtraError

        raise MissingExtraError.of("serve", wanted="A server", missing=error.name or "fastapi") from None

    told = told_by(os.environ)
    places = _places(args.models) or dict(told.places)
    if not places:
        raise ConfigError(
            "A server must have a model.", received="none", remedy="Name a folder, or set HF_MODEL_ID."
        )
    names = ("runtime", "streams", "threads", "workers")
    computing = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    said = {name: value for name, value in vars(args).items() if value is not None}
    if args.key_file is not None:
        said["keys"] = _keys(args.key_file)
    settings = Settings.of({**told.settings, **said, "computing": computing})
    if settings.is_public and not settings.keys:
        display.say(f"Whoever reaches {settings.host} may ask: there is no --key-file.")

    def ready(models: "Models") -> None:
        told = ", ".join(f"{served.name} ({served.tasks[0]})" for served in models.loaded)
        display.say(f"Ready: {told}.")

    with nullcontext() if args.quiet else _told_on_stderr():
        stopped_by = serve(
            places,
            settings,
            task=args.task or told.task,
            on_listening=lambda address: display.say(f"Listening at {address}"),
            on_ready=ready,
        )
    return 130 if stopped_by == signal.SIGINT else 0


def _places(words: list[str]) -> dict[str, str]:
    """Folders by the names of their models."""
    places: dict[str, str] = {}
    for word in words:
        name, equals, place = word.partition("=")
        if not equals or Path(word).exists():
            name, place = Path(word).resolve().name if Path(word).exists() else word.split("/")[-1], word
        if not name or "/" in name:
            raise ConfigError(
                "A model's name must be a word without a slash.", received=word, remedy="Say NAME=FOLDER."
            )
        if name in places:
            raise ConfigError(
                "Each model must have a name of its own.", received=f"{name} twice", remedy="Say NAME=FOLDER."
            )
        places[name] = place
    return places


def _keys(place: str) -> tuple[str, ...]:
    """Keys of a file: nobody else on the machine sees them there, as on a command line."""
    try:
        keys = tuple(line.strip() for line in Path(place).read_text().splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise ConfigError(
            "Keys stand in a file.", received=f"{place}: {error}", remedy="Name another."
        ) from None
    if not keys:
        raise ConfigError("A file of keys has one a line.", received=f"none in {place}", remedy="Write one.")
    return keys


@contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Requests are told on stderr, a line of JSON each, as long as there is a server."""
    own = logging.getLogger("distilbert.serve")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = own.level, own.propagate
    own.addHandler(handler)
    own.setLevel(logging.INFO)
    own.propagate = False
    try:
        yield
    finally:
        own.removeHandler(handler)
        own.setLevel(before[0])
        own.propagate = before[1]
