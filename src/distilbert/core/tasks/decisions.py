"""What a model decided, one choice at a time, beside what is true: what its confidence is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.multiple_choice import MultipleChoice
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.token_classification import TokenClassification

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Ids = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Decisions:
    """N decisions, each among C.

    Attributes:
        logits: [N, C]; minus infinity where a decision has fewer to choose from.
        truth: the right one's id, [N]; where several may be right, 1 for each that is, [N, C].
        of: the number of the example that each decision belongs to, [N].
        words: which of the example's words it is about, [N]; None where it is about the whole.
    """

    logits: Numbers
    truth: Ids
    of: Ids
    words: Ids | None = None

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def several(self) -> bool:
        """Whether each of the C is a decision of its own, yes or no."""
        return self.truth.ndim == 2

    def probabilities(self, temperature: float = 1.0) -> Numbers:
        """Of each choice, [N, C], after the logits are divided by a temperature."""
        scaled = self.logits / temperature
        if self.several:
            return np.exp(-np.logaddexp(0.0, -scaled))
        likely = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))

    def confidence(self, temperature: float = 1.0) -> "tuple[Numbers, np.ndarray[Any, np.dtype[np.bool_]]]":
        """How sure the model was, and whether it was so: of the likeliest choice, [N]; where several may be
        right, of each being right, [N * C].
        """
        likely = self.probabilities(temperature)
        if self.several:
            return likely.ravel(), self.truth.ravel() > 0
        return likely.max(axis=1), self.logits.argmax(axis=1) == self.truth


def decisions(task: Any, logits: Sequence[Array], examples: Examples, rows: TokenRows) -> Decisions | None:
    """What a task's logits decide; None of numbers and of answers in a context, which no label counts.

    Args:
        task: with the labels of the logits.
        logits: of each item.
        examples: with their true answers.
        rows: the items.
    """
    if isinstance(task, SequenceClassification | MultiLabelClassification):
        truth = task.truth(examples, source=examples.source).astype(np.int64)
        return Decisions(np.stack(logits).astype(np.float64), truth, np.arange(len(examples)))
    if isinstance(task, MultipleChoice):
        padded = np.full((len(logits), max(map(len, logits))), -np.inf)
        for row, own in zip(padded, logits, strict=True):
            row[: len(own)] = own
        return Decisions(padded, task.truth(examples, source=examples.source), np.arange(len(examples)))
    if isinstance(task, TokenClassification):
        return _of_words(task, logits, examples, rows)
    return None


def _of_words(
    task: TokenClassification, logits: Sequence[Array], examples: Examples, rows: TokenRows
) -> Decisions | None:
    """A decision for each word that a row answers for."""
    assert rows.of is not None
    assert rows.places is not None
    targets = task.targets(examples, rows, source=examples.source)
    places = [place[:, 0] for place in rows.places]
    if not sum(map(len, places)):
        return None
    return Decisions(
        np.concatenate([own[at] for own, at in zip(logits, places, strict=True)]).astype(np.float64),
        np.concatenate([target[at] for target, at in zip(targets, places, strict=True)]),
        np.repeat(np.asarray(rows.of), [len(at) for at in places]),
        np.concatenate([place[:, 1] for place in rows.places]),
    )
