"""Rows of a table as examples of a task: which columns are looked for, and what stands in them."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan
from typing import Any, NamedTuple, Self

import numpy as np

from distilbert.core.data.sources import Row, text_column
from distilbert.core.text.samples import is_text
from distilbert.errors import DataError

logger = logging.getLogger(__name__)

#: Rows with the numbers of their lines.
Numbered = Sequence[tuple[int, Row]]

#: Columns of the two texts of a pair, in the order in which they are looked for.
PAIR_COLUMNS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("query", "passage"),
    ("text", "text_pair"),
    ("text", "text_b"),  # as answers name them
)

#: Columns that hold the label, in the order in which they are looked for.
LABEL_COLUMNS = ("label", "labels", "class", "category", "target")


@dataclass(frozen=True)
class Examples:
    """A table of one task's examples.

    Attributes:
        task: the task's name.
        columns: by the task's own names of them, a value for each example.
        source: what errors call the table.
        lines: the line of each example in its file; none where there is no file.
        files: the file of each example, where they are of several; ``source`` is then what holds these.
    """

    task: str
    columns: dict[str, list[Any]]
    source: str = "the examples"
    lines: Sequence[int] = field(default=(), compare=False)
    files: Sequence[str] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def at(self, row: int) -> str:
        """Where an example stands."""
        if not self.lines:
            return f"row {row + 1} of {self.source}"
        return f"line {self.lines[row]} of {self.files[row] if self.files else self.source}"

    def without(self, name: str) -> Self:
        """The same examples, without one of their columns."""
        kept = {other: values for other, values in self.columns.items() if other != name}
        return replace(self, columns=kept)

    def take(self, rows: Sequence[int], *, source: str | None = None) -> Self:
        """Some of the examples, by their numbers."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        lines = [self.lines[row] for row in rows] if self.lines else ()
        files = [self.files[row] for row in rows] if self.files else ()
        return type(self)(self.task, columns, source or self.source, lines, files)

    def rows(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """What stands in these columns, example by example; None where there is no such column."""
        nothing = [None] * len(self)
        return zip(*(self.columns.get(name, nothing) for name in names), strict=True)


def joined(parts: Sequence[Examples], *, source: str) -> Examples:
    """The examples of several sources as those of one.

    Raises:
        DataError: a source has other columns than the first.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    for other in parts[1:]:
        if set(other.columns) != set(first.columns):
            raise DataError(
                "Files that are read together must have the same columns.",
                received=f"{', '.join(first.columns)} in {first.source}, and {', '.join(other.columns)} in "
                f"{other.source}",
                remedy="Make them alike, or read them one by one.",
            )
    columns = {name: [value for part in parts for value in part.columns[name]] for name in first.columns}
    if not all(part.lines for part in parts):
        return Examples(first.task, columns, source)
    lines = [line for part in parts for line in part.lines]
    return Examples(first.task, columns, source, lines, [part.source for part in parts for _ in part.lines])


class Field(NamedTuple):
    """A column to be read: where from, what makes a value of a field, and what to say where it makes none.

    ``read`` gives None for what cannot be used.
    """

    column: str
    read: Callable[[Any], Any]
    rule: str


def gather(
    task: str, rows: Numbered, fields: Mapping[str, Field], *, source: str, files: bool = True
) -> Examples:
    """Examples of rows, each field looked at.

    Args:
        task: the task's name.
        rows: with the numbers of their lines.
        fields: by the task's own names.
        source: the file.
        files: whether the numbers are of lines of a file.

    Raises:
        DataError: a field of a row that cannot be used; row and file are named.
    """
    columns: dict[str, list[Any]] = {name: [] for name in fields}
    for number, row in rows:
        for name, (column, read, rule) in fields.items():
            value = read(row.get(column))
            if value is None:
                raise DataError(
                    rule,
                    received=f"{row.get(column)!r:.60} as {column} at line {number} of {source}",
                    remedy="Fill it in or correct it, or remove the row.",
                )
            columns[name].append(value)
    return Examples(task, columns, source, [number for number, _ in rows] if files else ())


def find(
    names: Sequence[str], candidates: Sequence[str], *, wanted: str | None, what: str, task: str, source: str
) -> str:
    """Which column it is: the one that is wanted, else the first candidate that there is.

    Args:
        names: the table's columns.
        candidates: names to look for; the first is the task's own.
        wanted: the name that was given for it.
        what: it holds.
        task: the task's name.
        source: the table's.

    Raises:
        DataError: there is none.
    """
    for name in (wanted,) if wanted else candidates:
        if name in names:
            return name
    raise DataError(
        f"A table for {task} must have a column named {wanted or ' or '.join(candidates)}.",
        received=f"columns {', '.join(names) or 'none'} in {source}",
        remedy=f"Name the column that holds {what}: --columns {candidates[0]}=NAME",
    )


def find_texts(names: Sequence[str], *, wanted: Mapping[str, str], source: str) -> tuple[str, str | None]:
    """Which columns hold the text, or the two texts of a pair.

    Raises:
        DataError: there are none.
    """
    first, second = wanted.get("text") or wanted.get("text_a"), wanted.get("text_b")
    if first is None and second is None:
        for one, other in PAIR_COLUMNS:
            if one in names and other in names:
                return one, other
    if second is not None and second not in names:
        find(names, ("text_b",), wanted=second, what="the second text", task="pairs of texts", source=source)
    if first is None and second is not None:
        first = next((one for one, _ in PAIR_COLUMNS if one in names and one != second), None)
    return text_column(list(names), wanted=first, path=source), second


def find_label(names: Sequence[str], *, wanted: str | None, source: str) -> str:
    """Which column holds the label.

    Raises:
        DataError: there is none.
    """
    for name in (wanted,) if wanted else LABEL_COLUMNS:
        if name in names:
            return name
    raise DataError(
        f"A table of labelled texts must have a column named {wanted or ' or '.join(LABEL_COLUMNS)}.",
        received=f"columns {', '.join(names) or 'none'} in {source}",
        remedy="Name the column that holds the label: --label-column NAME",
    )


def text_fields(names: Sequence[str], *, wanted: Mapping[str, str], source: str) -> dict[str, Field]:
    """The fields of a text, or of two."""
    first, second = find_texts(names, wanted=wanted, source=source)
    rule = "Every row must have a text and a label, as text or as a number."
    fields = {"text": Field(first, as_text, rule)}
    return fields if second is None else {**fields, "text_b": Field(second, as_text, rule)}


def as_text(value: Any) -> str | None:
    """A text that says something, or a number, as text."""
    if isinstance(value, str):
        return value if value.strip() and is_text(value) else None
    return str(value) if isinstance(value, int) or (isinstance(value, float) and not isnan(value)) else None


def as_number(value: Any) -> float | None:
    """A finite number, also one that is written as text."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def known_columns(wanted: Mapping[str, str], names: Sequence[str], *, task: str) -> None:
    """Refuse names that a task has no columns of.

    Raises:
        DataError: there are such.
    """
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise DataError(
            f"The columns of {task} are called {', '.join(names)}.",
            received=", ".join(unknown),
            remedy="Put the task's name before the file's: --columns text=NAME",
        )


def refuse_constant(examples: Examples, name: str, *, what: str) -> None:
    """Refuse a column that says the same in each row.

    Raises:
        DataError: it does, in more than one row.
    """
    values = examples.columns[name]
    if len(values) > 1 and all(value == values[0] for value in values[1:]):
        raise DataError(
            f"{what} must differ from row to row.",
            received=f"{values[0]!r:.60} in all {len(values)} rows of {examples.source}",
            remedy="Check that it is the column you meant: --columns",
        )


#: The texts of an example, which tell whether two are the same.
_TEXTS = ("text", "text_b", "context", "question", "choices", "words")


def warn_of_repeated(examples: Examples) -> None:
    """Count aloud the examples that have the texts of an earlier one, and the texts with several answers."""
    names = [name for name in (*_TEXTS, "negative") if name in examples.columns]
    others = [name for name in examples.columns if name not in names]
    # Of a million rows their sums alone stay in memory.
    sums = np.array([[hash(repr(row)) for row in examples.rows(*part)] for part in (names, others)], np.int64)
    texts = np.unique(sums[0])
    if count := len(examples) - len(texts):
        told = np.unique(np.unique(sums, axis=1)[0], return_counts=True)[1]
        logger.warning(
            "%d of the %d examples of %s have the texts of earlier ones; texts with several answers: %d.",
            count,
            len(examples),
            examples.source,
            np.count_nonzero(told > 1),
        )


def shared(one: Examples, other: Examples) -> int:
    """How many of the other's examples have texts that one of these has."""
    known = {repr(row) for row in one.rows(*_TEXTS)}
    return sum(repr(row) in known for row in other.rows(*_TEXTS))
