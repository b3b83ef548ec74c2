"""How good, how small and how fast the three models are, measured in the same run."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.checkpoint import count_weights
from distilbert.core.files import WEIGHTS_FILE
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import LabelledTexts
from distilbert.core.tasks.metrics import METRICS, Bootstrap
from distilbert.torch.classifier import TextClassifier

MODELS = ("teacher", "student", "control")

#: Texts that are timed alone in each round, and rounds.
_ALONE = 12
_ROUNDS = 7


def judge(
    classifiers: Mapping[str, TextClassifier],
    test: LabelledTexts,
    *,
    seed: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """What each model makes of the test rows, and what that says of the student."""
    truth = classifiers["teacher"].task.ids(test.labels, source="the test rows")
    answers = {}
    for name, classifier in classifiers.items():
        logits, _ = classifier.logits(test.texts, stage=f"judge the {name}", progress=progress)
        answers[name] = logits.argmax(axis=1)

    judged = Bootstrap(truth, answers, rng=np.random.default_rng(seed), progress=progress)
    return {
        "scores": {
            name: {metric: judged.score(name, metric).as_dict() for metric in METRICS} for name in MODELS
        },
        "retention": {metric: judged.ratio("student", "teacher", metric).as_dict() for metric in METRICS},
        "student_over_control": {
            metric: judged.difference("student", "control", metric).as_dict() for metric in METRICS
        },
    }


def measure(
    classifiers: Mapping[str, TextClassifier],
    folder: Path,
    texts: Sequence[str],
    *,
    count: int,
    progress: Progress = silent,
) -> dict[str, dict[str, float]]:
    """Size and speed of each model; their timings alternate, so that a busy moment meets all of them.

    Args:
        classifiers: by name.
        folder: holds each model's folder under its name.
        texts: to classify, repeated where they are too few.
        count: texts of one throughput measurement.
        progress: told of every round.
    """
    pile = (list(texts) * count)[:count]
    alone: dict[str, list[float]] = {name: [] for name in classifiers}
    together: dict[str, list[float]] = {name: [] for name in classifiers}
    for classifier in classifiers.values():
        classifier.logits(pile[:8])
    for i in range(_ROUNDS):
        progress("measure speed", i, _ROUNDS, {})
        for name, classifier in classifiers.items():
            alone[name] += [_seconds(classifier.logits, [text]) for text in pile[:_ALONE]]
            together[name].append(_seconds(classifier.logits, pile) / count)
    progress("measure speed", _ROUNDS, _ROUNDS, {})
    return {
        name: {
            "parameters": count_weights(folder / name),
            "file_bytes": (folder / name / WEIGHTS_FILE).stat().st_size,
            "latency_ms": 1000 * statistics.median(alone[name]),
            "texts_per_s": 1 / statistics.median(together[name]),
            "slowest_texts_per_s": 1 / max(together[name]),
            "fastest_texts_per_s": 1 / min(together[name]),
        }
        for name in classifiers
    }


def _seconds(work: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    work(texts)
    return time.perf_counter() - started
