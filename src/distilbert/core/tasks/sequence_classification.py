"""One label for each text, out of a fixed set."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Self

import numpy as np

from distilbert.core.data.sources import Row, read_rows, text_column
from distilbert.core.reference import log_softmax
from distilbert.core.text.samples import is_text
from distilbert.errors import DataError

#: Columns that hold the label, in the order in which they are looked for.
LABEL_COLUMNS = ("label", "labels", "class", "category", "target")

Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True)
class LabelledTexts:
    """A table of texts and the names of their labels."""

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def read(cls, path: str | Path, *, text: str | None = None, label: str | None = None) -> Self:
        """From a .csv, .tsv, .jsonl or .parquet file.

        Args:
            path: the file.
            text: its text column; None looks for one of ``TEXT_COLUMNS``.
            label: its label column; None looks for one of ``LABEL_COLUMNS``.

        Raises:
            DataError: the file, a column or a field is missing; file and line are named.
        """
        return cls.of_rows(read_rows(path), path=Path(path), text=text, label=label)

    @classmethod
    def of_rows(
        cls,
        rows: Iterable[tuple[int, Row]],
        *,
        path: Path,
        text: str | None = None,
        label: str | None = None,
    ) -> Self:
        texts, labels = [], []
        text_name = label_name = ""
        for number, row in rows:
            if not text_name:
                text_name = text_column(list(row), wanted=text, path=path)
                label_name = _label_column(list(row), wanted=label, path=path)
            for name in (text_name, label_name):
                if not _says_something(row.get(name)):
                    raise DataError(
                        "Every row must have a text and a label, as text or as a number.",
                        received=f"{row.get(name)!r:.60} as {name} at line {number} of {path}",
                        remedy="Fill it in or correct it, or remove the row.",
                    )
            texts.append(str(row[text_name]))
            labels.append(str(row[label_name]))
        return cls(texts, labels)


@dataclass(frozen=True)
class Answer:
    """What a model says of one text."""

    label: str
    score: float
    scores: dict[str, float]


@dataclass(frozen=True)
class SequenceClassification:
    """The task of a folder: which labels there are, in the order of the logits."""

    labels: tuple[str, ...]

    name = "sequence-classification"

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> Self:
        """The task that these labels set: in order of number where all are whole numbers, else of name.

        Raises:
            DataError: there is one label only.
        """
        names = set(labels)
        if len(names) < 2:
            raise DataError(
                "A classifier needs at least two labels to tell apart.",
                received=f"only {', '.join(names) or 'no label'}",
                remedy="Add rows with other labels.",
            )
        numeric = all(re.fullmatch(r"-?\d+", name) for name in names)
        in_order = sorted(names)
        return cls(tuple(sorted(in_order, key=int) if numeric else in_order))

    def ids(self, labels: Sequence[str], *, source: str) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Labels to ids, [rows].

        Raises:
            DataError: labels that this task does not have, each named once.
        """
        id_of = {name: i for i, name in enumerate(self.labels)}
        unknown = sorted(set(labels) - set(id_of))
        if unknown:
            first = next(i for i, label in enumerate(labels) if label in unknown)
            raise DataError(
                "Every label must be among those the model was trained on: " + ", ".join(self.labels) + ".",
                received=f"{', '.join(unknown)} in {source}, first in row {first + 1}",
                remedy="Add rows with that label to the training data, or correct the label.",
            )
        return np.array([id_of[label] for label in labels], np.int64)

    def answers(self, logits: Numbers) -> list[Answer]:
        """What logits [rows, C] say, with a probability for each label."""
        answers = []
        for row in np.exp(log_softmax(logits.astype(np.float64))):
            scores = {name: float(p) for name, p in zip(self.labels, row, strict=True)}
            best = max(scores, key=scores.__getitem__)
            answers.append(Answer(best, scores[best], scores))
        return answers

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        return {"name": self.name, "labels": list(self.labels)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(tuple(facts["labels"]))


def _says_something(value: Any) -> bool:
    """Whether a field holds a text, or a number, which may be a label's."""
    if isinstance(value, str):
        return bool(value.strip()) and is_text(value)
    return isinstance(value, int) or (isinstance(value, float) and not isnan(value))


def _label_column(columns: list[str], *, wanted: str | None, path: Path) -> str:
    for name in (wanted,) if wanted else LABEL_COLUMNS:
        if name in columns:
            return name
    raise DataError(
        f"A table of labelled texts must have a column named {wanted or ' or '.join(LABEL_COLUMNS)}.",
        received=f"columns {', '.join(columns) or 'none'} in {path}",
        remedy="Name the column that holds the label: --label-column NAME",
    )
