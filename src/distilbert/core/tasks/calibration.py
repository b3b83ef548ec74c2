"""Probabilities that can be believed: a temperature, a threshold for each label, and how far off they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.tasks.decisions import Decisions, Numbers
from distilbert.core.tasks.multi_label_classification import THRESHOLD

#: Of a calibration error, as published (Guo et al. 2017, "On Calibration of Modern Neural Networks").
BINS = 15

#: No threshold is nearer to 0 or 1, where it would have no logit.
NEVER = 1e-9

#: Temperatures that are tried; those of published networks lie between 1 and 3.
LEAST, MOST = 0.05, 20.0


@dataclass(frozen=True)
class Calibration:
    """What was fitted on data that the model did not learn from.

    Attributes:
        temperature: that logits are divided by; no answer changes by it, only how sure it is.
        thresholds: by label, the probability from which on it is told, where several may be told.
        null_threshold: of questions that may have no answer, by how much that must be above the best one to
            be told; None leaves what the task says.
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    null_threshold: float | None = None

    @property
    def decides(self) -> bool:
        """Whether answers are others by it, and not only how sure they are."""
        return bool(self.thresholds) or self.null_threshold is not None

    def applied(self, logits: Sequence[Array]) -> Sequence[Array]:
        """Logits, divided by the temperature."""
        if self.temperature == 1.0:
            return logits
        # Wider than they came: two that differ still do after the division.
        return [np.asarray(row, np.float64) / self.temperature for row in logits]

    def task(self, task: Any) -> Any:
        """The task, with these thresholds where it has such."""
        if hasattr(task, "fitted_threshold"):
            return replace(task, fitted_threshold=self.null_threshold)
        if not hasattr(task, "thresholds"):
            return task
        of_labels = tuple(self.thresholds.get(label, THRESHOLD) for label in task.labels)
        return replace(task, thresholds=of_labels if self.thresholds else ())

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers."""
        if self.null_threshold is not None:
            return {"null_threshold": self.null_threshold}
        facts: dict[str, Any] = {"temperature": self.temperature}
        return {**facts, "thresholds": dict(self.thresholds)} if self.thresholds else facts

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        null = facts.get("null_threshold")
        return cls(float(facts.get("temperature", 1.0)), facts.get("thresholds", {}), null)

    @classmethod
    def fitted(cls, decisions: Decisions, labels: Sequence[str] = ()) -> Self:
        """On decisions whose truth is known: the temperature, then thresholds of what it makes likely."""
        temperature = fit_temperature(decisions)
        if not decisions.several:
            return cls(temperature)
        found = fit_thresholds(decisions.truth, decisions.probabilities(temperature))
        return cls(temperature, dict(zip(labels, found, strict=True)))


def fit_null_threshold(margins: Numbers, scores: Numbers) -> float:
    """The threshold above which having no answer is told, so that the mean score is the greatest.

    It lies halfway between the two margins that it parts, and a step beyond the last one where it parts none;
    of several that are as good it is the one nearest to 0, where nothing would have been fitted.

    Args:
        margins: by how much having no answer is above the best one, [rows]; infinite where that is all.
        scores: of telling the best answer, and of telling that there is none, [rows, 2].
    """
    known = np.isfinite(margins)
    places, rows = np.unique(margins[known], return_inverse=True)
    # Of each threshold, from below all margins to above them: what those up to it gain by being answered.
    gained = np.zeros(len(places))
    np.add.at(gained, rows, scores[known, 0] - scores[known, 1])
    totals = np.concatenate([[0.0], np.cumsum(gained)])
    between = np.concatenate([[places[0] - 1], (places[:-1] + places[1:]) / 2, [places[-1] + 1]])
    best = np.flatnonzero(totals >= totals.max() - 1e-9)
    return float(between[best[np.abs(between[best]).argmin()]])


def fit_temperature(decisions: Decisions) -> float:
    """The temperature at which what is true is likeliest, between ``LEAST`` and ``MOST``.

    The mean negative log-likelihood is convex in 1 / temperature, so its slope is zero at one place, which is
    found by halving. Where everything is right it has none, and likelihood grows without end: nothing is to
    be learnt of how sure to be, and it stays at 1.
    """
    known = np.where(np.isfinite(decisions.logits), decisions.logits, 0.0)
    true = (
        known * decisions.truth
        if decisions.several
        else known[np.arange(len(known)), decisions.truth][:, None]
    )

    def slope(logarithm: float) -> float:
        likely = decisions.probabilities(float(np.exp(logarithm)))
        return float(((likely * known).sum(axis=1) - true.sum(axis=1)).sum())

    low, high = np.log(LEAST), np.log(MOST)
    if slope(low) <= 0:
        return 1.0
    if slope(high) >= 0:
        return MOST
    for _ in range(60):
        middle = (low + high) / 2
        # Below the best temperature the model is too sure, and the slope is above zero.
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def fit_thresholds(truth: Array, likely: Numbers) -> list[float]:
    """For each label the threshold that makes its F1 greatest, halfway between the two probabilities that it
    parts; of several the nearest to one half, which also a label that is never true keeps.

    Args:
        truth: 1 where a label is true, [rows, C].
        likely: probabilities, [rows, C].
    """
    return [_threshold(truth[:, i] > 0, likely[:, i]) for i in range(truth.shape[1])]


def _threshold(truth: "np.ndarray[Any, np.dtype[np.bool_]]", likely: Numbers) -> float:
    if not truth.any():
        return THRESHOLD
    order = np.argsort(-likely, kind="stable")
    ranked = likely[order]
    # Rows of one probability are told together.
    last = np.flatnonzero(np.diff(ranked, append=-np.inf))
    f1 = 2 * np.cumsum(truth[order])[last] / (last + 1 + truth.sum())
    below = np.append(ranked, 0.0)[last + 1]
    # As probabilities are told from the threshold on, it must not round down to the one below.
    cuts = np.maximum((ranked[last] + below) / 2, np.nextafter(below, 1.0))
    best = np.flatnonzero(f1 == f1.max())
    # One half itself, where it parts the rows just so.
    same = [THRESHOLD for i in best if below[i] < THRESHOLD <= ranked[last[i]]]
    cut = min([*same, *cuts[best].tolist()], key=lambda cut: abs(cut - THRESHOLD))
    return float(np.clip(cut, NEVER, 1 - NEVER))


class Bin(NamedTuple):
    """Decisions of about one confidence, between ``low``, without it, and ``high``.

    ``decisions`` is their number, ``confidence`` their mean confidence, ``right`` the share that is right.
    """

    low: float
    high: float
    decisions: int
    confidence: float
    right: float


def reliability(confidence: Numbers, right: Array, *, bins: int = BINS) -> list[Bin]:
    """Decisions by their confidence, in bins of one width; empty ones are left out."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.searchsorted(edges[1:-1], confidence)
    found = []
    for i in np.unique(which):
        own = which == i
        low, high = float(edges[i]), float(edges[i + 1])
        found.append(
            Bin(low, high, int(own.sum()), float(confidence[own].mean()), float(np.mean(right[own])))
        )
    return found


def calibration_error(confidence: Numbers, right: Array, *, bins: int = BINS) -> float:
    """How far confidence is from how often it is right, on average over decisions: the expected calibration
    error (Naeini et al. 2015; Guo et al. 2017), in ``bins`` of one width.

    It has no interval: chance alone makes bins differ, and resampling adds to it, so that a resample's error
    is larger than the set's.
    """
    found = reliability(confidence, right, bins=bins)
    return sum(one.decisions * abs(one.right - one.confidence) for one in found) / max(1, len(confidence))
