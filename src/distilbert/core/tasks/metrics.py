"""How good answers are, and how sure one may be of it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distilbert.errors import MissingExtraError

Ids = np.ndarray[Any, np.dtype[np.int64]]
Metric = Callable[[Ids, Ids], float]

#: Resamplings of an interval; percentiles of so many are steady to about a tenth of its width.
RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that 95% of resampled test sets give."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def accuracy(truth: Ids, answers: Ids) -> float:
    return float(np.mean(truth == answers))


def macro_f1(truth: Ids, answers: Ids) -> float:
    """F1 of each label that occurs in the truth or in the answers, averaged with equal weights."""
    try:
        from sklearn.metrics import f1_score
    except ImportError:
        raise MissingExtraError.of("train", wanted="Macro-F1", missing="scikit-learn") from None
    return float(f1_score(truth, answers, average="macro", zero_division=0))


METRICS: dict[str, Metric] = {"accuracy": accuracy, "macro_f1": macro_f1}


def estimate(metric: Metric, truth: Ids, answers: Ids, *, rng: np.random.Generator) -> Estimate:
    """A metric with its bootstrap percentile interval (Efron 1979) over the rows of the test set.

    Args:
        metric: takes true and answered ids, [rows] each.
        truth: [rows].
        answers: [rows].
        rng: draws the resamples.
    """
    return _interval(metric(truth, answers), [metric(truth[r], answers[r]) for r in _resamples(truth, rng)])


def estimate_ratio(
    metric: Metric, truth: Ids, answers: Ids, reference: Ids, *, rng: np.random.Generator
) -> Estimate:
    """``metric`` of ``answers`` over that of ``reference``, both judged on the same resampled rows."""

    def ratio(rows: Any) -> float:
        return metric(truth[rows], answers[rows]) / max(metric(truth[rows], reference[rows]), 1e-12)

    return _interval(ratio(slice(None)), [ratio(r) for r in _resamples(truth, rng)])


def estimate_difference(
    metric: Metric, truth: Ids, answers: Ids, reference: Ids, *, rng: np.random.Generator
) -> Estimate:
    """``metric`` of ``answers`` less that of ``reference``, both judged on the same resampled rows."""

    def difference(rows: Any) -> float:
        return metric(truth[rows], answers[rows]) - metric(truth[rows], reference[rows])

    return _interval(difference(slice(None)), [difference(r) for r in _resamples(truth, rng)])


def _resamples(truth: Ids, rng: np.random.Generator) -> Ids:
    return rng.integers(0, len(truth), (RESAMPLES, len(truth)))


def _interval(value: float, resampled: list[float]) -> Estimate:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
