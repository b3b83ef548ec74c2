"""Texts of different lengths, end to end: a batch in which no place is padding, or nearly none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.errors import DataError

Ids = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class PackedBatch:
    """Texts laid end to end in rows of one length; no token of one text attends to another's.

    Attributes:
        input_ids: [R, S].
        position_ids: [R, S], counted from 0 in each text.
        segment_ids: [R, S], the number of the text that a token is of, counted from 1; 0 is padding.
    """

    input_ids: Ids
    position_ids: Ids
    segment_ids: Ids

    def __post_init__(self) -> None:
        for name, array in vars(self).items():
            if not isinstance(array, np.ndarray) or array.dtype.kind != "i":
                kind = str(array.dtype) if isinstance(array, np.ndarray) else type(array).__name__
                raise DataError(
                    f"{name} of a packed batch is a numpy array of whole numbers.",
                    received=kind,
                    remedy="Make it with pack(rows).",
                )
        shapes = [array.shape for array in (self.input_ids, self.position_ids, self.segment_ids)]
        if len(shapes[0]) != 2 or len(set(shapes)) > 1:
            raise DataError(
                "A packed batch has ids, positions and segments of one shape [R, S].",
                received=f"input_ids {list(shapes[0])}, position_ids {list(shapes[1])}, "
                f"segment_ids {list(shapes[2])}",
                remedy="Make it with pack(rows).",
            )
        least = self.segment_ids.min(initial=0)
        counts = np.bincount(self.segment_ids.ravel(), minlength=1) if least == 0 else np.zeros(1)
        if len(counts) == 1 or not counts[1:].all():
            raise DataError(
                "The texts of a packed batch are numbered from 1 on, without gaps.",
                received=f"segment_ids with the numbers {np.unique(self.segment_ids).tolist()}",
                remedy="Make it with pack(rows).",
            )

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text, in the order of their numbers."""
        return np.bincount(self.segment_ids.ravel())[1:].tolist()

    @property
    def order(self) -> Ids:
        """Where in the flattened rows each token stands: text after text, padding left out, [T]."""
        segments = self.segment_ids.ravel()
        return np.argsort(segments, kind="stable")[np.count_nonzero(segments == 0) :]


def pack(rows: Sequence[Sequence[int] | Ids], *, length: int | None = None) -> PackedBatch:
    """Lay rows of ids end to end.

    Args:
        rows: the ids of each text, special tokens included.
        length: of the rows that they are laid into, first the longest text and each into the first row
            that has room. None makes one row that holds exactly them, in their order.

    Raises:
        DataError: no rows, an empty one, or one that is longer than ``length``.
    """
    for number, text in enumerate(rows):
        kind = text.dtype if isinstance(text, np.ndarray) else np.asarray(text).dtype
        if len(text) and kind.kind not in "iu":
            raise DataError(
                "Texts are packed as rows of ids, which are whole numbers.",
                received=f"{kind} in row {number}",
                remedy="Give what a tokenizer has made of them: tokenizer(texts)['input_ids'].",
            )
    lengths = [len(row) for row in rows]
    if not lengths or not all(lengths):
        raise DataError(
            "A packed batch is made of texts with at least one token each.",
            received=f"text {lengths.index(0)} without any" if lengths else "no texts",
            remedy="Leave out empty rows; a tokenizer gives every text its special tokens.",
        )
    if length is None:
        length, order = sum(lengths), list(range(len(rows)))
    else:
        order = sorted(range(len(rows)), key=lambda i: -lengths[i])
    if lengths[order[0]] > length:
        raise DataError(
            "A packed row must have room for the longest text.",
            received=f"length={length}, and a text of {lengths[order[0]]} tokens",
            remedy=f"Give length={lengths[order[0]]}, or cut the texts.",
        )
    filled: list[int] = []
    places: dict[int, tuple[int, int]] = {}
    for i in order:
        row = next((r for r, used in enumerate(filled) if used + lengths[i] <= length), len(filled))
        if row == len(filled):
            filled.append(0)
        places[i] = (row, filled[row])
        filled[row] += lengths[i]
    input_ids, position_ids, segment_ids = (np.zeros((len(filled), length), np.int64) for _ in range(3))
    for i, (row, start) in places.items():
        there = np.s_[row, start : start + lengths[i]]
        input_ids[there] = rows[i]
        position_ids[there] = np.arange(lengths[i])
        segment_ids[there] = i + 1
    return PackedBatch(input_ids, position_ids, segment_ids)
