"""How good answers are, and how sure one may be of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distilbert.core.progress import Progress, silent
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
    require_metrics()
    from sklearn.metrics import f1_score

    return float(f1_score(truth, answers, average="macro", zero_division=0))


def require_metrics() -> None:
    """Say at once, and not after a training, that scores cannot be computed.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        import sklearn.metrics  # noqa: F401  # a package can be there and not work
    except ImportError:
        raise MissingExtraError.of("train", wanted="Macro-F1", missing="scikit-learn") from None


METRICS: dict[str, Metric] = {"accuracy": accuracy, "macro_f1": macro_f1}


class Bootstrap:
    """Several models judged on one test set, and on the same resamples of its rows (Efron 1979).

    That the resamples are shared is what makes ratios and differences sharp: a row that is hard for
    one model is mostly hard for the others.

    Args:
        truth: the true ids, [rows].
        answers: each model's ids, [rows].
        rng: draws the resamples.
        metrics: by name.
        progress: told of every hundredth resample.
    """

    def __init__(
        self,
        truth: Ids,
        answers: Mapping[str, Ids],
        *,
        rng: np.random.Generator,
        metrics: Mapping[str, Metric] = METRICS,
        progress: Progress = silent,
    ) -> None:
        self._values: dict[tuple[str, str], list[float]] = {
            (metric, model): [] for metric in metrics for model in answers
        }
        everything = np.arange(len(truth))
        resamples = rng.integers(0, len(truth), (RESAMPLES, len(truth)))
        for i, rows in enumerate([everything, *resamples]):
            for (metric, model), values in self._values.items():
                values.append(metrics[metric](truth[rows], answers[model][rows]))
            if i % 100 == 0:
                progress("weigh the scores", i, RESAMPLES, {})

    def score(self, model: str, metric: str) -> Estimate:
        return _estimate(self._of(metric, model))

    def ratio(self, model: str, other: str, metric: str) -> Estimate:
        """The model's score as a share of the other's."""
        return _estimate(self._of(metric, model) / np.maximum(self._of(metric, other), 1e-12))

    def difference(self, model: str, other: str, metric: str) -> Estimate:
        """The model's score less the other's."""
        return _estimate(self._of(metric, model) - self._of(metric, other))

    def _of(self, metric: str, model: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return np.array(self._values[metric, model])


def _estimate(values: "np.ndarray[Any, np.dtype[np.float64]]") -> Estimate:
    """The value on the test set itself, which is the first, with the percentiles of the resamples."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high))
