"""How good answers are, and how sure one may be of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.errors import MissingExtraError

Ids = np.ndarray[Any, np.dtype[np.int64]]
Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: Of what is true and what was answered, [rows, ...] each: a figure.
Metric = Callable[[Any, Any], float]

#: Resamplings of an interval; percentiles of so many are steady to about a tenth of its width.
RESAMPLES = 1000


#: Metrics of which the least is the best.
_LOWEST = ("mean_squared_error", "hamming_loss")


def lower_is_better(metric: str) -> bool:
    return metric in _LOWEST


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
    """F1 of each label that occurs in the truth or in the answers, averaged with equal weights.

    As scikit-learn defines it, from counts alone, since each resample asks for it.
    """
    true, told, hits = _counts(truth, answers)
    sizes = true + told
    return float(np.mean(2 * hits[sizes > 0] / sizes[sizes > 0]))


def matthews(truth: Ids, answers: Ids) -> float:
    """Matthews' correlation of true and answered ids; 0 where either are all the same (Gorodkin 2004).

    As scikit-learn defines it, from counts alone, since each resample asks for it.
    """
    true, told, hits = _counts(truth, answers)
    rows = float(len(truth))
    spread = np.sqrt(rows**2 - told @ told) * np.sqrt(rows**2 - true @ true)
    return float((hits.sum() * rows - told @ true) / spread) if spread else 0.0


def pearson(truth: Numbers, answers: Numbers) -> float:
    """Correlation of numbers; 0 where either are all the same."""
    require_metrics()
    from scipy.stats import pearsonr

    return 0.0 if _constant(truth, answers) else float(pearsonr(truth, answers).statistic)


def spearman(truth: Numbers, answers: Numbers) -> float:
    """Correlation of ranks; 0 where either are all the same."""
    require_metrics()
    from scipy.stats import spearmanr

    return 0.0 if _constant(truth, answers) else float(spearmanr(truth, answers).statistic)


def mean_squared_error(truth: Numbers, answers: Numbers) -> float:
    return float(np.mean(np.square(truth - answers)))


def several_micro_f1(truth: Numbers, scores: Numbers) -> float:
    """F1 over all labels of all rows at once. Both are [rows, C]; a label is told from one half on."""
    hits, sizes = _overlaps(truth, scores)
    return float(2 * hits.sum() / max(1, sizes.sum()))


def several_macro_f1(truth: Numbers, scores: Numbers) -> float:
    """F1 of each label, averaged with equal weights; 0 of a label that is neither true nor told."""
    hits, sizes = _overlaps(truth, scores)
    return float(np.mean(2 * hits / np.maximum(1, sizes)))


def exact_match(truth: Numbers, scores: Numbers) -> float:
    """The share of rows of which every label is right."""
    return float(np.mean(np.all((scores >= 0.5) == (truth > 0.5), axis=1)))


def hamming_loss(truth: Numbers, scores: Numbers) -> float:
    """The share of all labels of all rows that are wrong."""
    return float(np.mean((scores >= 0.5) != (truth > 0.5)))


def average_precision(truth: Numbers, scores: Numbers) -> float:
    """The area under precision over recall of each label, averaged over those that are true anywhere.

    As scikit-learn defines it, in few steps, since each resample asks for each label's.
    """
    found = [_average_precision(truth[:, i] > 0.5, scores[:, i]) for i in range(truth.shape[1])]
    there = [value for value in found if value is not None]
    return float(np.mean(there)) if there else 0.0


def span_f1(truth: Ids, told: Ids) -> float:
    """F1 of spans over all rows.

    ``truth`` [rows, 2] counts true spans and words, ``told`` [rows, 3] told spans, those of them that are
    true, and right tags: what seqeval counts, once for all resamples.
    """
    return _share(2 * told[:, 1].sum(), truth[:, 0].sum() + told[:, 0].sum())


def span_precision(truth: Ids, told: Ids) -> float:
    """The share of the told spans that are true."""
    return _share(told[:, 1].sum(), told[:, 0].sum())


def span_recall(truth: Ids, told: Ids) -> float:
    """The share of the true spans that are told."""
    return _share(told[:, 1].sum(), truth[:, 0].sum())


def mean_accuracy(truth: Ids, told: Ids) -> float:
    """The share of all words whose tag is right."""
    return _share(told[:, 2].sum(), truth[:, 1].sum())


def mean_of(column: int, *, of: int | None = None) -> Metric:
    """The mean of one column of ``told`` over all rows, or over those whose truth is ``of``; of none, 0."""

    def mean(truth: Ids, told: Numbers) -> float:
        kept = told[:, column] if of is None else told[truth == of, column]
        return float(kept.mean()) if len(kept) else 0.0

    return mean


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
        truth: what is true of each row, such as ids [rows].
        answers: each model's, likewise.
        rng: draws the resamples.
        metrics: by name.
        progress: told of every hundredth resample.
    """

    def __init__(
        self,
        truth: Any,
        answers: Mapping[str, Any],
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


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _counts(truth: Ids, answers: Ids) -> tuple[Numbers, Numbers, Numbers]:
    """Of each label, how often it is true, is told, and is both."""
    classes = int(max(truth.max(), answers.max())) + 1
    kinds = (truth, answers, truth[truth == answers])
    true, told, hits = (np.bincount(ids, minlength=classes).astype(np.float64) for ids in kinds)
    return true, told, hits


def _constant(*numbers: Numbers) -> bool:
    return any(np.all(given == given[0]) for given in numbers)


def _overlaps(truth: Numbers, scores: Numbers) -> tuple[Ids, Ids]:
    """Of each label, how often it is both true and told, and how often either, both counting twice."""
    true, told = truth > 0.5, scores >= 0.5
    return (true & told).sum(axis=0), true.sum(axis=0) + told.sum(axis=0)


def _average_precision(truth: "np.ndarray[Any, np.dtype[np.bool_]]", scores: Numbers) -> float | None:
    """Of one label; None where it is never true."""
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    # Rows of one score are told together.
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
