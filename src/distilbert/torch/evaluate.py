"""How good a fine-tuned model is on labelled examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.metrics import Bootstrap, Metric, require_metrics
from distilbert.core.tasks.reading import Table, as_examples
from distilbert.torch.predictor import Predictor


def evaluate(
    model: str | Path | Predictor,
    data: Table,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge a fine-tuned model's folder.

    Args:
        model: the folder, or it opened.
        data: examples with their true answers, from ``read_examples`` or as rows, each a dictionary; or
            ``LabelledTexts``.
        seed: of the intervals' resampling.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every batch.

    Returns:
        Each metric of the model's task with its 95% interval, the number of ``rows``, and how many were cut
        to the model's greatest length.

    Raises:
        CheckpointError: the folder is not a fine-tuned model's.
        DataError: labels that the model does not have, or examples of another task.
    """
    require_metrics()
    predictor = model if isinstance(model, Predictor) else Predictor.open(model, device=device)
    rules.integer(0)("seed", seed)
    examples = as_examples(data, task=predictor.task.name, source="the evaluation data")
    return judge(predictor, examples, progress=progress).scores(seed=seed, progress=progress)


@dataclass(frozen=True)
class Outcome:
    """What a model answered to examples, beside what is true, as its task's metrics take both."""

    metrics: Mapping[str, Metric]
    truth: Any
    told: Any
    rows: int
    cut: int

    def scores(self, *, seed: int, progress: Progress = silent) -> dict[str, Any]:
        """What ``evaluate`` returns."""
        rng = np.random.default_rng(seed)
        judged = Bootstrap(self.truth, {"": self.told}, rng=rng, metrics=self.metrics, progress=progress)
        scores = {metric: judged.score("", metric).as_dict() for metric in self.metrics}
        return {**scores, "rows": self.rows, "cut_to_max_length": self.cut}


def judge(predictor: Predictor, examples: Examples, *, progress: Progress = silent) -> Outcome:
    """Have an open model answer examples."""
    task = predictor.task
    truth = task.truth(examples, source="the evaluation data")
    rows = predictor.rows(examples)
    logits = predictor.item_logits(rows, stage="evaluate", progress=progress)
    told = task.told(logits, examples, rows)
    return Outcome(task.metrics, truth, told, len(examples), int(np.count_nonzero(rows.dropped)))
