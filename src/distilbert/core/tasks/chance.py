"""Whether answers have anything to do with what is true, or no more than chance may have it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from distilbert.core.data.readers import Span
from distilbert.core.data.token_rows import Array
from distilbert.core.tasks.metrics import matthews

Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: Standard errors that chance hardly exceeds.
_SURE = 2.0

#: How much higher a correlation must be under other names, for these to be the right ones.
_CLEARLY_MORE = 0.2


class Related(NamedTuple):
    """How far answers go with what is true.

    Attributes:
        value: a correlation, or a share that is right.
        by_chance: what chance may come to.
        answers: over how many.
        order: where classes seem to be called by each other's names, which each is; else none.
        in_order: the correlation under those names.
    """

    value: float
    by_chance: float
    answers: int
    order: tuple[int, ...] = ()
    in_order: float = 0.0


def of_labels(said: Array, true: Array, classes: int) -> Related:
    """Ids of classes, [N] each: Matthews' correlation, which is 0 however often each is said by chance."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (said, true), 1)
    meant = _assigned(counts)
    found, renamed = matthews(true, said), matthews(true, np.array(meant)[said])
    return _related(found, renamed, meant, len(true), _SURE / np.sqrt(len(true)))


def of_several(scores: Array, true: Array) -> Related:
    """Scores and 0 or 1 for each class, [N, C]: the mean of the classes' correlations."""
    there = [i for i in range(true.shape[1]) if np.ptp(true[:, i])]
    between = np.array([[of_numbers(s, t).value for t in true.T] for s in scores.T])
    meant = _assigned(between)
    found, renamed = between[there, there].mean(), between.T[there, np.argsort(meant)[there]].mean()
    return _related(found, renamed, meant, len(true), _SURE / np.sqrt(len(true) * len(there)))


def of_numbers(said: Array, true: Array) -> Related:
    """Pearson's correlation, [N] each; 0 where either are all the same."""
    one, other = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (said, true))
    size = np.sqrt((one @ one) * (other @ other))
    return Related(float(one @ other / size) if size else 0.0, _SURE / np.sqrt(len(true)), len(true))


def of_options(said: Sequence[int], true: Sequence[int], sizes: Sequence[int]) -> Related:
    """Numbers of options out of so many, [N] each: the share that is right."""
    guessed = float(np.mean(1 / np.array(sizes)))
    by_chance = guessed + _SURE * np.sqrt(guessed * (1 - guessed) / len(sizes))
    return Related(float(np.mean(np.array(said) == np.array(true))), float(by_chance), len(sizes))


def of_spans(cases: Iterable[tuple[Span, Span, Span]]) -> Related:
    """Characters [start, end) that are told, that are true, and of the whole text: F1, beside what it would
    be if the told ones stood anywhere in the text.
    """
    found, anywhere = [], []
    for (start, end), (first, last), (low, high) in cases:
        size, wanted = end - start, last - first
        starts = np.arange(low, max(high - size, low) + 1)
        overlaps = np.minimum(starts + size, last) - np.maximum(starts, first)
        found.append(2 * max(0, min(end, last) - max(start, first)) / (size + wanted))
        anywhere.append(2 * float(np.maximum(overlaps, 0).mean()) / (size + wanted))
    more = np.array(found) - np.array(anywhere)
    by_chance = np.mean(anywhere) + _SURE * more.std() / np.sqrt(len(more))
    return Related(float(np.mean(found)), float(by_chance), len(found))


def _related(found: float, renamed: float, meant: Sequence[int], count: int, by_chance: float) -> Related:
    # Of many ways to name classes the best is good by chance as well: it has to be clear of that.
    other = renamed > max(found + _CLEARLY_MORE, 2 * by_chance)
    return Related(float(found), float(by_chance), count, tuple(meant) if other else (), float(renamed))


def _assigned(strengths: Numbers) -> list[int]:
    """For each row a column of its own, the strongest pair first; of equal ones its own number."""
    classes = len(strengths)
    own = np.eye(classes, dtype=np.int64)
    meant, taken = [-1] * classes, set()
    for place in np.lexsort((-own.ravel(), -strengths.ravel())):
        row, column = divmod(int(place), classes)
        if meant[row] < 0 and column not in taken:
            meant[row] = column
            taken.add(column)
    return meant
