"""A vector for each text, close to those of texts that mean the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.pooling import Normalize, Pooling
from distilbert.core.sentence_folders import SentenceModules, read_modules
from distilbert.core.sentence_texts import tokenize
from distilbert.core.tasks import retrieval
from distilbert.core.tasks.examples import (
    Examples,
    Field,
    Numbered,
    as_number,
    as_text,
    find,
    find_texts,
    gather,
    known_columns,
    refuse_constant,
)
from distilbert.core.tasks.metrics import Metric, mean_of, pearson, spearman
from distilbert.core.tasks.regression import NUMBER_COLUMNS
from distilbert.core.tasks.whole_texts import MeetsAtTexts
from distilbert.errors import ConfigError, DataError

#: Columns of two texts that belong together, beside those of pairs.
_TOGETHER = (("anchor", "positive"), ("query", "positive"))
_NEGATIVE = "negative"

#: The columns of an example's texts, in the order in which their vectors stand.
TEXTS = ("text", "text_b", "negative")

#: What can be learnt, and the texts of an example that it needs.
LOSSES = {"contrastive": 2, "cosine": 2, "margin": 3, "teacher": 1}


@dataclass(frozen=True)
class Embedded:
    """What a model says of one text: its vector."""

    vector: list[float]

    def as_dict(self) -> dict[str, Any]:
        return {"vector": self.vector}

    def __str__(self) -> str:
        return " ".join(f"{number:.5g}" for number in self.vector)


@dataclass(frozen=True)
class Likened:
    """What a model says of two texts: the cosine of their vectors."""

    value: float

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def __str__(self) -> str:
        return f"{self.value:.4f}"


@dataclass(frozen=True)
class SentenceEmbedding(MeetsAtTexts):
    """The task of a folder.

    Attributes:
        modules: what makes a vector of a text's states.
        loss: a name in ``LOSSES``: what examples are learnt by.
        unit: what scores are divided by, so that none is more than 1.
        judged_by: "scores", "pairs" that are to find each other, or "triplets", which of two is nearer.
    """

    modules: SentenceModules = field(default_factory=SentenceModules, compare=False)
    loss: str = "teacher"
    unit: float = 1.0
    judged_by: str = "scores"

    name: ClassVar[str] = "sentence-embedding"
    head: ClassVar[Head] = Head.NONE
    columns: ClassVar[tuple[str, ...]] = (
        "text", "text_a", "text_b", "anchor", "positive", "negative", "score",
    )  # fmt: skip
    inputs: ClassVar[tuple[str, ...]] = ("text", "text_b")
    target: ClassVar[str] = "score"
    #: What is given may be a text, two, or three.
    single: ClassVar[bool] = False

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What judges it: correlations with scores, or how well texts find what belongs to them."""
        if self.judged_by == "scores":
            return {"spearman": spearman, "pearson": pearson}
        if self.judged_by == "pairs":
            return retrieval.FIGURES
        found = {name: retrieval.of_column(1, figure) for name, figure in retrieval.FIGURES.items()}
        return {"triplet_accuracy": mean_of(0), **found}

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table has texts that belong together, under names that say so."""
        names = {*rows[0][1], *wanted}
        return any(one in names and other in names for one, other in _TOGETHER)

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
        """Examples of a table's rows: ``text``, of pairs ``text_b``, of triplets ``negative``; and ``score``,
        None where the table does not say how alike two texts are.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, cls.columns, task=cls.name)
        names = list(rows[0][1])
        given = _text_columns(names, columns, source)
        rule = "Every row must have its texts."
        fields = {name: Field(column, as_text, rule) for name, column in given.items()}
        score = columns.get("score") or next((name for name in NUMBER_COLUMNS if name in names), None)
        scored = labelled and score is not None and "text_b" in fields and "negative" not in fields
        if scored:
            score = find(names, NUMBER_COLUMNS, wanted=score, what="the number", task=cls.name, source=source)
            fields["score"] = Field(score, as_number, "Every row must say how alike its texts are.")
        examples = gather(cls.name, rows, fields, source=source, files=files)
        if labelled and not scored:
            return replace(examples, columns={**examples.columns, "score": [None] * len(examples)})
        return examples

    # How scores become targets and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: all texts, or all scores, are the same.
        """
        refuse_constant(examples, "text", what="Texts to learn from")
        if _is_scored(examples):
            refuse_constant(examples, "score", what="Scores to learn")
            return cls(loss="cosine", unit=max(1.0, *map(abs, examples.columns["score"])))
        told = {1: "teacher", 2: "contrastive", 3: "margin"}
        return cls(loss=told[len(_texts_of(examples))])

    def learning(self, loss: str, examples: Examples) -> Self:
        """The same by another loss; "auto" leaves it.

        Raises:
            DataError: the examples lack what that loss needs.
        """
        if loss == "auto":
            return self
        missing = [name for name in TEXTS[: LOSSES[loss]] if name not in examples.columns]
        if loss == "cosine" and not _is_scored(examples):
            missing.append("score")
        if missing:
            raise DataError(
                f"To learn by the {loss} loss, examples must have {', '.join(missing)}.",
                received=f"{', '.join(_texts_of(examples))} in {examples.source}",
                remedy="Add the column, or leave the loss to be told from the columns: auto.",
            )
        return replace(self, loss=loss)

    def on(self, folder: Path, *, pooling: str | None = None) -> Self:
        """The same for a model to learn from: its folder's modules, else a normalised mean.

        Raises:
            ConfigError: modules that cannot learn.
        """
        modules = read_modules(folder) or SentenceModules(after=(Normalize(),))
        if pooling is not None:
            modules = replace(modules, pooling=Pooling((pooling,)))
        return replace(self, modules=_whole_prompts(modules, folder))

    @staticmethod
    def can_judge(examples: Examples) -> bool:
        """Whether examples say which texts belong together, or how alike they are."""
        return "text_b" in examples.columns

    def truth(self, examples: Examples, *, source: str) -> Array:
        """How alike the texts are, [rows]; where that is not said, that the second belongs to the first.

        Raises:
            DataError: examples of one text.
        """
        if not SentenceEmbedding.can_judge(examples):
            raise DataError(
                "What judges vectors is pairs of texts, with a score or without, or triplets.",
                received=f"single texts in {examples.source}",
                remedy="Give a table with text_a, text_b and score, or with anchor and positive.",
            )
        return np.array(
            examples.columns["score"] if _is_scored(examples) else [1.0] * len(examples), np.float64
        )

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each item is to be told, [1]: its score in ``unit``, or that there is none to tell."""
        scores = examples.columns.get("score", [None] * len(examples))
        return [np.array([np.nan if score is None else score / self.unit], np.float32) for score in scores]

    # How examples become rows, and vectors answers.

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """An item for each example, of as many rows as it has texts."""
        names = _texts_of(examples)
        texts = [text for row in examples.rows(*names) for text in row]
        name = self.modules.default_prompt_name
        before = self.modules.prompts.get(name, "") if name else ""
        ids, dropped, _ = tokenize(reader, texts, self.modules, before=before, max_length=max_length)
        return TokenRows(ids, dropped).grouped([len(names)] * len(examples))

    def answers(
        self, logits: Sequence[Array], examples: Examples | None = None, rows: TokenRows | None = None
    ) -> Sequence[Embedded | Likened]:
        """What vectors [texts, E] say: of one text itself, of more the cosine of the first two."""
        if all(len(vectors) == 1 for vectors in logits):
            return [Embedded(vectors[0].tolist()) for vectors in logits]
        return [Likened(float(value)) for value in _cosines(logits)]

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Array:
        """What ``metrics`` take: the cosine of each example's first two texts, [rows]; of "pairs" the place
        at which each anchor finds its own text, [rows]; of "triplets" whether that is the nearer one, and
        the place, [rows, 2].
        """
        if self.judged_by == "scores":
            return _cosines(logits)
        names = _texts_of(examples)
        ranks = retrieval.own_ranks(logits, list(examples.rows(*names)))
        return ranks if self.judged_by == "pairs" else np.stack([retrieval.nearer(logits), ranks], axis=1)

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """A configuration knows nothing of vectors; what it knew of labels goes."""
        config.problem_type = None

    def has_head(self, config: EncoderConfig) -> bool:
        """There is no head to be another's."""
        return True

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task; the rest is in ``modules.json``."""
        return {"name": self.name, "loss": self.loss, "unit": self.unit}

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder.

        Raises:
            CheckpointError: a file of its modules is damaged.
            ConfigError: it has modules of other kinds, or none.
        """
        place = Path(str(folder))
        modules = read_modules(place)
        if modules is None:
            raise ConfigError(
                "A folder of sentence embeddings has a modules.json.",
                received=f"none in {folder}",
                remedy="Copy or save the model again.",
            )
        unit = facts.get("unit")
        return cls(
            _whole_prompts(modules, place),
            str(facts.get("loss", "teacher")),
            float(unit) if isinstance(unit, int | float) and unit > 0 else 1.0,
        )

    def matching(self, other: Any) -> list[int]:
        """Vectors have no labels to match.

        Raises:
            ConfigError: the other model gives none.
        """
        if not isinstance(other, SentenceEmbedding):
            raise ConfigError(
                "A teacher of vectors must give vectors.",
                received=f"a teacher for {getattr(other, 'name', 'something else')}",
                remedy="Name a sentence-embedding folder, with a modules.json.",
            )
        return []


