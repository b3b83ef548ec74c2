"""What a model got wrong while it was sure: often the data's mistakes before the model's."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.tasks.decisions import Decisions
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.multi_label_classification import SEPARATOR, MultiLabelClassification
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.regression import Regression

#: Mistakes that are listed, and characters of each text.
LISTED, SHOWN = 50, 300

#: Words on either side of one that was taken for another.
_AROUND = 8


def mistakes(
    task: Any,
    logits: Sequence[Array],
    examples: Examples,
    rows: TokenRows,
    decided: Decisions | None,
    *,
    most: int = LISTED,
) -> list[dict[str, Any]] | None:
    """The mistakes that a model was surest of, the surest first.

    Args:
        task: what the examples are of.
        logits: of each item.
        examples: with their true answers.
        rows: the items.
        decided: what the logits decide.
        most: mistakes.

    Returns:
        Of each ``at``, where it stands, ``text``, ``true``, ``told`` and ``confidence``, the probability of
        what was told; of numbers ``off``, by how much, in its place. None of a task whose answers are neither
        right nor wrong.
    """
    if isinstance(task, Regression):
        return _of_numbers(logits, examples, most)
    if isinstance(task, QuestionAnswering):
        return _of_answers(task, logits, examples, rows, most)
    if decided is None:
        return None
    if isinstance(task, MultiLabelClassification):
        return _of_several(task, logits, examples, decided, most)
    return _of_one(task, examples, decided, most)


def _of_one(task: Any, examples: Examples, decided: Decisions, most: int) -> list[dict[str, Any]]:
    likely = decided.probabilities()
    told = likely.argmax(axis=1)
    surest = likely.max(axis=1)
    found = []
    for i in _largest(surest, told != decided.truth, most):
        row = int(decided.of[i])
        names = getattr(task, "labels", None) or examples.columns["choices"][row]
        text = (
            _text(task, examples, row) if decided.words is None else _around(examples, row, decided.words[i])
        )
        found.append(
            {
                "at": examples.at(row),
                "text": text,
                "true": names[decided.truth[i]],
                "told": names[told[i]],
                "confidence": float(surest[i]),
            }
        )
    return found


def _of_several(
    task: MultiLabelClassification, logits: Sequence[Array], examples: Examples, decided: Decisions, most: int
) -> list[dict[str, Any]]:
    """Rows with a wrong label, by the wrong decision that was the surest."""
    likely = decided.probabilities()
    told = task.told(logits, examples) >= 0.5
    wrong = told != (decided.truth > 0)
    surest = np.where(wrong, np.where(told, likely, 1 - likely), -1.0).max(axis=1)
    answers = task.answers(logits)
    return [
        {
            "at": examples.at(i),
            "text": _text(task, examples, i),
            "true": SEPARATOR.join(examples.columns["labels"][i]),
            "told": SEPARATOR.join(answers[i].labels),
            "confidence": float(surest[i]),
        }
        for i in _largest(surest, wrong.any(axis=1), most)
    ]


def _of_numbers(logits: Sequence[Array], examples: Examples, most: int) -> list[dict[str, Any]]:
    told = np.stack(logits)[:, 0].astype(np.float64)
    off = told - np.array(examples.columns["score"], np.float64)
    return [
        {
            "at": examples.at(i),
            "text": _text(Regression, examples, i),
            "true": f"{examples.columns['score'][i]:g}",
            "told": f"{told[i]:.4g}",
            "off": float(off[i]),
        }
        for i in _largest(np.abs(off), off != 0, most)
    ]


def _of_answers(
    task: QuestionAnswering, logits: Sequence[Array], examples: Examples, rows: TokenRows, most: int
) -> list[dict[str, Any]]:
    """Answers that share no word with a true one."""
    answers = task.answers(logits, examples, rows)
    scores = np.array([answer.score for answer in answers])
    found = []
    for i in _largest(scores, task.told(logits, examples, rows)[:, 1] == 0, most):
        true = dict.fromkeys(answer.text for answer in examples.columns["answers"][i])
        found.append(
            {
                "at": examples.at(i),
                "text": _cut(examples.columns["question"][i]),
                "true": SEPARATOR.join(true) or "(none)",
                "told": answers[i].answer or "(none)",
                "confidence": answers[i].score,
            }
        )
    return found


def _largest(values: Array, wanted: Array, most: int) -> Iterator[int]:
    """Numbers of the wanted values, the largest first, those of one size in their order."""
    kept = np.flatnonzero(wanted)
    return map(int, kept[np.argsort(-values[kept], kind="stable")][:most])


def _text(task: Any, examples: Examples, row: int) -> str:
    given = (examples.columns[name][row] for name in task.inputs if name in examples.columns)
    return _cut(f" {SEPARATOR} ".join(part for part in given if isinstance(part, str) and part))


def _around(examples: Examples, row: int, word: int) -> str:
    words = list(examples.columns["words"][row])
    words[word] = f"«{words[word]}»"
    first, last = max(0, word - _AROUND), word + _AROUND + 1
    return _cut(" ".join([*(["…"] if first else []), *words[first:last], *(["…"] if words[last:] else [])]))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
