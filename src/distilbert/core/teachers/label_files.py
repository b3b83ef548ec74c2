"""A file of labels as a teacher: one label a text, or a probability for each."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.core.data.sources import Row, kind_of, known_kind, read_rows, text_column
from distilbert.core.files import replacing
from distilbert.core.progress import Progress
from distilbert.core.tasks.examples import LABEL_COLUMNS, find_texts
from distilbert.core.tasks.multi_label_classification import read_labels
from distilbert.core.teachers.targets import Asked, Targets
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

    Pairs of texts stand in two columns, as in a table of them. Where several labels may hold, a row has a
    list of them (or a text with ``|`` between), or of each label its own probability.

    Args:
        path: the file.
        text: its text column; None looks for one of ``TEXT_COLUMNS``, of pairs for two of ``PAIR_COLUMNS``.
        label: its label column; None looks for one of ``LABEL_COLUMNS``.
        text_b: of pairs, the column of the second text.
        several: whether several labels may hold of a text.

    Raises:
        DataError: there is no such file.
    """

    kind: ClassVar[str] = "file of labels"
    paid: ClassVar[bool] = False

    def __init__(
        self,
        path: str | Path,
        *,
        text: str | None = None,
        label: str | None = None,
        text_b: str | None = None,
        several: bool = False,
    ) -> None:
        self.path = Path(path)
        self.several = several
        self._columns = {
            name: column
            for name, column in (("text", text), ("text_b", text_b), ("label", label))
            if column is not None
        }
        self._rows = self._contradictions = 0
        kind_of(self.path)

    def targets(self, texts: Sequence[Asked], labels: Sequence[str], *, progress: Progress) -> Targets:
        """Its answers to the texts, or pairs of them, that it holds.

        Raises:
            DataError: a row with another label, or with probabilities that are none; the row is named.
        """
        place = {text: i for i, text in enumerate(dict.fromkeys(map(_key, texts)))}
        sums = np.zeros((len(place), len(labels)))
        counts = np.zeros(len(place), np.int64)
        first: dict[int, bytes] = {}
        contradicted = np.zeros(len(place), np.bool_)
        self._rows = 0
        pair = bool(texts) and not isinstance(texts[0], str)
        for text, answer in self._answers(labels, progress, pair=pair):
            row = place.get(_key(text))
            if row is not None:
                says = answer >= 0.5 if self.several else answer.argmax()
                contradicted[row] |= says.tobytes() != first.setdefault(row, says.tobytes())
                sums[row] += answer
                counts[row] += 1
        self._contradictions = int(contradicted.sum())
        if self._contradictions:
            logger.warning(
                "%d texts stand in %s with different labels: the student learns their mean.",
                self._contradictions,
                self.path,
            )
        rows = np.array([place[_key(text)] for text in texts], np.int64)
        means = sums / np.maximum(counts, 1)[:, None]
        read = Targets.of_several if self.several else Targets.of_probabilities
        return read(means[rows], counts[rows] > 0)

    def read_as(self, *, several: bool) -> Self:
        """The same file, for one label a text or for several."""
        return type(self)(self.path, **self._columns, several=several)

    def facts(self) -> dict[str, Any]:
        return {"file": self.path.name, "rows": self._rows, "contradictions": self._contradictions}

    def account(self) -> dict[str, Any]:
        return {}

    def _answers(
        self, labels: Sequence[str], progress: Progress, *, pair: bool
    ) -> Iterator[tuple[Asked, Any]]:
        reader = _Rows(self.path, labels, self._columns, pair=pair, several=self.several)
        for number, row in read_rows(self.path):
            if self._rows % _TOLD_EVERY == 0:
                progress("read the labels", self._rows, None, {})
            if reader.is_header(row):
                reader.order = reader.names(row["labels"], number)
                continue
            self._rows += 1
            yield reader.answer(number, row)


def _key(text: Asked) -> Asked:
    """What a text, or a pair, is found by."""
    return text.strip() if isinstance(text, str) else (text[0].strip(), text[1].strip())


class _Rows:
    """What the rows of one file mean."""

    def __init__(
        self, path: Path, labels: Sequence[str], columns: Mapping[str, str], *, pair: bool, several: bool
    ) -> None:
        self.path, self.labels = path, labels
        self.ids = {label: i for i, label in enumerate(labels)}
        self.order: list[str] | None = None
        self._columns, self._pair, self._several = columns, pair, several
        self._texts: tuple[str, ...] = ()
        self._separated = known_kind(path) in (".csv", ".tsv")

    @staticmethod
    def is_header(row: Row) -> bool:
        return list(row) == ["labels"] and isinstance(row["labels"], list)

    def answer(self, number: int, row: Row) -> tuple[Asked, Any]:
        self._texts = self._texts or self._text_columns(list(row))
        for column in self._texts:
            value = row.get(column)
            if not isinstance(value, str) or not value.strip():
                raise self._refused(number, "a text", f"{value!r:.60} as {column}", "Fill it in.")
        text = (row[self._texts[0]], row[self._texts[1]]) if self._pair else row[self._texts[0]]
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
        for label in self._hard_labels(row, number):
            hard[self._id(label, number)] = 1.0
        return text, hard

    def _text_columns(self, names: list[str]) -> tuple[str, ...]:
        wanted = self._columns
        if not self._pair:
            return (text_column(names, wanted=wanted.get("text"), path=self.path),)
        first, second = find_texts(names, wanted=wanted, source=str(self.path))
        if second is None:
            raise DataError(
                "A teacher's file for pairs must have a column for each of the two texts.",
                received=f"columns {', '.join(names)} in {self.path}",
                remedy="Call them text_a and text_b, or name them: LabelFile(path, text=..., text_b=...).",
            )
        return first, second

    def _hard_labels(self, row: Row, number: int) -> list[str]:
        columns = (self._columns["label"],) if "label" in self._columns else LABEL_COLUMNS
        value = next((row[name] for name in columns if row.get(name) is not None), None)
        if self._several and (labels := read_labels(value)) is not None:
            return labels
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
            raise self._refused(
                number,
                "labels or probabilities" if self._several else "a label or probabilities",
                f"columns {', '.join(row) or 'none'}" if value is None else f"{value!r:.60}",
                f"Write {_EXAMPLE}; leave out texts that have no answer.",
            )
        return [str(value)]

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
        if self._several:
            return answer
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
        # One of several need not be of a sum of 1, which else limits each.
        if found is None or not isfinite(found) or found < 0 or (self._several and found > 1):
            raise self._refused(
                number,
                "probabilities of at least 0" + " and at most 1" * self._several,
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
