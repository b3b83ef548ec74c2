"""Flags for tables of examples, for the commands that read them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from distilbert.core.data.sources import known_kind, read_texts
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.reading import TASKS, read_examples, task_named

#: What the files are, in a flag's help.
KINDS = (
    ".csv, .tsv, .jsonl, .conll, SQuAD's .json (also as .gz, .bz2, .xz, .zst) or .parquet; a folder of "
    "these, or of .txt files in a folder for each class; or a data set of the hub, as owner/name or glue/sst2"
)


def add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--columns",
        metavar="NAME=COLUMN,…",
        type=_columns,
        default={},
        help="which columns are read, by the task's names of them: text=review,label=stars",
    )
    parser.add_argument("--text-column", metavar="NAME", help="the column with the text: --columns text=NAME")


def add_label_column(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label-column", metavar="NAME", help="the column with the label: --columns label=NAME"
    )


def add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        choices=tuple(TASKS),
        metavar="TASK",
        help=f"what is to be learnt (told from the columns): {', '.join(TASKS)}",
    )


def add_misplaced(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--misplaced",
        choices=("stop", "drop"),
        default="stop",
        help="what becomes of rows whose answer does not stand at its offset (stop)",
    )


def read_table(
    args: argparse.Namespace,
    path: str,
    *,
    task: str | None = None,
    labelled: bool = True,
    splits: Sequence[str] = ("train",),
) -> Examples:
    """A table's examples, from the columns that the flags name."""
    columns = dict(getattr(args, "columns", {}))
    for name in ("text", "label") if labelled else ("text",):
        if given := getattr(args, f"{name}_column", None):
            columns[name] = given
    misplaced = getattr(args, "misplaced", "stop")
    return read_examples(
        path, task=task, columns=columns, labelled=labelled, misplaced=misplaced, splits=splits
    )


def read_unlabelled(args: argparse.Namespace, train: Examples) -> Examples | list[str]:
    """What ``--unlabelled`` names: texts where the examples are such, else a table of what they answer."""
    kind, place = task_named(train.task), Path(args.unlabelled)
    # Words may stand in a table as lists of them.
    words = "tokens" in kind.columns and known_kind(place) != ".txt" and place.is_file()
    of_hub = not place.exists() and known_kind(place) is None
    if set(kind.inputs) & set(train.columns) == {"text"} and not (words or of_hub):
        return list(read_texts(args.unlabelled, column=getattr(args, "columns", {}).get("text")))
    return read_table(args, args.unlabelled, task=train.task, labelled=False)


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and column for name, _, column in pairs):
        raise argparse.ArgumentTypeError(f"names of columns such as text=review,label=stars, not {text!r}")
    return {name.strip(): column.strip() for name, _, column in pairs}
