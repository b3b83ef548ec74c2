"""Flags that several commands have, so that each means the same everywhere."""

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilbert.cli.display import Display
from distilbert.core import output
from distilbert.core.data.texts import TextFiles
from distilbert.core.files import write_atomically
from distilbert.errors import ConfigError

if TYPE_CHECKING:
    from distilbert.core.training.runs import Run

#: Hours, minutes and seconds.
_TIME = re.compile(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?")


def add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument("--device", default="auto", help="cpu, cuda, mps, or auto (default)")
    group.add_argument("--threads", type=int, help="processor cores to use (default: all)")


def add_text(parser: argparse.ArgumentParser, *, what: str = "the text", required: bool = True) -> None:
    """Running text, for the commands that read it without labels."""
    parser.add_argument(
        "--text",
        required=required,
        nargs="+",
        metavar="PATH",
        help=f"{what}: .txt (a text a line), .jsonl, .csv, .tsv (also as .gz, .bz2, .xz, .zst), .parquet, "
        "or folders of them",
    )
    parser.add_argument("--text-column", metavar="NAME", help="the tables' column with the text")


def read_text(args: argparse.Namespace) -> TextFiles:
    """The texts that the flags name; nothing is read yet.

    Raises:
        DataError: no such file or folder, or no data file in it.
    """
    return TextFiles([Path(place) for place in args.text], column=args.text_column)


def add_output(parser: argparse.ArgumentParser, *, what: str) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help=f"the folder for {what}")
    parser.add_argument(
        "--force", action="store_true", help="replace a model that stands there, once the new one is complete"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """What may end a run early, what goes on after it, and what it leaves beside its output."""
    group = parser.add_argument_group("run")
    group.add_argument(
        "--budget", type=seconds, metavar="TIME", help="what the whole may take, such as 90s, 30m or 1h30m"
    )
    group.add_argument("--report", metavar="FILE", help="write a page (.html) on the run there")
    group.add_argument("--hourly-price", type=float, metavar="P", help="of a device, for the report's cost")
    group.add_argument(
        "--track",
        metavar="NAME",
        help="tell tensorboard, mlflow or wandb of every step, offline, in OUT.tracked",
    )
    group.add_argument(
        "--resume", action="store_true", help="go on, bit for bit, with this run where it was interrupted"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="run a few steps, say what the whole takes, write nothing"
    )


def seconds(text: str) -> float:
    """``"90s"``, ``"30m"``, ``"1h30m"``, or a number of seconds."""
    found = _TIME.fullmatch(text.replace(" ", ""))
    if not found or not any(found.groups()):
        raise argparse.ArgumentTypeError(f"a time such as 90s, 30m or 1h30m, not {text!r}")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + rest


def write_report(args: argparse.Namespace, run: "Run") -> None:
    """The page that ``--report`` asks for."""
    if args.report is None or os.environ.get("RANK", "0") != "0":
        return
    from distilbert.report.training import training_page

    devices = int(os.environ.get("WORLD_SIZE", "1"))
    page = training_page(
        run.facts, run.log.losses, run.log.judged, hourly_price=args.hourly_price, devices=devices
    )
    write_atomically(Path(args.report), page.encode())


def how_to_run(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of a run that is none of its recipe.

    Raises:
        MissingExtraError: a report is asked for, and nothing can be drawn; said before the run.
    """
    if args.report is not None:
        from distilbert.report.charts import require_charts

        require_charts()
    names = ("out", "force", "resume", "budget", "track")
    return {name: getattr(args, name) for name in names}


def add_teachers(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """One teacher of hidden words or several, and how much each counts."""
    parser.add_argument(
        "--teacher",
        required=required,
        nargs="+",
        metavar="MODEL",
        help="a BERT or DistilBERT with its masked-language-model head (with transformers installed, one of "
        "its families'), or several: the student is cut from the first",
    )
    parser.add_argument(
        "--teacher-weights",
        type=float,
        nargs="+",
        metavar="W",
        help="how much each teacher counts; only the ratios matter (all alike)",
    )


def read_teachers(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of teachers, as ``Distiller`` names it."""
    return {"teacher": args.teacher, "teacher_weights": args.teacher_weights}


def add_given_student(parser: argparse.ArgumentParser) -> None:
    """A student that is there already, and what it and its teachers have in common."""
    group = parser.add_argument_group("student of one's own")
    group.add_argument(
        "--student", metavar="MODEL", help="a BERT or DistilBERT to begin with, in place of --layers"
    )
    group.add_argument(
        "--tokenizer", metavar="DIR", help="a vocabulary for the student, in place of the teacher's"
    )
    group.add_argument(
        "--vocabulary",
        choices=("same", "shared"),
        default="same",
        help="of teachers: the student's (same, default); or whichever, heard about the words that both have",
    )


def read_given_student(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of a student that is there, as ``Distiller`` names it."""
    return {"student": args.student, "tokenizer": args.tokenizer, "vocabulary": args.vocabulary}


def add_student(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """What a student is to be, and how it begins."""
    parser.add_argument(
        "--layers",
        required=required,
        metavar="N",
        help="how many of the teacher's layers to keep, or which: 0,2,4; one may be named twice",
    )
    group = parser.add_argument_group("student")
    group.add_argument(
        "--take",
        help="where a number of layers is taken: spread from the first to the last (default), first, last, "
        "or every-other: 0,2,4 and so on",
    )
    group.add_argument("--dim", type=int, metavar="D", help="width of the states (the teacher's)")
    group.add_argument(
        "--heads", type=int, metavar="N", help="attention heads of a layer (as many as keep their width)"
    )
    group.add_argument(
        "--hidden-dim",
        type=int,
        metavar="F",
        help="neurons of a feed-forward (the teacher's ratio to the width)",
    )
    group.add_argument(
        "--positions", type=int, metavar="S", help="tokens of the longest text (the teacher's)"
    )
    group.add_argument(
        "--init",
        help="what it begins with: layers as they are (default); where it is narrower pca, principal "
        "components of their states (default then), or a slice of their coordinates; or random",
    )


def read_student(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of a student, as ``shrink`` and ``StudentShape`` name it."""
    return {
        "layers": None if args.layers is None else layers(args.layers),
        "take": args.take,
        "dim": args.dim,
        "n_heads": args.heads,
        "hidden_dim": args.hidden_dim,
        "positions": args.positions,
        "init": args.init,
    }


def layers(text: str) -> int | tuple[int, ...]:
    """``"3"`` is how many, ``"0,2,4"`` is which."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            "--layers is a number of layers, or layers separated by commas.",
            received=text,
            remedy="Give 3, or 0,2,4.",
        ) from None
    return numbers if "," in text else numbers[0]


def refuse_taken(args: argparse.Namespace) -> None:
    """What a run that is only planned would be refused for.

    Raises:
        OutputError: the output folder holds something.
    """
    output.refuse_taken(Path(args.out), force=args.force)


def show_plan(facts: dict[str, Any], display: Display) -> None:
    """What ``--dry-run`` found."""
    lines = "\n".join(f"{name:>18}  {value}" for name, value in _readable(facts))
    display.result(f"{lines}\nNothing was written.", facts)


def _readable(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "steps", f"{facts['steps']:,}"
    yield "expected time", f"{facts['expected_seconds'] / 60:.1f} minutes"
    yield "parameters", f"{facts['parameters']:,}"
    if facts["peak_memory_bytes"] is not None:
        yield "peak memory", f"{facts['peak_memory_bytes'] / 2**30:.2f} GiB"
