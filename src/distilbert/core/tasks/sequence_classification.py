"""One label for each text, or pair of texts, out of a fixed set."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import (
    Examples,
    Field,
    Numbered,
    as_text,
    find_label,
    gather,
    known_columns,
    refuse_constant,
    text_fields,
)
from distilbert.core.tasks.metrics import METRICS, Metric, matthews
from distilbert.core.tasks.whole_texts import OfTexts
from distilbert.errors import ConfigError, DataError

Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]
Ids = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Answer:
    """What a model says of one text.

    Attributes:
        label: the likeliest.
        score: its probability.
        scores: the probability of each label.
    """

    label: str
    score: float
    scores: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.label}\t{self.score:.4f}"


@dataclass(frozen=True)
class SequenceClassification(OfTexts):
    """The task of a folder: which labels there are, in the order of the logits, and whether it reads
    pairs.
    """

    labels: tuple[str, ...]
    pair: bool = False

    name: ClassVar[str] = "sequence-classification"
    head: ClassVar[Head] = Head.SEQUENCE_CLASSIFICATION
    columns: ClassVar[tuple[str, ...]] = ("text", "text_a", "text_b", "label")
    inputs: ClassVar[tuple[str, ...]] = ("text", "text_b")
    target: ClassVar[str] = "label"
    metrics: ClassVar[Mapping[str, Metric]] = {**METRICS, "matthews": matthews}

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table is of this task: it is whatever no other task takes."""
        return True

    @classmethod
    def read(
        cls,
        rows: Numbered,
        *,
        source: str,
        columns: Mapping[str, str],
        labelled: bool = True,
        files: bool = True,
    ) -> Examples:
        """Examples of a table's rows: ``text``, of pairs ``text_b``, and ``label``.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, cls.columns, task=cls.name)
        names = list(rows[0][1])
        fields = text_fields(names, wanted=columns, source=source)
        if labelled:
            label = find_label(names, wanted=columns.get("label"), source=source)
            fields["label"] = Field(label, as_text, fields["text"].rule)
            _refuse_mixed(rows, label, source)
        return gather(cls.name, rows, fields, source=source, files=files)

    # How labels become ids and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: there is one label only, or one text.
        """
        task = cls.of_labels(examples.columns["label"], pair="text_b" in examples.columns)
        refuse_constant(examples, "text", what="Texts to learn from")
        return task

    @classmethod
    def of_labels(cls, labels: Iterable[str], *, pair: bool = False) -> Self:
        """The task that these labels set: in order of number where all are whole numbers, else of name.

        Raises:
            DataError: there is one label only.
        """
        return cls(ordered(labels), pair)

    def ids(self, labels: Sequence[str], *, source: str, at: Sequence[str] = ()) -> Ids:
        """Labels to ids, [rows].

        Args:
            labels: a label a row.
            source: what an error calls them.
            at: where each row stands.

        Raises:
            DataError: labels that this task does not have, each named once.
        """
        id_of = {name: i for i, name in enumerate(self.labels)}
        refuse_unknown(set(labels), labels, self.labels, source=source, at=at)
        return np.array([id_of[label] for label in labels], np.int64)

    def truth(self, examples: Examples, *, source: str) -> Ids:
        """The true ids, [rows].

        Raises:
            DataError: a label that this task does not have.
        """
        labels, at = examples.columns["label"], [examples.at(i) for i in range(len(examples))]
        return self.ids(labels, source=source, at=at if examples.lines else ())

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each item is to be told: the label's id, or that it is unknown."""
        if "label" not in examples.columns:
            return [np.array(IGNORED_LABEL)] * len(examples)
        return list(self.truth(examples, source=source))

    # How examples become rows, and logits answers.

    def answers(
        self,
        logits: Sequence[Numbers] | Numbers,
        examples: Examples | None = None,
        rows: TokenRows | None = None,
    ) -> list[Answer]:
        """What logits [rows, C] say, with a probability for each label."""
        answers = []
        for row in np.exp(log_softmax(np.asarray(logits, np.float64).reshape(-1, len(self.labels)))):
            scores = {name: float(p) for name, p in zip(self.labels, row, strict=True)}
            best = max(scores, key=scores.__getitem__)
            answers.append(Answer(best, scores[best], scores))
        return answers

    def told(self, logits: Sequence[Numbers], examples: Examples, rows: TokenRows | None = None) -> Array:
        """The answers as the metrics take them: ids [rows]."""
        return np.stack(logits).argmax(axis=1)

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """Enter labels and kind into a model's configuration."""
        config.id2label = dict(enumerate(self.labels))
        config.label2id = {label: i for i, label in enumerate(self.labels)}
        config.problem_type = "single_label_classification"

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether a classifier of that configuration answers with these labels."""
        return tuple(config.id2label[i] for i in range(config.num_labels)) == self.labels

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        facts = {"name": self.name, "labels": list(self.labels)}
        return {**facts, "pair": True} if self.pair else facts

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(tuple(facts["labels"]), bool(facts.get("pair")))

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder.

        Raises:
            ConfigError: its classifier is of another kind.
        """
        labels = tuple(config.id2label[i] for i in range(config.num_labels))
        if config.problem_type not in (None, "single_label_classification") or len(set(labels)) < 2:
            raise ConfigError(
                "A classifier here answers with one of at least two labels.",
                received=f"problem_type={config.problem_type}, labels {', '.join(labels)}, in {folder}",
                remedy="Use the model itself: DistilBertForSequenceClassification.from_pretrained(folder).",
            )
        return cls(labels, bool(facts.get("pair")))

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's.

        Raises:
            ConfigError: it has other labels.
        """
        return matching_labels(self.labels, getattr(other, "labels", ()))


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in order of number where all are whole numbers, else of name.

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
    return tuple(sorted(in_order, key=int) if numeric else in_order)


def refuse_unknown(
    found: set[str], rows: Sequence[Any], labels: Sequence[str], *, source: str, at: Sequence[str] = ()
) -> None:
    """Refuse labels that a model was not trained on.

    Args:
        found: all labels that there are.
        rows: each row's label, or its labels.
        labels: the model's.
        source: what an error calls the rows.
        at: where each row stands.

    Raises:
        DataError: there are such, each named once.
    """
    unknown = sorted(found - set(labels))
    if unknown:
        of_row = [{row} if isinstance(row, str) else set(row) for row in rows]
        first = next(i for i, names in enumerate(of_row) if names & set(unknown))
        place = f", {at[first]}" if at else ""
        raise DataError(
            "Every label must be among those the model was trained on: " + ", ".join(labels) + ".",
            received=f"{', '.join(unknown)} in {source}, first in row {first + 1}{place}",
            remedy="Add rows with that label to the training data, or correct the label.",
        )


def matching_labels(labels: Sequence[str], others: Sequence[str]) -> list[int]:
    """Where each label stands among a teacher's.

    Raises:
        ConfigError: the teacher's are others.
    """
    if set(others) != set(labels):
        raise ConfigError(
            "A teacher must have the labels of the training data: " + ", ".join(labels) + ".",
            received=f"a teacher of {', '.join(others) or 'none'}",
            remedy="Fine-tune the teacher on the same training data.",
        )
    return [list(others).index(label) for label in labels]


#: Kinds of values that are one kind in a table, by their Python types.
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _refuse_mixed(rows: Numbered, column: str, source: str) -> None:
    """Refuse a column in which the same label may stand as a number and as text."""
    seen: dict[type, tuple[int, Any]] = {}
    for number, row in rows:
        value = row.get(column)
        if type(value) in _KINDS:
            seen.setdefault(type(value), (number, value))
    if len(seen) > 1:
        where = ", and ".join(
            f"{value!r:.40} ({_KINDS[kind]}) at line {n}" for kind, (n, value) in seen.items()
        )
        raise DataError(
            "The labels of a column must be of one type.",
            received=f"{where} of {source} as {column}",
            remedy="Write all of them as text, or all as whole numbers.",
        )
