"""Tokens of texts put together to rows: cut, framed by special tokens, padded; as lists or as arrays."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from distilbert.core.text.encoding import Encoding
from distilbert.core.text.options import Cutting, Padding
from distilbert.core.text.vocabulary import Vocabulary
from distilbert.core.text.windows import Window, windows
from distilbert.errors import ConfigError, DataError


class Segment(NamedTuple):
    """A text's tokens, without special ones: id, characters, and the word of each."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    words: list[int]


class Row(NamedTuple):
    """Which tokens of which sample stand in a row, and how many of the sample's do not."""

    sample: int
    window: Window
    dropped: int


class Frame(NamedTuple):
    """The special tokens of a row: before the texts and after each of them, or none."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    def size(self, *, pair: bool) -> int:
        return len(self.before) + len(self.after) * (1 + pair)

    def around(self, first: Sequence[Any], second: Sequence[Any] | None, special: Sequence[Any]) -> list[Any]:
        """Values of the texts' tokens between those of the special ones: before, after each text."""
        before, middle, end = special
        row = [before] * len(self.before)
        row += first
        row += [middle] * len(self.after)
        if second is not None:
            row += second
            row += [end] * len(self.after)
        return row


class Rows:
    """The rows that a call of a tokenizer comes to.

    Args:
        tokens: knows the special tokens.
        firsts: ids of each sample's first text.
        seconds: of its second text, where there are pairs.
        framed: with special tokens.
        cut: what happens to long rows.
        pad: what happens to short ones.
        overflowing: what is cut off makes further rows.

    Raises:
        ConfigError: rows too short for their special tokens.
    """

    def __init__(
        self,
        tokens: Vocabulary,
        firsts: Sequence[Sequence[int]],
        seconds: Sequence[Sequence[int]] | None,
        *,
        framed: bool,
        cut: Cutting,
        pad: Padding,
        overflowing: bool,
    ) -> None:
        self._tokens, self._firsts, self._seconds, self._pad = tokens, firsts, seconds, pad
        self._frame = Frame((tokens.cls_token_id,), (tokens.sep_token_id,)) if framed else Frame((), ())
        extra = self._frame.size(pair=seconds is not None)
        self._rows = list(self._cut(cut, extra, overflowing))
        self.lengths = [_count(row.window) + extra for row in self._rows]
        self.width = pad.width(max(self.lengths, default=0))

    @property
    def samples(self) -> list[int]:
        """The sample that each row is of."""
        return [row.sample for row in self._rows]

    @property
    def dropped(self) -> list[int]:
        """How many of its sample's tokens each row lacks."""
        return [row.dropped for row in self._rows]

    @property
    def padded_lengths(self) -> list[int]:
        return [max(length, self.width or 0) for length in self.lengths]

    def column(self, name: str, *, array: bool = False) -> Any:
        """A row of values for each row.

        Args:
            name: "input_ids", "token_type_ids", "attention_mask" or "special_tokens_mask".
            array: as one array [B, S] of int64.

        Raises:
            DataError: an array of rows of several lengths.
        """
        if not array:
            return [self._padded(list(row), self._filler(name)) for row in self._values(name)]
        widths = set(self.padded_lengths) or {0}
        if len(widths) > 1:
            raise DataError(
                "The rows of one array must be of one length.",
                received=f"rows of {min(widths)} to {max(widths)} tokens",
                remedy="Add padding=True, and truncation=True where texts are long.",
            )
        (width,) = widths
        if name == "attention_mask":
            places = np.arange(width) if self._pad.side == "right" else np.arange(width)[::-1]
            return (places < np.array(self.lengths, np.int64)[:, None]).astype(np.int64)
        out = np.full((len(self._rows), width), self._filler(name), np.int64)
        for i, row in enumerate(self._values(name)):
            place = slice(0, len(row)) if self._pad.side == "right" else slice(width - len(row), width)
            out[i, place] = row
        return out

    def encodings(self, firsts: Sequence[Segment], seconds: Sequence[Segment] | None) -> list[Encoding]:
        """Each row with where its tokens came from; the further rows of a sample overflow from its first."""
        columns = {name: self.column(name) for name in _FILLERS}
        special = columns["special_tokens_mask"]
        made: list[Encoding] = []
        main: dict[int, Encoding] = {}
        for i, row in enumerate(self._rows):
            one, two = firsts[row.sample], seconds[row.sample] if seconds is not None else None
            encoding = Encoding(
                ids=columns["input_ids"][i],
                tokens=[self._tokens.convert_ids_to_tokens(number) for number in columns["input_ids"][i]],
                type_ids=columns["token_type_ids"][i],
                attention_mask=columns["attention_mask"][i],
                special_tokens_mask=special[i],
                offsets=self._detail(row, one.offsets, two and two.offsets, (0, 0)),
                word_ids=self._detail(row, one.words, two and two.words, None),
                sequence_ids=self._detail(row, [0] * len(one.ids), two and [1] * len(two.ids), None),
                dropped=row.dropped,
            )
            made.append(encoding)
            if (first := main.setdefault(row.sample, encoding)) is not encoding:
                first.overflowing.append(encoding)
        return made

    def _cut(self, cut: Cutting, extra: int, overflowing: bool) -> Iterator[Row]:
        limit = None if cut.max_length is None else cut.max_length - extra
        if limit is not None and limit < 0:
            raise ConfigError(
                "A row must have room for its special tokens.",
                received=f"max_length={cut.max_length} for {extra} special tokens",
                remedy=f"Choose at least {extra}, or add_special_tokens=False.",
            )
        for i, first in enumerate(self._firsts):
            size, more = len(first), None if self._seconds is None else len(self._seconds[i])
            stride = cut.stride if overflowing else 0
            made = windows(size, more, limit=limit, strategy=cut.strategy, stride=stride, side=cut.side)
            for window in made if overflowing else made[:1]:
                yield Row(i, window, size + (more or 0) - _count(window))

    def _values(self, name: str) -> Iterator[Sequence[int]]:
        """A column's values row by row, unpadded."""
        if name == "input_ids":
            special = [*self._frame.before, *self._frame.after, *self._frame.after] or [0, 0, 0]
            for row in self._rows:
                (start, end), second = row.window
                more = None if second is None or self._seconds is None else self._seconds[row.sample]
                part = None if more is None or second is None else more[second[0] : second[1]]
                yield self._frame.around(self._firsts[row.sample][start:end], part, special)
            return
        one, two, constants = _CONSTANTS[name]
        for row in self._rows:
            (start, end), second = row.window
            part = None if second is None else [two] * (second[1] - second[0])
            yield self._frame.around([one] * (end - start), part, constants)

    def _detail(
        self, row: Row, first: Sequence[Any], second: Sequence[Any] | None, nothing: Any
    ) -> list[Any]:
        """Values of the texts' tokens as a padded row, with ``nothing`` for special tokens and padding."""
        (start, end), span = row.window
        part = None if span is None or second is None else second[span[0] : span[1]]
        return self._padded(self._frame.around(first[start:end], part, [nothing] * 3), nothing)

    def _padded(self, row: list[Any], filler: Any) -> list[Any]:
        missing = [filler] * ((self.width or 0) - len(row))
        return row + missing if self._pad.side == "right" else missing + row

    def _filler(self, name: str) -> int:
        # Rows that are padded have a token for it; where there is none, this fills nothing.
        return self._tokens.pad_token_id or 0 if name == "input_ids" else _FILLERS[name]


#: What padding holds in each column; that of ``input_ids`` is the vocabulary's to say.
_FILLERS = {"input_ids": 0, "token_type_ids": 0, "attention_mask": 0, "special_tokens_mask": 1}

#: What the first text's tokens hold, the second's, and the special ones: before, between and at the end.
_CONSTANTS = {
    "token_type_ids": (0, 1, (0, 0, 1)),
    "attention_mask": (1, 1, (1, 1, 1)),
    "special_tokens_mask": (0, 0, (1, 1, 1)),
}


def _count(window: Window) -> int:
    return sum(end - start for start, end in (window.first, window.second or (0, 0)))
