"""Whether one model is better than another, or could be so by chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.metrics import RESAMPLES, Bootstrap, Metric


def compare(
    truth: Any,
    own: Any,
    others: Mapping[str, Any],
    *,
    metrics: Mapping[str, Metric],
    seed: int,
    progress: Progress = silent,
) -> dict[str, dict[str, dict[str, Any]]]:
    """A model beside others that answered the same examples.

    Args:
        truth: what is true of each example, as the metrics take it.
        own: what the model answered, likewise.
        others: what each of the others did.
        metrics: by name.
        seed: of all that is drawn.
        progress: told of every hundredth resample.

    Returns:
        By other model and metric: the other's ``value``, the ``difference`` (the model's less the other's)
        with the 95% interval of resamples that both share, ``p`` of a paired permutation test, and
        ``p_of_all``, the same corrected for the number of others (Holm 1979).
    """
    rng = np.random.default_rng(seed)
    both = Bootstrap(truth, {"": own, **others}, rng=rng, metrics=metrics, progress=progress)
    chances = {
        name: permuted(truth, own, told, metrics=metrics, rng=rng, progress=progress)
        for name, told in others.items()
    }
    of_all = {metric: holm([chances[name][metric] for name in others]) for metric in metrics}
    return {
        name: {
            metric: {
                "value": both.score(name, metric).value,
                "difference": both.difference("", name, metric).as_dict(),
                "p": chances[name][metric],
                "p_of_all": of_all[metric][i],
            }
            for metric in metrics
        }
        for i, name in enumerate(others)
    }


def permuted(
    truth: Any,
    one: Any,
    other: Any,
    *,
    metrics: Mapping[str, Metric],
    rng: np.random.Generator,
    progress: Progress = silent,
) -> dict[str, float]:
    """How often two models differ at least as much as they do if, example by example, chance says which of
    them gave which answer: a paired permutation test, two-sided (Noreen 1989; Yeh 2000), for any metric.

    Of ``RESAMPLES`` draws; as what is observed counts as one of them, no p is below 1 / (``RESAMPLES`` + 1).
    """
    if np.array_equal(one, other):
        return dict.fromkeys(metrics, 1.0)
    found = {name: metric(truth, one) - metric(truth, other) for name, metric in metrics.items()}
    beyond = dict.fromkeys(metrics, 1)
    for i in range(RESAMPLES):
        swapped = (rng.random(len(truth)) < 0.5).reshape(-1, *[1] * (one.ndim - 1))
        a, b = np.where(swapped, other, one), np.where(swapped, one, other)
        for name, metric in metrics.items():
            # Sums in another order differ in their last digits, and are the same all the same.
            beyond[name] += abs(metric(truth, a) - metric(truth, b)) >= abs(found[name]) - 1e-12
        if i % 100 == 0:
            progress("hold against chance", i, RESAMPLES, {})
    return {name: count / (RESAMPLES + 1) for name, count in beyond.items()}


def holm(chances: list[float]) -> list[float]:
    """Probabilities of several tests, so that one bound holds for all of them at once (Holm 1979)."""
    adjusted = [0.0] * len(chances)
    greatest = 0.0
    for rank, i in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        greatest = max(greatest, min(1.0, (len(chances) - rank) * chances[i]))
        adjusted[i] = greatest
    return adjusted
