"""Examples as rows of tokens: of one text or two, one row each or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.collate import attention_mask, pad

Ids = np.ndarray[Any, np.dtype[np.int32]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TokenRows:
    """What is read of some items: each is a row, or several that belong together.

    Attributes:
        input_ids: one int32 array a row.
        dropped: tokens of each item that did not fit, [items].
        seconds: of pairs, the column at which each row's second text begins, [rows].
        starts: where items have several rows, each one's first, and the number of all, [items + 1].
        of: where an example may be several items, the example of each, [items].
        places: of each item, where its tokens come from, as its task says.
    """

    input_ids: list[Ids]
    dropped: Indices
    seconds: Indices | None = None
    starts: Indices | None = None
    of: Indices | None = None
    places: list[Array] | None = None

    def __len__(self) -> int:
        return len(self.input_ids) if self.starts is None else len(self.starts) - 1

    @property
    def lengths(self) -> Indices:
        """Of each item, in tokens of its longest row, [items]."""
        rows = np.array([len(ids) for ids in self.input_ids], np.int64)
        if self.starts is None or not len(rows):
            return rows
        return np.maximum.reduceat(rows, self.starts[:-1])

    def grouped(self, sizes: Sequence[int]) -> Self:
        """The same rows, so many of which make up each item."""
        starts = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
        dropped = np.add.reduceat(self.dropped, starts[:-1]) if len(sizes) else self.dropped
        return type(self)(self.input_ids, dropped, self.seconds, starts)

    def followed_by(self, more: Self) -> Self:
        """These items and then those; what each came from is not kept."""
        seconds = starts = None
        if self.seconds is not None and more.seconds is not None:
            seconds = np.concatenate([self.seconds, more.seconds])
        if self.starts is not None and more.starts is not None:
            starts = np.concatenate([self.starts, self.starts[-1] + more.starts[1:]])
        dropped = np.concatenate([self.dropped, more.dropped])
        return type(self)([*self.input_ids, *more.input_ids], dropped, seconds, starts)

    def of_items(self, items: Indices) -> Indices:
        """The numbers of some items' rows."""
        if self.starts is None or not len(items):
            return items
        return np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in items])

    def batch(self, items: Indices, *, pad_token_id: int, token_types: bool) -> dict[str, Array]:
        """Some items as arrays for a model.

        Args:
            items: their numbers.
            pad_token_id: stands behind the shorter rows.
            token_types: say which text of a pair each token is of, as a BERT is told.

        Returns:
            ``input_ids`` and ``attention_mask`` [B, S], of pairs ``token_type_ids``, and where items have
            several rows ``sizes`` [items], how many each has.
        """
        rows = self.of_items(items)
        texts = [self.input_ids[row] for row in rows]
        given: dict[str, Array] = {
            "input_ids": pad(texts, value=pad_token_id),
            "attention_mask": attention_mask(texts),
        }
        if token_types and self.seconds is not None:
            columns = np.arange(given["input_ids"].shape[1])
            second = (columns >= self.seconds[rows][:, None]) & (given["attention_mask"] > 0)
            given["token_type_ids"] = second.astype(np.int64)
        if self.starts is not None:
            given["sizes"] = np.diff(self.starts)[items]
        return given


def stacked(arrays: Sequence[Array]) -> Array:
    """Arrays of as many axes as one array, [items, ...]; what the smaller lack is unknown.

    Unknown is ``IGNORED_LABEL`` among whole numbers and not-a-number among others.
    """
    shape = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    whole = np.issubdtype(arrays[0].dtype, np.integer)
    out = np.full(
        (len(arrays), *shape), IGNORED_LABEL if whole else np.nan, np.int64 if whole else np.float32
    )
    for i, array in enumerate(arrays):
        out[i, ...][tuple(slice(0, size) for size in array.shape)] = array
    return out


def by_item(rows: Array, sizes: Array, fill: int) -> Array:
    """Rows [rows, S] of items, one after the other, as [items, most rows of an item, S].

    Args:
        rows: of all items.
        sizes: how many each item has, [items].
        fill: stands where an item has fewer.
    """
    found = np.full((len(sizes), int(sizes.max()), rows.shape[1]), fill, rows.dtype)
    for i, (start, size) in enumerate(zip(np.cumsum(sizes) - sizes, sizes, strict=True)):
        found[i, :size] = rows[start : start + size]
    return found


def is_known(array: Array) -> Array:
    """Where something is said, in an array as ``stacked`` makes them."""
    return array != IGNORED_LABEL if np.issubdtype(array.dtype, np.integer) else np.isfinite(array)
