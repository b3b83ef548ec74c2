"""How good a classifier is on labelled texts."""

from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import LabelledTexts
from distilbert.core.tasks.metrics import METRICS, Bootstrap, require_metrics
from distilbert.torch.classifier import TextClassifier

Ids = np.ndarray[Any, np.dtype[np.int64]]


def evaluate(
    model: str | Path,
    data: LabelledTexts,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge a classifier's folder.

    Args:
        model: the folder.
        data: texts with their true labels.
        seed: of the intervals' resampling.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every batch.

    Returns:
        Each metric with its 95% interval, the number of ``rows``, and how many were cut to the
        classifier's greatest length.

    Raises:
        CheckpointError: the folder is not a fine-tuned model's.
        DataError: labels that the classifier does not have.
    """
    require_metrics()
    classifier = TextClassifier.open(model, device=device)
    rules.integer(0)("seed", seed)
    truth = classifier.task.ids(data.labels, source="the evaluation data")
    answers, cut = classifier.ids(data.texts, stage="evaluate", progress=progress)
    return score(truth, answers, cut=cut, seed=seed, progress=progress)


def score(truth: Ids, answers: Ids, *, cut: int, seed: int, progress: Progress = silent) -> dict[str, Any]:
    """``evaluate``, of a classifier's ``answers`` to texts whose label ids are ``truth``, both [texts]."""
    judged = Bootstrap(truth, {"": answers}, rng=np.random.default_rng(seed), progress=progress)
    scores = {metric: judged.score("", metric).as_dict() for metric in METRICS}
    return {**scores, "rows": len(truth), "cut_to_max_length": cut}
