"""Any number of labels for each text, or pair of texts, out of a fixed set."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.tasks.examples import (
    LABEL_COLUMNS,
    Examples,
    Field,
    Numbered,
    as_text,
    find,
    gather,
    known_columns,
    refuse_constant,
    text_fields,
)
from distilbert.core.tasks.metrics import (
    Metric,
    average_precision,
    exact_match,
    hamming_loss,
    several_macro_f1,
    several_micro_f1,
)
from distilbert.core.tasks.sequence_classification import (
    matching_labels,
    ordered,
    refuse_unknown,
)
from distilbert.core.tasks.whole_texts import OfTexts
from distilbert.errors import ConfigError

#: Stands between the labels of a row where a table has only text.
SEPARATOR = "|"

#: A label is told where it is at least as likely as not.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Labels:
    """What a model says of one text.

    Attributes:
        labels: those that are at least as likely as their thresholds, the likeliest first.
        scores: the probability of each label.
    """

    labels: tuple[str, ...]
    scores: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "labels": list(self.labels)}

    def __str__(self) -> str:
        return f"{SEPARATOR.join(self.labels)}\t" + " ".join(
            f"{self.scores[name]:.4f}" for name in self.labels
        )


@dataclass(frozen=True)
class MultiLabelClassification(OfTexts):
    """The task of a folder: which labels there are, in the order of the logits, whether it reads pairs, and
    from which probability on each label is told; none is one half.
    """

    labels: tuple[str, ...]
    pair: bool = False
    thresholds: tuple[float, ...] = ()

    name: ClassVar[str] = "multi-label-classification"
    head: ClassVar[Head] = Head.SEQUENCE_CLASSIFICATION
    columns: ClassVar[tuple[str, ...]] = ("text", "text_a", "text_b", "labels")
    inputs: ClassVar[tuple[str, ...]] = ("text", "text_b")
    target: ClassVar[str] = "labels"

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Those of all labels, and each label's average precision."""
        shared: dict[str, Metric] = {
            "micro_f1": several_micro_f1,
            "macro_f1": several_macro_f1,
            "exact_match": exact_match,
            "hamming_loss": hamming_loss,
            "average_precision": average_precision,
        }
        each = {f"average_precision of {label}": _of_label(i) for i, label in enumerate(self.labels)}
        return {**shared, **each}

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table's labels are lists."""
        first = rows[0][1]
        names = (wanted["labels"],) if "labels" in wanted else LABEL_COLUMNS
        return any(isinstance(first.get(name), list) for name in names)

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
        """Examples of a table's rows: ``text``, of pairs ``text_b``, and ``labels``, a list for each.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, (*cls.columns, "label"), task=cls.name)
        names = list(rows[0][1])
        fields = text_fields(names, wanted=columns, source=source)
        if labelled:
            label = find(
                names,
                ("labels", *(name for name in LABEL_COLUMNS if name != "labels")),
                wanted=columns.get("labels") or columns.get("label"),
                what="the labels",
                task=cls.name,
                source=source,
            )
            rule = f"Every row must have a list of labels, or a text of them with {SEPARATOR} between."
            fields["labels"] = Field(label, read_labels, rule)
        return gather(cls.name, rows, fields, source=source, files=files)

    # How labels become ids and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: there is one label only, or one text.
        """
        refuse_constant(examples, "text", what="Texts to learn from")
        names = {label for row in examples.columns["labels"] for label in row}
        return cls(ordered(names), "text_b" in examples.columns)

    def truth(self, examples: Examples, *, source: str) -> Array:
        """1 where a label is true, [rows, C].

        Raises:
            DataError: a label that this task does not have.
        """
        rows = examples.columns["labels"]
        at = [examples.at(i) for i in range(len(rows))] if examples.lines else ()
        found = {label for row in rows for label in row}
        refuse_unknown(found, rows, self.labels, source=source, at=at)
        return np.array([[label in row for label in self.labels] for row in rows], np.float32)

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each item is to be told, [C], or that it is unknown."""
        if "labels" not in examples.columns:
            return [np.full(len(self.labels), np.nan, np.float32)] * len(examples)
        return list(self.truth(examples, source=source))

    # How examples become rows, and logits answers.

    def answers(
        self, logits: Sequence[Array], examples: Examples | None = None, rows: TokenRows | None = None
    ) -> list[Labels]:
        """What logits [C] say, with a probability for each label."""
        answers = []
        least = dict(zip(self.labels, self._thresholds(), strict=True))
        for row in logits:
            scores = dict(zip(self.labels, _sigmoid(row).tolist(), strict=True))
            told = sorted(
                (name for name in scores if scores[name] >= least[name]), key=lambda name: -scores[name]
            )
            answers.append(Labels(tuple(told), scores))
        return answers

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Array:
        """The answers as the metrics take them: probabilities [rows, C], moved in their order so that each
        label's threshold comes to lie at one half.
        """
        least = np.array(self._thresholds())
        return _sigmoid(np.stack(logits) - np.log(least / (1 - least)))

    def _thresholds(self) -> tuple[float, ...]:
        return self.thresholds or (THRESHOLD,) * len(self.labels)

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """Enter labels and kind into a model's configuration."""
        config.id2label = dict(enumerate(self.labels))
        config.label2id = {label: i for i, label in enumerate(self.labels)}
        config.problem_type = "multi_label_classification"

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether a classifier of that configuration answers with these labels, several at once."""
        same = tuple(config.id2label[i] for i in range(config.num_labels)) == self.labels
        return same and config.problem_type == "multi_label_classification"

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        return {"name": self.name, "labels": list(self.labels), "pair": self.pair}

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
        if config.problem_type != "multi_label_classification" or len(set(labels)) < len(labels):
            raise ConfigError(
                "A model that tells several labels has them under names of their own.",
                received=f"problem_type={config.problem_type}, labels {', '.join(labels)}, in {folder}",
                remedy="Use the model itself: DistilBertForSequenceClassification.from_pretrained(folder).",
            )
        return cls(labels, bool(facts.get("pair")))

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's.

        Raises:
            ConfigError: it has other labels, or tells one of them only.
        """
        if not isinstance(other, MultiLabelClassification):
            raise ConfigError(
                "A teacher of several labels must tell several.",
                received=f"a teacher for {getattr(other, 'name', 'something else')}",
                remedy="Fine-tune the teacher on the same training data.",
            )
        return matching_labels(self.labels, other.labels)


def read_labels(value: Any) -> list[str] | None:
    """Labels, each once; a list of none is a list."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(SEPARATOR)] if value.strip() else []
    if not isinstance(value, list):
        return None
    names = [as_text(label) for label in value]
    return None if None in names else list(dict.fromkeys(name for name in names if name is not None))


def _sigmoid(logits: Array) -> Array:
    # Written as it is published it would overflow at a logit that says never.
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))


def _of_label(number: int) -> Metric:
    """The average precision of one label."""
    return lambda truth, scores: average_precision(
        truth[:, number : number + 1], scores[:, number : number + 1]
    )