def judging(task: Any, examples: Examples) -> Any:
    """A task as examples judge it: vectors by whatever is known of their texts, all others as they are."""
    if not isinstance(task, SentenceEmbedding):
        return task
    if _is_scored(examples):
        return replace(task, judged_by="scores")
    return replace(task, judged_by="triplets" if _NEGATIVE in examples.columns else "pairs")


def _text_columns(names: Sequence[str], wanted: Mapping[str, str], source: str) -> dict[str, str]:
    """The table's columns of an example's texts."""
    renamed = {"anchor": "text", "text_a": "text", "positive": "text_b"}
    given = {renamed.get(name, name): column for name, column in wanted.items() if name != "score"}
    for one, other in _TOGETHER:
        if one in names and other in names and "text" not in given:
            given = {"text": one, "text_b": other, **given}
    first, second = find_texts(names, wanted=given, source=source)
    found = {"text": first} if second is None else {"text": first, "text_b": second}
    negative = given.get(_NEGATIVE) or (_NEGATIVE if _NEGATIVE in names else None)
    if negative is None or second is None:
        return found
    what = "the text that does not belong to the first"
    task = SentenceEmbedding.name
    return {
        **found,
        _NEGATIVE: find(names, (_NEGATIVE,), wanted=negative, what=what, task=task, source=source),
    }


def _texts_of(examples: Examples) -> list[str]:
    return [name for name in TEXTS if name in examples.columns]


def _is_scored(examples: Examples) -> bool:
    scores = examples.columns.get("score", [None])
    return bool(scores) and scores[0] is not None


def _cosines(logits: Sequence[Array]) -> Array:
    pairs = np.stack([vectors[:2] for vectors in logits]).astype(np.float64)
    lengths = np.linalg.norm(pairs, axis=-1)
    found: Array = np.einsum("id,id->i", *pairs.swapaxes(0, 1)) / np.maximum(lengths.prod(axis=1), 1e-24)
    return found


def _whole_prompts(modules: SentenceModules, folder: Path) -> SentenceModules:
    if modules.default_prompt_name and not modules.pooling.include_prompt:
        raise ConfigError(
            "Training and judging read prompts as part of the text.",
            received=f"a prompt that is used unasked and left out of the pooling, in {folder}",
            remedy="Embed with it through Embedder, or set default_prompt_name to null.",
        )
    return modules
