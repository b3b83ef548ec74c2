"""A file of labels as a teacher: one label a text, or a probability for each."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilbert.core.data.sources import Row, kind_of, known_kind, read_rows, text_column
from distilbert.core.files import replacing
from distilbert.core.progress import Progress
from distilbert.core.tasks.examples import LABEL_COLUMNS
from distilbert.core.teachers.targets import Targets
from distilbert.errors import DataError

logger = logging.getLogger(__name__)

PROBABILITIES = "probabilities"

#: How far a row's probabilities may be from 1 in sum: files hold rounded numbers. They are then made to be.
TOLERANCE = 0.01

_EXAMPLE = '{"text": "…", "label": "a"}, or {"text": "…", "probabilities": {"a": 0.9, "b": 0.1}}'

#: Texts between two signs of life.
_TOLD_EVERY = 10_000


class LabelFile:
    """A teacher whose answers stand in a .csv, .tsv, .jsonl or .parquet file, each beside its text.

    A row has a ``label`` (a hard answer), or ``probabilities`` (a soft one): an object from labels to
    numbers, where a label that is not named has zero; or a list, in the order of the file's ``labels``: a
    list in the row itself, or in a first row ``{"labels": [...]}`` for all rows after it. A .csv or .tsv has
    a column for each label instead, by its name. Texts are compared without the space around them. A text
    that stands in several rows gets their mean, so that labels of several people become probabilities.

    Args:
        path: the file.
        text: its text column; None looks for one of ``TEXT_COLUMNS``.
        label: its label column; None looks for one of ``LABEL_COLUMNS``.

    Raises:
        DataError: there is no such file.
    """

    kind: ClassVar[str] = "file of labels"
    paid: ClassVar[bool] = False

    def __init__(self, path: str | Path, *, text: str | None = None, label: str | None = None) -> None:
        self.path = Path(path)
        self._text, self._label = text, label
        self._rows = self._contradictions = 0
        kind_of(self.path)

    def targets(self, texts: Sequence[str], labels: Sequence[str], *, progress: Progress) -> Targets:
        """Its answers to the texts that it holds.

        Raises:
            DataError: a row with another label, or with probabilities that are none; the row is named.
        """
        place = {text: i for i, text in enumerate(dict.fromkeys(text.strip() for text in texts))}
        sums = np.zeros((len(place), len(labels)))
        counts = np.zeros(len(place), np.int64)
        first = np.full(len(place), -1, np.int64)
        contradicted = np.zeros(len(place), np.bool_)
        self._rows = 0
        for text, answer in self._answers(labels, progress):
            row = place.get(text.strip())
            if row is not None:
                best = int(answer.argmax())
                contradicted[row] |= counts[row] > 0 and best != first[row]
                first[row] = best
                sums[row] += answer
                counts[row] += 1
        self._contradictions = int(contradicted.sum())
        if self._contradictions:
            logger.warning(
                "%d texts stand in %s with different labels: the student learns their mean.",
                self._contradictions,
                self.path,
            )
        rows = np.array([place[text.strip()] for text in texts], np.int64)
        means = sums / np.maximum(counts, 1)[:, None]
        return Targets.of_probabilities(means[rows], counts[rows] > 0)

    def facts(self) -> dict[str, Any]:
        return {"file": self.path.name, "rows": self._rows, "contradictions": self._contradictions}

    def account(self) -> dict[str, Any]:
        return {}

    def _answers(self, labels: Sequence[str], progress: Progress) -> Iterator[tuple[str, Any]]:
        reader = _Rows(self.path, labels, text=self._text, label=self._label)
        for number, row in read_rows(self.path):
            if self._rows % _TOLD_EVERY == 0:
                progress("read the labels", self._rows, None, {})
            if reader.is_header(row):
                reader.order = reader.names(row["labels"], number)
                continue
            self._rows += 1
            yield reader.answer(number, row)


class _Rows:
    """What the rows of one file mean."""

    def __init__(self, path: Path, labels: Sequence[str], *, text: str | None, label: str | None) -> None:
        self.path, self.labels = path, labels
        self.ids = {label: i for i, label in enumerate(labels)}
        self.order: list[str] | None = None
        self._wanted_text, self._label = text, label
        self._text: str | None = None
        self._separated = known_kind(path) in (".csv", ".tsv")

    @staticmethod
    def is_header(row: Row) -> bool:
        return list(row) == ["labels"] and isinstance(row["labels"], list)

    def answer(self, number: int, row: Row) -> tuple[str, Any]:
        self._text = self._text or text_column(list(row), wanted=self._wanted_text, path=self.path)
        text = row.get(self._text)
        if not isinstance(text, str) or not text.strip():
            raise self._refused(number, "a text", f"{text!r:.60} as {self._text}", "Fill it in.")
        if self._separated and all(label in row for label in self.labels):
            return text, self._distribution({label: row[label] for label in self.labels}, number)
        given = row.get(PROBABILITIES)
        if given is not None:
            if isinstance(given, list) and given and all(isinstance(pair, tuple) for pair in given):
                given = dict(given)  # a map of Parquet's
            elif isinstance(given, list):
                given = self._in_order(given, row, number)
            if isinstance(given, dict):
                # Parquet gives every row all the names that any has.
                given = {name: value for name, value in given.items() if value is not None}
            return text, self._distribution(given, number)
        hard = np.zeros(len(self.labels))
        hard[self._id(self._hard_label(row, number), number)] = 1.0
        return text, hard

    def _hard_label(self, row: Row, number: int) -> str:
        columns = (self._label,) if self._label else LABEL_COLUMNS
        value = next((row[name] for name in columns if row.get(name) is not None), None)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
            raise self._refused(
                number,
                "a label or probabilities",
                f"columns {', '.join(row) or 'none'}" if value is None else f"{value!r:.60}",
                f"Write {_EXAMPLE}; leave out texts that have no answer.",
            )
        return str(value)

    def _in_order(self, given: list[Any], row: Row, number: int) -> dict[str, Any]:
        own = row.get("labels")
        order = self.names(own, number) if own is not None else self.order
        if order is None or len(order) != len(given):
            raise self._refused(
                number,
                "as many labels as probabilities, where these are a list",
                f"{len(given)} probabilities and {len(order) if order else 'no'} labels",
                'Say their order in a first line {"labels": ["a", "b"]}, or write {"a": 0.9, "b": 0.1}.',
            )
        return dict(zip(order, given, strict=True))

    def names(self, names: Any, number: int) -> list[str]:
        """A list of labels that says an order."""
        found = [str(name) for name in names] if isinstance(names, list) else []
        if not found or len(set(found)) < len(found):
            raise self._refused(
                number, "a list of different names as labels", f"{names!r:.80}", "Name each label once."
            )
        for name in found:
            self._id(name, number)
        return found

    def _distribution(self, given: Any, number: int) -> Any:
        if not isinstance(given, Mapping) or not given:
            raise self._refused(number, "probabilities by label", f"{given!r:.80}", f"Write {_EXAMPLE}.")
        answer = np.zeros(len(self.labels))
        for name, value in given.items():
            answer[self._id(str(name), number)] = self._probability(value, name, number)
        total = answer.sum()
        if abs(total - 1) > TOLERANCE + 1e-9:
            raise self._refused(
                number,
                f"probabilities that sum to 1, to within {TOLERANCE}",
                f"a sum of {total:.6g}",
                "Divide each by their sum; percentages by 100.",
            )
        return answer / total

    def _probability(self, value: Any, name: Any, number: int) -> float:
        try:
            found = None if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            found = None
        if found is None or not isfinite(found) or found < 0:
            raise self._refused(
                number,
                "probabilities of at least 0",
                f"{value!r:.60} for {name}",
                "Give probabilities, not logits or logarithms.",
            )
        return found

    def _id(self, label: str, number: int) -> int:
        if label not in self.ids:
            raise self._refused(
                number,
                "labels of the training data alone: " + ", ".join(self.labels),
                f"{label!r:.60}",
                "Correct it, or remove the row.",
            )
        return self.ids[label]

    def _refused(self, number: int, rule: str, received: str, remedy: str) -> DataError:
        return DataError(
            f"Every row of a teacher's file must have {rule}.",
            received=f"{received} at line {number} of {self.path}",
            remedy=remedy,
        )


def write_labels(path: str | Path, texts: Sequence[str], targets: Targets, labels: Sequence[str]) -> int:
    """Write a .jsonl file of a teacher's answers, which ``LabelFile`` reads; return how many.

    Texts without an answer are left out. The file appears when it is complete.

    Raises:
        OutputError: it cannot be written.
    """
    probabilities = targets.probabilities
    with replacing(Path(path)) as partial, partial.open("w", encoding="utf-8") as file:
        for text, row, best, known in zip(texts, probabilities, targets.answers, targets.known, strict=True):
            if known:
                shares = {label: float(p) for label, p in zip(labels, row, strict=True)}
                line = {"text": text, "label": labels[best], PROBABILITIES: shares}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return int(targets.known.sum())
