"""What is likely wrong with a run of hidden words here: how both models answer at some of them."""

from collections import Counter
from functools import partial

import numpy as np

from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import Rows
from distilbert.core.training.findings import Finding
from distilbert.core.training.word_findings import of_hidden_words
from distilbert.keras.doctor import of_all
from distilbert.keras.hearing import Teacher
from distilbert.keras.language_modelling import MaskedWords


def examine(objective: MaskedWords, tokenizer: DistilBertTokenizerFast) -> list[Finding]:
    """What is likely wrong with a run that is about to start; nothing is changed."""
    return of_hidden_words(
        objective,
        tokenizer,
        lambda models, remedy: of_all(objective, objective.recipe, models, remedy=remedy),
        partial(_looked_at, objective),
    )


def _looked_at(objective: MaskedWords, teacher: Teacher, rows: Rows) -> tuple[dict[str, float], Counter[int]]:
    """Means of what ``judge`` says of student and teacher."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for part in np.array_split(rows, max(1, len(rows) // objective.recipe.micro_batch_size)):
        found, of = objective.judge(objective.micro_batch(part, 0), by=teacher)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value)
            counts[name] = counts.get(name, 0) + of[name]
    return {name: value / max(1, counts[name]) for name, value in sums.items()}, Counter()
