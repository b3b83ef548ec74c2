"""One number for each text, or pair of texts: how alike, how good, how likely."""

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
    as_number,
    find,
    gather,
    known_columns,
    refuse_constant,
    text_fields,
)
from distilbert.core.tasks.metrics import Metric, mean_squared_error, pearson, spearman
from distilbert.core.tasks.whole_texts import OfTexts
from distilbert.errors import ConfigError

#: Columns that hold the number, in the order in which they are looked for.
NUMBER_COLUMNS = ("score", "similarity", "similarity_score", "value", "rating")


@dataclass(frozen=True)
class Estimated:
    """What a model says of one text: a number, in the unit of the training data."""

    value: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.4f}"


@dataclass(frozen=True)
class Regression(OfTexts):
    """The task of a folder: whether it reads pairs."""

    pair: bool = False

    name: ClassVar[str] = "regression"
    head: ClassVar[Head] = Head.SEQUENCE_CLASSIFICATION
    columns: ClassVar[tuple[str, ...]] = ("text", "text_a", "text_b", "score", "label")
    inputs: ClassVar[tuple[str, ...]] = ("text", "text_b")
    target: ClassVar[str] = "score"
    metrics: ClassVar[Mapping[str, Metric]] = {
        "pearson": pearson,
        "spearman": spearman,
        "mean_squared_error": mean_squared_error,
    }

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table has a column of numbers: one named so, or labels that are fractions."""
        if "label" in wanted or "score" in wanted:
            return "score" in wanted
        names = list(rows[0][1])
        label = next((name for name in LABEL_COLUMNS if name in names), None)
        if label is None:
            return any(name in names for name in NUMBER_COLUMNS)
        values = [row.get(label) for _, row in rows]
        plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        return plain and any(isinstance(value, float) and value % 1 for value in values)

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
        """Examples of a table's rows: ``text``, of pairs ``text_b``, and ``score``.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, cls.columns, task=cls.name)
        names = list(rows[0][1])
        fields = text_fields(names, wanted=columns, source=source)
        if labelled:
            wanted = columns.get("score") or columns.get("label")
            score = find(
                names,
                (*NUMBER_COLUMNS, *LABEL_COLUMNS),
                wanted=wanted,
                what="the number",
                task=cls.name,
                source=source,
            )
            fields["score"] = Field(score, as_number, "Every row must have a number to learn.")
        return gather(cls.name, rows, fields, source=source, files=files)

    # How numbers become targets and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: all texts, or all numbers, are the same.
        """
        refuse_constant(examples, "score", what="Numbers to learn")
        refuse_constant(examples, "text", what="Texts to learn from")
        return cls("text_b" in examples.columns)

    def truth(self, examples: Examples, *, source: str) -> Array:
        """What is true, [rows]."""
        return np.array(examples.columns["score"], np.float64)

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each item is to be told, [1], or that it is unknown."""
        scores = examples.columns.get("score", [np.nan] * len(examples))
        return [np.array([score], np.float32) for score in scores]

    # How examples become rows, and logits answers.

    def answers(
        self, logits: Sequence[Array], examples: Examples | None = None, rows: TokenRows | None = None
    ) -> list[Estimated]:
        """What logits [1] say."""
        return [Estimated(float(row[0])) for row in logits]

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Array:
        """The answers as the metrics take them: numbers [rows]."""
        return np.stack(logits)[:, 0].astype(np.float64)

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """Enter the kind into a model's configuration."""
        config.id2label, config.label2id = {0: "LABEL_0"}, {"LABEL_0": 0}
        config.problem_type = "regression"

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether a classifier of that configuration answers with a number."""
        return config.num_labels == 1 and config.problem_type in (None, "regression")

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        return {"name": self.name, "pair": self.pair}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(bool(facts.get("pair")))

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder.

        Raises:
            ConfigError: its classifier is of another kind.
        """
        if config.num_labels != 1 or config.problem_type not in (None, "regression"):
            raise ConfigError(
                "A model here answers with one of at least two labels, with several, or with one number.",
                received=f"problem_type={config.problem_type}, {config.num_labels} outputs, in {folder}",
                remedy="Use the model itself: DistilBertForSequenceClassification.from_pretrained(folder).",
            )
        return cls.from_facts(facts)

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's: there is one.

        Raises:
            ConfigError: it answers with something else than a number.
        """
        if not isinstance(other, Regression):
            raise ConfigError(
                "A teacher of numbers must answer with a number.",
                received=f"a teacher for {getattr(other, 'name', 'something else')}",
                remedy="Fine-tune the teacher on the same training data.",
            )
        return [0]
