"""``distilbert COMMAND``: reads the flags, runs the command, and turns what happens into an exit status.

0 done; 1 the run failed; 2 the input or the environment was refused; 130 Ctrl-C; 143 SIGTERM, except of
``serve``, which has then done what it was to do: 0.
"""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from types import FrameType

from distilbert import __version__
from distilbert.cli import (
    ask,
    backends,
    compress,
    convert,
    distill,
    doctor,
    embed,
    evaluate,
    export,
    finetune,
    info,
    label,
    managed,
    optimize,
    package,
    predict,
    pretrain,
    quickstart,
    serve,
    shrink,
    train_tokenizer,
    trim,
    tune,
    verify,
)
from distilbert.cli.display import Display
from distilbert.errors import DistilBertError, TrainingError

_COMMANDS = (
    quickstart, compress, verify, pretrain, doctor, ask, distill, shrink, finetune, tune, label, evaluate,
    optimize, predict, embed, info, train_tokenizer, trim, convert, export, package, serve,
)  # fmt: skip

#: Flags that a line on usage has room for.
_MANY = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``distilbert``; None takes them from the process.

    Returns:
        The exit status.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            # A terminal of another alphabet shows what it cannot print as escapes, and goes on.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        words = managed.expanded(sys.argv[1:] if arguments is None else arguments)
        args = parser().parse_args(words)
        args.words = words
        logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
        # Of several processes, as torchrun starts them, the first is heard.
        heard = os.environ.get("RANK", "0") == "0"
        with Display(quiet=args.quiet, json=args.json, heard=heard) as display:
            stops = {signal.SIGINT: KeyboardInterrupt(), signal.SIGTERM: SystemExit(143)}
            before = {
                number: signal.signal(number, partial(_stop, display, stops[number])) for number in stops
            }
            try:
                status = _run(args, display)
                sys.stdout.flush()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
            return status
    except DistilBertError as error:  # of the words themselves
        print(f"distilbert: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. Nothing was overwritten.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever was reading has heard enough; closing stderr too keeps the interpreter from complaining.
        sys.stderr.close()
        return 0
    except OSError as error:
        # What no room foresaw, such as a full disk behind a redirected output.
        where = f" for {error.filename}" if error.filename else ""
        print(
            "distilbert: Files and outputs must be readable and writable, with room for them. "
            f"Received: {error.strerror or error}{where}. Nothing that existed was changed.",
            file=sys.stderr,
        )
        # What is left in the buffer would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except MemoryError:
        print(
            "distilbert: The work must fit into memory. Received: no more of it. "
            "Use a smaller batch or a smaller model.",
            file=sys.stderr,
        )
        return 1


def parser() -> argparse.ArgumentParser:
    """The whole command line, for parsing and for its documentation."""
    top = argparse.ArgumentParser(
        prog="distilbert",
        description="Distil a big BERT-like teacher into a small student, fine-tune it, and use it.",
        epilog="Start with: distilbert quickstart",
    )
    top.add_argument("--version", action="version", version=f"distilbert {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        name = command.__name__.rsplit(".", 1)[1].replace("_", "-")
        assert command.__doc__ is not None
        summary, _, details = command.__doc__.partition("\n\n")
        sub = commands.add_parser(
            name,
            help=summary.strip().rstrip("."),
            description=summary.strip(),
            epilog=details.rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        sub.add_argument("--quiet", action="store_true", help="show no progress")
        sub.add_argument("-v", "--verbose", action="store_true", help="say more about what is done")
        sub.set_defaults(command=command)
        _shorten(sub)
    return top


def _shorten(parser: argparse.ArgumentParser) -> None:
    """Where flags are many, the line on usage names those that must be given alone."""
    if len(parser._actions) > _MANY:
        needed = [action for action in parser._actions if action.required]
        words = (" ".join([*action.option_strings[:1], str(action.metavar)]) for action in needed)
        parser.usage = " ".join(["%(prog)s", *words, "[further flags]"])


def _run(args: argparse.Namespace, display: Display) -> int:
    if args.quiet:
        # Downloads are drawn by the hub's client, which reads this when it is first needed.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        needs_framework = getattr(args.command, "needs_framework", lambda args: hasattr(args, "threads"))
        if needs_framework(args):
            backends.start(args, display)
        return args.command.run(args, display) or 0
    except DistilBertError as error:
        display.fail(str(error))
        _tell_launcher(str(error))
        return 1 if isinstance(error, TrainingError) else 2


def _tell_launcher(said: str) -> None:
    """Leave word for torchrun, which ends with it, behind a traceback of its own."""
    place = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if place:
        with suppress(OSError):
            Path(place).write_text(json.dumps({"message": said, "timestamp": int(time.time())}))


def _stop(display: Display, stop: BaseException, number: int, frame: FrameType | None) -> None:
    # An exception unwinds the run, so that its partial output is removed. A library may catch it, or it is
    # raised where Python ignores exceptions; then the next progress raises it again.
    display.stop = stop
    raise stop
