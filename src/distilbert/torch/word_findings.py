"""What is likely wrong with a run of hidden words here: how both models answer at some of them."""

from collections import Counter
from functools import partial

import numpy as np
import torch

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import Rows
from distilbert.core.training.findings import Finding
from distilbert.core.training.word_findings import of_hidden_words
from distilbert.torch.device import autocast
from distilbert.torch.doctor import of_all
from distilbert.torch.hearing import Teacher
from distilbert.torch.language_modelling import MaskedWords


def examine(objective: MaskedWords, tokenizer: DistilBertTokenizerFast) -> list[Finding]:
    """What is likely wrong with a run that is about to start; nothing is changed."""
    return of_hidden_words(
        objective,
        tokenizer,
        lambda models, remedy: of_all(objective, objective.recipe, models, remedy=remedy),
        partial(_looked_at, objective),
    )


def _looked_at(objective: MaskedWords, teacher: Teacher, rows: Rows) -> tuple[dict[str, float], Counter[int]]:
    """Means of what ``judge`` says of student and teacher, and about how many words of each kind."""
    model = objective.model
    training = model.training
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    kinds: Counter[int] = Counter()
    model.eval()
    with torch.no_grad(), autocast(model.device, objective.recipe.precision):
        for part in np.array_split(rows, max(1, len(rows) // objective.recipe.micro_batch_size)):
            batch = objective.micro_batch(part, 0)
            read = batch.given["reads"][objective.teachers.index(teacher)]
            if read is not None:
                hidden = batch.given["compared"][batch.given["labels"] != IGNORED_LABEL]
                kinds.update(read["kinds"][hidden].tolist())
            found, of = objective.judge(batch, by=teacher)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value)
                counts[name] = counts.get(name, 0) + of[name]
    model.train(training)
    return {name: value / max(1, counts[name]) for name, value in sums.items()}, kinds
