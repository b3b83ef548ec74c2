"""How well vectors find the text that belongs to another among all that there are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.tasks.metrics import Metric

#: Anchors that are compared at a time.
_CHUNK = 1024


def own_ranks(vectors: Sequence[Array], texts: Sequence[Sequence[str]]) -> Array:
    """Which place each anchor's own text has, by cosine, among the texts of all, [rows], from 1.

    Texts that are the same count once. Neither an anchor itself nor another text that belongs to it is a
    wrong answer; of wrong ones that are as near as the right one half are counted before it.

    Args:
        vectors: of each example, [texts, E]: its anchor, the text that belongs to it, and others that do not.
        texts: of each example, in the same order.
    """
    numbers: dict[str, int] = {}
    kept: list[Array] = []
    for row, words in zip(vectors, texts, strict=True):
        for vector, text in zip(row[1:], words[1:], strict=True):
            if numbers.setdefault(text, len(kept)) == len(kept):
                kept.append(vector)
    own = np.array([numbers[words[1]] for words in texts])
    right: dict[str, set[int]] = defaultdict(set)
    for words, number in zip(texts, own.tolist(), strict=True):
        right[words[0]].add(number)
    anchors, candidates = (_unit(np.stack(rows)) for rows in ([row[0] for row in vectors], kept))
    ranks = np.empty(len(own))
    for start in range(0, len(own), _CHUNK):
        part = slice(start, start + _CHUNK)
        cosines = anchors[part] @ candidates.T
        rows = np.arange(len(cosines))
        best = cosines[rows, own[part]][:, None]
        for own_row, words in zip(cosines, texts[part], strict=True):
            passed = right[words[0]] | ({numbers[words[0]]} if words[0] in numbers else set())
            own_row[list(passed)] = -np.inf
        ranks[part] = 1 + (cosines > best).sum(axis=1) + (cosines == best).sum(axis=1) / 2
    return ranks


def nearer(vectors: Sequence[Array]) -> Array:
    """Whether each anchor is nearer, by cosine, to the text that belongs to it than to the other, [rows]."""
    rows = _unit(np.stack([row[:3] for row in vectors]))
    right, wrong = (np.einsum("re,re->r", rows[:, 0], rows[:, other]) for other in (1, 2))
    return (right > wrong).astype(np.float64)


def within(count: int) -> Metric:
    """How often the own text is among so many that are found."""
    return lambda truth, ranks: float((ranks <= count).mean())


def reciprocal_rank(count: int) -> Metric:
    """The mean of one over the own text's place, 0 beyond so many."""
    return lambda truth, ranks: float(np.where(ranks <= count, 1 / ranks, 0.0).mean())


def of_column(column: int, figure: Metric) -> Metric:
    """The same of one column of what was told."""
    return lambda truth, told: figure(truth, told[:, column])


#: Figures of the ranks, the first of which is said first.
FIGURES: Mapping[str, Metric] = {
    "mrr@10": reciprocal_rank(10),
    "recall@1": within(1),
    "recall@10": within(10),
}


def _unit(vectors: Array) -> Any:
    wide = vectors.astype(np.float64)
    return wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)
