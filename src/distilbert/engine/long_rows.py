"""Rows that are too long for a model, in windows; and what is said of windows, merged.

Windows share a quarter. What is said of them is averaged, each counting as many times as it has tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, Indices
from distilbert.core.reference import log_softmax
from distilbert.core.text.windows import windows
from distilbert.engine.waiting import Row

#: From what is said of windows [windows, C], and what they count for, what is said of the whole.
Mean = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Windows:
    """Rows, those that were too long as several.

    Attributes:
        rows: what the model reads.
        owners: which row each is of, [rows].
        weights: the tokens of each.
        cut: rows that lost some of their tokens.
        dropped: these tokens.
        windowed: rows that come in several.
    """

    rows: list[Row]
    owners: Indices
    weights: Indices
    cut: int
    dropped: int
    windowed: int

    def merged(self, found: Sequence[Array], mean: Mean) -> list[Array]:
        """What is said of each whole row, from what is said of its windows."""
        if not self.windowed:
            return list(found)
        merged, start = [], 0
        for end in (np.flatnonzero(np.diff(self.owners, append=-1)) + 1).tolist():
            if end - start == 1:
                merged.append(found[start])
            else:
                merged.append(mean(np.stack(found[start:end]).astype(np.float64), self.weights[start:end]))
            start = end
        return merged

    def joined(self, found: Sequence[Array], max_length: int) -> list[Array]:
        """The tokens' states [S, D] of each whole row of one text, from those of its windows; where two hold
        a token, of the one in which it is farther from an edge.
        """
        shared = _shared(max_length - 2)
        joined, start = [], 0
        for end in (np.flatnonzero(np.diff(self.owners, append=-1)) + 1).tolist():
            own = [states[1:-1] for states in found[start:end]]
            first, last = found[start][:1], found[end - 1][-1:]
            before, behind = shared // 2, shared - shared // 2
            kept = [
                states[before if i else 0 : len(states) - (behind if i < len(own) - 1 else 0)]
                for i, states in enumerate(own)
            ]
            joined.append(np.concatenate([first, *kept, last]))
            start = end
        return joined


def in_windows(rows: Sequence[Row], max_length: int) -> Windows:
    """Rows of at most ``max_length`` tokens.

    Of two texts the longer one comes in windows, and the shorter one stands in each, up to half of it.
    """
    parts = [_windows(row, max_length) for row in rows]
    return Windows(
        [row for part in parts for row, _, _ in part],
        np.repeat(np.arange(len(rows)), [len(part) for part in parts]),
        np.array([weight for part in parts for _, weight, _ in part], np.int64),
        sum(any(lost for _, _, lost in part) for part in parts),
        sum(max(lost for _, _, lost in part) for part in parts),
        sum(len(part) > 1 for part in parts),
    )


def cut(rows: Sequence[Row], max_length: int, *, side: str = "right") -> Windows:
    """Rows of at most ``max_length`` tokens, what is beyond that left out; of two texts the longer one loses.

    Args:
        rows: with their special tokens, which stay.
        max_length: in tokens.
        side: where tokens are left out, "right" or "left".
    """
    made = [_cut(row, max_length, side) for row in rows]
    lost = [len(row.ids) - len(own.ids) for row, own in zip(rows, made, strict=True)]
    weights = np.array([len(row.ids) for row in made], np.int64)
    return Windows(made, np.arange(len(made)), weights, sum(map(bool, lost)), sum(lost), 0)


def plain_mean(found: Array, weights: Array) -> Array:
    """Of numbers, such as vectors."""
    return np.average(found, axis=0, weights=weights).astype(np.float32)


def mean_of_one(temperature: float = 1.0) -> Mean:
    """Of probabilities of labels one of which holds: the logits that have them, at this temperature."""

    def mean(logits: Array, weights: Array) -> Array:
        return temperature * _log_sum(_shares(weights) + log_softmax(logits / temperature))

    return mean


def mean_of_several(temperature: float = 1.0) -> Mean:
    """Of probabilities of labels several of which may hold, likewise."""

    def mean(logits: Array, weights: Array) -> Array:
        logits, shares = logits / temperature, _shares(weights)
        likely = _log_sum(shares - np.logaddexp(0.0, -logits))
        return temperature * (likely - _log_sum(shares - np.logaddexp(0.0, logits)))

    return mean


def _shares(weights: Array) -> Array:
    """Logarithms of the windows' shares, as a column."""
    return np.log(weights / weights.sum())[:, None]


def _log_sum(logarithms: Array) -> Array:
    """The logarithm of a sum over the first axis, from logarithms."""
    return np.logaddexp.reduce(logarithms, axis=0)


def _cut(row: Row, max_length: int, side: str) -> Row:
    if len(row.ids) <= max_length:
        return row
    cls, sep, second = row.ids[:1], row.ids[-1:], row.second
    if not second:
        ((a, b), _), *_ = windows(len(row.ids) - 2, None, limit=max_length - 2, side=side)
        return Row(np.concatenate([cls, row.ids[1:-1][a:b], sep]))
    one, two = row.ids[1 : second - 1], row.ids[second:-1]
    (a, b), other = windows(len(one), len(two), limit=max_length - 3, side=side)[0]
    c, d = other or (0, 0)
    return Row(np.concatenate([cls, one[a:b], sep, two[c:d], sep]), b - a + 2)


def _windows(row: Row, max_length: int) -> list[tuple[Row, int, int]]:
    """The windows of a row, with the tokens that each is of and those that are lost in it."""
    ids, second = row.ids, row.second
    if len(ids) <= max_length:
        return [(row, len(ids), 0)]
    cls, sep = ids[:1], ids[-1:]
    if not second:
        text, room = ids[1:-1], max(1, max_length - 2)
        return [(Row(np.concatenate([cls, text[a:b], sep])), b - a, 0) for a, b in _spans(text, room)]
    first, other = ids[1 : second - 1], ids[second:-1]
    room = max(2, max_length - 3)
    swapped = len(first) > len(other)
    kept, long = (other, first) if swapped else (first, other)
    lost = max(0, len(kept) - room // 2)
    kept = kept[: len(kept) - lost]
    found = []
    for a, b in _spans(long, room - len(kept)):
        one, two = (long[a:b], kept) if swapped else (kept, long[a:b])
        found.append((Row(np.concatenate([cls, one, sep, two, sep]), len(one) + 2), b - a, lost))
    return found


def _spans(text: Any, room: int) -> list[tuple[int, int]]:
    return [window.first for window in windows(len(text), None, limit=room, stride=_shared(room))]


def _shared(room: int) -> int:
    """Tokens that neighbouring windows share."""
    return room // 4
