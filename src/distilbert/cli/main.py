"""``distilbert COMMAND``: reads the flags, runs the command, and turns what happens into an exit status.

0 done; 1 the run failed; 2 the input or the environment was refused; 130 Ctrl-C; 143 SIGTERM.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from distilbert import __version__
from distilbert.cli import distill, evaluate, finetune, info, predict, pretrain, quickstart, shrink
from distilbert.cli.display import Display
from distilbert.errors import DistilBertError, TrainingError

_COMMANDS = (quickstart, pretrain, distill, shrink, finetune, evaluate, predict, info)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``distilbert``; None takes them from the process.

    Returns:
        The exit status.
    """
    try:
        signal.signal(signal.SIGTERM, _terminate)
        args = parser().parse_args(arguments)
        logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
        with Display(quiet=args.quiet, json=args.json) as display:
            return _run(args, display)
    except KeyboardInterrupt:
        print("Stopped. Nothing was overwritten.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever was reading has heard enough; closing stderr too keeps the interpreter from complaining.
        sys.stderr.close()
        return 0


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
        name = command.__name__.rsplit(".", 1)[1]
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
    return top


def _run(args: argparse.Namespace, display: Display) -> int:
    try:
        if hasattr(args, "threads"):
            _start_torch(args.threads, display)
        args.command.run(args, display)
    except DistilBertError as error:
        display.fail(str(error))
        return 1 if isinstance(error, TrainingError) else 2
    return 0


def _start_torch(threads: int | None, display: Display) -> None:
    """Load PyTorch, which takes seconds, under the user's eyes."""
    display.progress("start PyTorch", 0, 1, {})
    import distilbert.torch  # noqa: F401  # the error for its absence is a command to run

    if threads:
        import torch

        torch.set_num_threads(threads)
    display.progress("start PyTorch", 1, 1, {})


def _terminate(number: int, frame: FrameType | None) -> None:
    # An exception unwinds the run, so that its partial output is removed.
    raise SystemExit(128 + number)
