"""How good a fine-tuned model is on labelled examples, where it errs, and how it does beside others."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.evaluation import calibrated, evaluated
from distilbert.core.tasks.reading import Table
from distilbert.keras.predictor import Predictor


def evaluate(
    model: str | Path | Predictor,
    data: Table,
    *,
    against: Sequence[str | Path | Predictor] = (),
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge a fine-tuned model's folder.

    Args:
        model: the folder, or it opened.
        data: examples with their true answers, from ``read_examples`` or as rows, each a dictionary; or
            ``LabelledTexts``.
        against: other models of the same task and labels, likewise, to answer the same examples.
        seed: of the intervals' resampling, and of the tests against chance.
        device: "auto", "cpu" or "gpu".
        progress: told of every batch.

    Returns:
        Each metric of the model's task with its 95% interval, the number of ``rows``, and how many were cut
        to the model's greatest length. Then, of whatever tasks have them: ``calibration`` (the ``error`` of
        confidence, the ``temperature``, and ``bins`` of decisions), ``classes``, ``entities``,
        ``confusion_matrix``, and the ``mistakes`` that it was surest of. With others ``against``, by name, as
        ``compare`` says.

    Raises:
        CheckpointError: the folder is not a fine-tuned model's.
        ConfigError: a model to compare with has another task or other labels.
        DataError: labels that the model does not have, or examples of another task.
    """
    opened = partial(Predictor.open, device=device)
    return evaluated(model, data, against=against, seed=seed, opened=opened, progress=progress)


def calibrate(
    folder: str | Path, data: Table, *, device: str = "auto", progress: Progress = silent
) -> dict[str, Any]:
    """Fit a folder's temperature, its thresholds where several labels may be told, or of questions that may
    have no answer when none is told; and keep them in its ``distilbert.json``, in place of those it had.

    Args:
        folder: of a fine-tuned model, on this machine.
        data: examples with their true answers, that it did not learn from.
        device: "auto", "cpu" or "gpu".
        progress: told of every batch.

    Returns:
        What the folder remembers: ``temperature``, ``thresholds`` or ``null_threshold``, and the calibration
        ``error`` or the ``f1`` before and after, on these very ``rows``.

    Raises:
        CheckpointError: the folder is not a fine-tuned model's.
        ConfigError: its task has no probabilities to fit, or it is no folder here.
        DataError: labels that the model does not have, or examples of another task.
        OutputError: the folder cannot be written.
    """
    return calibrated(folder, data, opened=partial(Predictor.open, device=device), progress=progress)
