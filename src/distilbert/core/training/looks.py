"""Looks at examples that are not learnt from, while a model learns to answer."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from distilbert.core.recipe import Finetuning
from distilbert.core.tasks.answering import Answerer
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.metrics import lower_is_better
from distilbert.core.tasks.sentence_embedding import judging
from distilbert.core.training.selecting import Looks
from distilbert.errors import CheckpointError, ConfigError, TrainingError

#: Is told of a look: its figures, by name.
Hear = Callable[[Mapping[str, float]], None]

Kind = TypeVar("Kind", bound=Looks)


def looks_at(
    judged: Examples | None,
    pupil: Answerer,
    recipe: Finetuning,
    *,
    items: int,
    kind: Callable[..., Kind],
    told: Hear | None = None,
    **more: Any,
) -> Kind | None:
    """The looks that a recipe asks for; None where there is nothing to look at, or nobody wants to.

    Args:
        judged: the examples to look at.
        pupil: what learns, with its task and tokenizer.
        recipe: says how often, at how many, what decides, and when it is enough.
        items: that are learnt from in an epoch.
        kind: a wing's, that keeps the best weights.
        told: of every look.
        **more: that the kind takes.

    Raises:
        ConfigError: what is to decide is no metric of the task.
    """
    task = pupil.task if judged is None else judging(pupil.task, judged)
    metric = recipe.best_by or next(iter(task.metrics))
    if metric not in task.metrics:
        raise ConfigError(
            f"What decides is one of the task's metrics: {', '.join(task.metrics)}.",
            received=f"best_by={metric!r:.80}",
            remedy="Choose one of these, or leave it to the task.",
        )
    if judged is None or not recipe.looks_per_epoch:
        return None
    if len(judged) > recipe.look_examples:
        rng = np.random.default_rng(recipe.seed)
        judged = judged.take(sorted(rng.permutation(len(judged))[: recipe.look_examples].tolist()))
    seen = judged
    rows, truth = pupil.rows(seen), task.truth(seen, source="the evaluation data")
    # Figures of single labels are for the end.
    shown = [name for name in task.metrics if name == metric or " of " not in name]

    def judge() -> Mapping[str, float]:
        try:
            logits = pupil.item_logits(rows)
        except CheckpointError as error:
            raise TrainingError(
                "Losses and gradients must stay finite.",
                received=f"answers that are none at a look: {error.received}",
                remedy="Lower --learning-rate.",
            ) from None
        answers = task.told(logits, seen, rows)
        figures = {name: task.metrics[name](truth, answers) for name in shown}
        if told is not None:
            told(figures)
        return figures

    every = max(1, round(items / recipe.batch_size / recipe.looks_per_epoch))
    return kind(
        pupil.model,
        judge,
        every,
        metric,
        lowest=lower_is_better(metric),
        patience=recipe.patience,
        **more,
    )
