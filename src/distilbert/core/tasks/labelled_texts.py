"""Texts with one label each: the plainest of tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from distilbert.core.data.sources import read_rows
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.sequence_classification import SequenceClassification


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
        rows = list(read_rows(path))
        columns = {"text": text or "", "label": label or ""}
        read = SequenceClassification.read(rows, source=str(path), columns=columns).columns
        return cls(read["text"], read["label"])

    def examples(self) -> Examples:
        """The same, as any task's examples are."""
        return Examples(SequenceClassification.name, {"text": self.texts, "label": self.labels})
