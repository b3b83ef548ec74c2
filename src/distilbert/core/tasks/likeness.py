"""How alike two models of one task answer the same examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.hidden_words import HiddenWords
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.multiple_choice import MultipleChoice
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.token_classification import TokenClassification

#: What agreement counts, of each task.
AGREEMENTS = {
    SequenceClassification.name: "texts with the same label",
    MultiLabelClassification.name: "texts with the same labels",
    MultipleChoice.name: "questions with the same option",
    TokenClassification.name: "words with the same tag",
    QuestionAnswering.name: "questions with the same answer at the same place",
    Regression.name: "correlation of the numbers",
    SentenceEmbedding.name: "mean cosine of the vectors",
    HiddenWords.name: "hidden words with the same guess",
}


@dataclass(frozen=True)
class Likeness:
    """
    Attributes:
        agreement: what ``AGREEMENTS`` says of the task, at most 1.
        shifts: by how much what is told differs: probabilities of labels, tags and options, of each; of
            answers in contexts the score of each; numbers; cosines of pairs; of single vectors what their
            cosine lacks of 1.
    """

    agreement: float
    shifts: Array

    @property
    def shift(self) -> float:
        """The mean."""
        return float(np.mean(self.shifts)) if len(self.shifts) else 0.0

    @property
    def greatest(self) -> float:
        """The greatest shift."""
        return float(np.max(self.shifts)) if len(self.shifts) else 0.0


def likeness(
    task: Any, logits: Sequence[Array], others: Sequence[Array], examples: Examples, rows: TokenRows
) -> Likeness:
    """How alike two models answer.

    Args:
        task: of both.
        logits: of each item, the one model's.
        others: the other's, likewise.
        examples: that they answer.
        rows: the items.
    """
    if isinstance(task, SentenceEmbedding):
        return _of_vectors(logits, others)
    one, other = (list(task.answers(own, examples, rows)) for own in (logits, others))
    if isinstance(task, TokenClassification):
        same = [a == b for i, j in zip(one, other, strict=True) for a, b in zip(i.tags, j.tags, strict=True)]
        likely = [task.likely(own, examples, rows) for own in (logits, others)]
        shifts = [np.abs(a - b).ravel() for a, b in zip(*likely, strict=True)]
        return Likeness(_share(same), np.concatenate([*shifts, np.zeros(0)]))
    if isinstance(task, Regression):
        numbers = [np.array([answer.value for answer in own]) for own in (one, other)]
        return Likeness(_correlation(*numbers), np.abs(numbers[0] - numbers[1]))
    same = [_told(i) == _told(j) for i, j in zip(one, other, strict=True)]
    shifts = [np.abs(np.subtract(_scores(i), _scores(j))) for i, j in zip(one, other, strict=True)]
    return Likeness(_share(same), np.concatenate([*shifts, np.zeros(0)]))


def _of_vectors(logits: Sequence[Array], others: Sequence[Array]) -> Likeness:
    one, other = (np.concatenate(list(own)).astype(np.float64) for own in (logits, others))
    cosines = _cosines(one, other)
    if all(len(vectors) == 1 for vectors in logits):
        return Likeness(float(cosines.mean()), 1 - cosines)
    pairs = [np.stack([vectors[:2] for vectors in own]).astype(np.float64) for own in (logits, others)]
    told = [_cosines(own[:, 0], own[:, 1]) for own in pairs]
    return Likeness(float(cosines.mean()), np.abs(told[0] - told[1]))


def _cosines(one: Array, other: Array) -> Array:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray(np.einsum("ie,ie->i", one, other) / np.maximum(lengths, 1e-24))


def _told(answer: Any) -> Any:
    """What two answers must have in common to be the same."""
    for name in ("label", "labels", "index"):
        if hasattr(answer, name):
            told = getattr(answer, name)
            return set(told) if isinstance(told, tuple) else told
    return answer.start, answer.end


def _scores(answer: Any) -> list[float]:
    scores = getattr(answer, "scores", (answer.score,) if hasattr(answer, "score") else ())
    return list(scores.values() if isinstance(scores, dict) else scores)


def _share(same: Sequence[bool]) -> float:
    return float(np.mean(same)) if same else 1.0


def _correlation(one: Array, other: Array) -> float:
    """Pearson's; of numbers that are all the same, whether both are the same."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float(np.allclose(one, other))
    return float(np.corrcoef(one, other)[0, 1])
