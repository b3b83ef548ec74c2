"""How good answers are, beside what is true and beside the teacher's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distilbert.compression.hearing import Said
from distilbert.compression.measuring import Figure
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.metrics import Bootstrap, Metric, accuracy, pearson
from distilbert.core.tasks.regression import Regression

Array = np.ndarray[Any, Any]


def told_of(task: Any, answers: Sequence[Any]) -> Array:
    """What answers say, as the metrics take it: ids, or numbers, [rows]."""
    if isinstance(task, Regression):
        return np.array([answer.value for answer in answers], np.float64)
    return np.array([task.labels.index(answer.label) for answer in answers], np.int64)


def ask_alone(answers: Callable[[Examples], Sequence[Any]], examples: Examples) -> list[Any]:
    """Each example asked about by itself: in 8 bits the company of a text may move its scores a little."""
    return [answers(examples.take([i]))[0] for i in range(len(examples))]


def qualities(
    task: Any, examples: Examples, told: Array, said: Said, *, seed: int, progress: Progress = silent
) -> dict[str, Figure]:
    """The task's metrics and the agreement with the teacher, with the 95% intervals of resampled rows.

    Args:
        task: of both.
        examples: with what is true.
        told: the student's answers.
        said: the teacher's; rows where it says nothing have no part in the agreement.
        seed: of the resampling.
        progress: told of every hundredth resample.
    """
    truth = task.truth(examples, source="the held-out rows")
    found = _figures(truth, told, task.metrics, seed, progress)
    alike: Metric = pearson if isinstance(task, Regression) else accuracy
    known = said.known
    if known.any():
        its = said.told(task)[known]
        found |= _figures(its, told[known], {"agreement": alike}, seed, progress)
    return found


def _figures(truth: Any, told: Any, metrics: Any, seed: int, progress: Progress) -> dict[str, Figure]:
    rng = np.random.default_rng(seed)
    judged = Bootstrap(truth, {"": told}, rng=rng, metrics=metrics, progress=progress)
    return {name: Figure(**judged.score("", name).as_dict()) for name in metrics}
