"""How good a classifier is on labelled texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import LabelledTexts
from distilbert.core.tasks.metrics import METRICS, Bootstrap, require_metrics
from distilbert.torch.classifier import TextClassifier


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
    return score(classifier, data.texts, truth, seed=seed, progress=progress)


def score(
    classifier: TextClassifier,
    texts: Sequence[str],
    truth: "np.ndarray[Any, np.dtype[np.int64]]",
    *,
    seed: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """``evaluate``, of an open classifier on texts whose label ids are ``truth`` [texts]."""
    logits, cut = classifier.logits(texts, stage="evaluate", progress=progress)
    answers = logits.argmax(axis=1)
    judged = Bootstrap(truth, {"": answers}, rng=np.random.default_rng(seed), progress=progress)
    scores = {metric: judged.score("", metric).as_dict() for metric in METRICS}
    return {**scores, "rows": len(texts), "cut_to_max_length": cut}
