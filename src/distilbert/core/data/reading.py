"""How a teacher of another vocabulary reads what a student reads, and where both can be compared.

Two tokens can be compared that stand for the same characters of the text and are the same word to both
vocabularies. What is hidden from the student is hidden from the teacher: every token of its that shares a
character with a hidden one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.packing import PackedBatch, pack
from distilbert.core.vocabularies import Shared

Ids = np.ndarray[Any, np.dtype[np.integer[Any]]]

#: Of texts: rows of ids with the special tokens of the model, and each token's characters [start, end).
Encode = Callable[[Sequence[str]], tuple[list[list[int]], list[list[tuple[int, int]]]]]


@dataclass(frozen=True)
class Read:
    """A batch as the teacher reads it.

    Attributes:
        texts: its tokens, text after text.
        places: of each of the student's tokens the number of its counterpart among these, -1 where it has
            none, [T].
        kinds: of each of the student's tokens the kind in ``Shared`` by which both are the same, or -1, [T].
    """

    texts: PackedBatch
    places: Ids
    kinds: Ids


@dataclass(frozen=True)
class Reading:
    """
    Attributes:
        encode: the teacher's tokenizer, which cuts what is too long for it; what is cut has no counterpart.
        shared: which of its tokens are which of the student's.
        mask_token_id: its own.
        students_mask: the student's.
    """

    encode: Encode
    shared: Shared
    mask_token_id: int
    students_mask: int

    def __call__(
        self, texts: Sequence[str], spans: Sequence[Ids], true: Sequence[Ids], hidden: Sequence[Ids]
    ) -> Read:
        """
        Args:
            texts: a text for each sequence.
            spans: of each of the student's tokens its characters, [S, 2]; [0, 0] for special ones.
            true: the student's ids, [S].
            hidden: the same with some of them hidden.
        """
        rows, places, kinds = [], [], []
        before = 0
        for text, spans_S2, true_S, hidden_S, ids, offsets in zip(
            texts, spans, true, hidden, *self.encode(texts), strict=True
        ):
            row, found = np.array(ids, np.int64), np.array([stripped(text, *span) for span in offsets])
            place_S, kind_S = self._aligned(spans_S2, true_S, row, found)
            for i in np.flatnonzero(np.not_equal(hidden_S, true_S)):
                start, end = spans_S2[i]
                over = (found[:, 0] < end) & (found[:, 1] > start) & (found[:, 0] < found[:, 1])
                row[over] = self._behind(int(hidden_S[i]), int(kind_S[i]))
            rows.append(row)
            places.append(np.where(place_S < 0, -1, place_S + before))
            kinds.append(kind_S)
            before += len(row)
        return Read(pack(rows), np.concatenate(places), np.concatenate(kinds))

    def _aligned(self, spans_S2: Ids, own_S: Ids, theirs: Ids, found: Ids) -> tuple[Ids, Ids]:
        """Of each of a student's tokens the place of its counterpart in a row, and the kind; -1 for none."""
        at, own_at = _only(found), _only(spans_S2)
        places, kinds = (np.full(len(own_S), -1, np.int64) for _ in range(2))
        for span, i in own_at.items():
            if (j := at.get(span)) is None:
                continue
            alike = np.flatnonzero(self.shared.same[:, theirs[j]] == own_S[i])
            if len(alike):
                places[i], kinds[i] = j, alike[0]
        return places, kinds

    def _behind(self, hidden: int, kind: int) -> int:
        """What stands in the teacher's row for a hidden token of the student's."""
        if hidden == self.students_mask or kind < 0:
            return self.mask_token_id
        counterpart = int(self.shared.theirs[kind, hidden])
        return self.mask_token_id if counterpart < 0 else counterpart


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The characters of a token without the space before it, which some tokenizers count to it."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _only(spans: Ids) -> dict[tuple[int, int], int]:
    """Which token stands for which characters, where one does alone."""
    found: dict[tuple[int, int], int] = {}
    twice = set()
    for number, (start, end) in enumerate(spans.tolist()):
        if start < end:
            if (start, end) in found:
                twice.add((start, end))
            found[start, end] = number
    return {span: number for span, number in found.items() if span not in twice}
