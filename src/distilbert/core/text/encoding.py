"""What tokenizing gives back: columns for a model, and for each row what its tokens are and came from."""

from collections import UserDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import index
from typing import Any, NamedTuple, Self

import numpy as np

from distilbert.errors import ConfigError, DataError

#: Whose tensors a ``return_tensors`` asks for. By name, as whoever asks for a wing's tensors has that wing.
_WINGS = {"pt": "torch", "jax": "jax", "tf": "keras"}


class CharSpan(NamedTuple):
    """Characters ``[start, end)`` of a text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens ``[start, end)`` of a row."""

    start: int
    end: int


@dataclass
class Encoding:
    """One row: its tokens and where each came from. Special tokens and padding come from nowhere.

    Attributes:
        ids, tokens, type_ids, attention_mask, special_tokens_mask: one for each token.
        offsets: the characters of its own text that each token came from; (0, 0) for nowhere.
        word_ids: the word, counted in its own text, or None.
        sequence_ids: 0 for the first text, 1 for the second, or None.
        overflowing: further windows of the same texts.
        dropped: tokens of the texts that this row lacks.
    """

    ids: list[int]
    tokens: list[str]
    type_ids: list[int]
    attention_mask: list[int]
    special_tokens_mask: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    sequence_ids: list[int | None]
    overflowing: list["Encoding"] = field(default_factory=list, repr=False)
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def words(self) -> list[int | None]:
        return self.word_ids

    @property
    def n_sequences(self) -> int:
        return 1 + max((s for s in self.sequence_ids if s is not None), default=0)

    def token_to_sequence(self, token_index: int) -> int | None:
        return _at(self.sequence_ids, token_index)

    def token_to_word(self, token_index: int) -> int | None:
        return _at(self.word_ids, token_index)

    def token_to_chars(self, token_index: int) -> tuple[int, int] | None:
        return None if self.token_to_sequence(token_index) is None else self.offsets[token_index]

    def word_to_tokens(self, word_index: int, sequence_index: int = 0) -> tuple[int, int] | None:
        found = [
            i
            for i, (word, sequence) in enumerate(zip(self.word_ids, self.sequence_ids, strict=True))
            if word == word_index and sequence == sequence_index
        ]
        return (found[0], found[-1] + 1) if found else None

    def word_to_chars(self, word_index: int, sequence_index: int = 0) -> tuple[int, int] | None:
        tokens = self.word_to_tokens(word_index, sequence_index)
        return (self.offsets[tokens[0]][0], self.offsets[tokens[1] - 1][1]) if tokens else None

    def char_to_token(self, char_index: int, sequence_index: int = 0) -> int | None:
        for i, (start, end) in enumerate(self.offsets):
            if self.sequence_ids[i] == sequence_index and start <= char_index < end:
                return i
        return None

    def char_to_word(self, char_index: int, sequence_index: int = 0) -> int | None:
        token = self.char_to_token(char_index, sequence_index)
        return None if token is None else self.word_ids[token]


class BatchEncoding(UserDict[str, Any]):
    """Columns by name (``input_ids``, ``attention_mask``, …), with the rows' encodings behind them.

    Args:
        data: the columns.
        encoding: the rows' encodings, or what makes them when they are first asked for.
        tensor_type: "np" or "pt": the columns become arrays.
        prepend_batch_axis: the columns are of one row, and get an axis for it.
        n_sequences: texts in a row.
        dropped: tokens of its texts that each row lacks.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | Callable[[], list[Encoding]] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
        dropped: Sequence[int] = (),
    ) -> None:
        super().__init__(data or {})
        self._encodings: list[Encoding] | None = None
        self._make: Callable[[], list[Encoding]] | None = None
        if callable(encoding):
            self._make = encoding
        elif encoding is not None:
            self._encodings = [encoding] if isinstance(encoding, Encoding) else list(encoding)
        self.n_sequences = n_sequences
        self.dropped = tuple(int(count) for count in dropped)
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    @property
    def is_fast(self) -> bool:
        """Whether the rows' encodings are known."""
        return self._encodings is not None or self._make is not None

    @property
    def encodings(self) -> list[Encoding] | None:
        if self._encodings is None and self._make is not None:
            self._encodings, self._make = self._make(), None
        return self._encodings

    def __getitem__(self, item: Any) -> Any:
        """A column by name, a row's encoding by number, or columns of some rows by slice."""
        if isinstance(item, str):
            return self.data[item]
        if isinstance(item, slice):
            return {name: column[item] for name, column in self.data.items()}
        try:
            number = index(item)
        except TypeError:
            raise KeyError("A column has a name, a row a number or a slice.") from None
        return self._row(number)

    def __getattr__(self, name: str) -> Any:
        # Not __getitem__: while unpickling there is no data yet.
        try:
            return self.__dict__["data"][name]
        except KeyError:
            raise AttributeError(f"There is no column or attribute {name!r}.") from None

    def __getstate__(self) -> dict[str, Any]:
        # What makes encodings holds the tokenizer and the texts; the encodings themselves do not.
        return {**self.__dict__, "_encodings": self.encodings, "_make": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def keys(self) -> Any:
        return self.data.keys()

    def values(self) -> Any:
        return self.data.values()

    def items(self) -> Any:
        return self.data.items()

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """The word that each token of a row is of, counted in its text; None for special tokens."""
        return self._row(batch_index).word_ids

    words = word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """The text that each token of a row is of: 0, 1, or None for special tokens."""
        return self._row(batch_index).sequence_ids

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The text that a token is of; with one index it is the token's, in row 0."""
        row, token = self._at(batch_or_token_index, token_index)
        return row.token_to_sequence(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The word that a token is of."""
        row, token = self._at(batch_or_token_index, token_index)
        return row.token_to_word(token)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters that a token came from."""
        row, token = self._at(batch_or_token_index, token_index)
        return _span(CharSpan, row.token_to_chars(token))

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word."""
        row, word = self._at(batch_or_word_index, word_index)
        return _span(TokenSpan, row.word_to_tokens(word, sequence_index))

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word."""
        row, word = self._at(batch_or_word_index, word_index)
        return _span(CharSpan, row.word_to_chars(word, sequence_index))

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that a character went into; None for a space."""
        row, character = self._at(batch_or_char_index, char_index)
        return row.char_to_token(character, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word that a character is of."""
        row, character = self._at(batch_or_char_index, char_index)
        return row.char_to_word(character, sequence_index)

    def convert_to_tensors(self, tensor_type: Any = None, prepend_batch_axis: bool = False) -> Self:
        """Make the columns arrays of numpy ("np"), PyTorch ("pt"), JAX ("jax") or TensorFlow ("tf").

        Raises:
            ConfigError: no such kind.
            DataError: rows of several lengths.
            MissingExtraError: the framework is not installed.
        """
        kind = getattr(tensor_type, "value", tensor_type)
        if kind is None:
            return self
        if kind != "np" and kind not in _WINGS:
            raise ConfigError(
                'return_tensors must be "np", "pt", "jax" or "tf".',
                received=f"return_tensors={kind!r}",
                remedy="Choose one of them, or leave it out for lists.",
            )
        for name, column in self.data.items():
            array = _array(name, [column] if prepend_batch_axis else column)
            if kind in _WINGS:
                array = import_module(f"distilbert.{_WINGS[kind]}.tensors").as_tensor(array)
            self.data[name] = array
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> Self:
        """Move PyTorch's columns to a device; other columns have none, and stay."""
        for name, column in self.data.items():
            if hasattr(column, "to"):
                self.data[name] = column.to(device=device, non_blocking=non_blocking)
        return self

    def _row(self, number: int) -> Encoding:
        encodings = self.encodings
        if encodings is None:
            raise DataError(
                "Rows are known where a tokenizer made them.",
                received="columns from elsewhere",
                remedy="Call the tokenizer on the texts.",
            )
        return encodings[number]

    def _at(self, first: int, second: int | None) -> tuple[Encoding, int]:
        return (self._row(0), first) if second is None else (self._row(first), second)


def _array(name: str, column: Any) -> "np.ndarray[Any, Any]":
    if isinstance(column, np.ndarray):
        return column
    try:
        array = np.asarray(column)
    except ValueError:
        array = np.asarray([], dtype=object)
    if array.dtype == object:
        raise DataError(
            "The rows of one array must be of one length.",
            received=f"{name} of several lengths",
            remedy="Add padding=True, and truncation=True where texts are long.",
        )
    # An empty list has no type of its own; ids are whole numbers.
    return array.astype(np.int64) if array.size == 0 else array


def _at(column: Sequence[Any], place: int) -> Any:
    """What stands there, counted from the end where it is negative; None beyond."""
    return column[place] if -len(column) <= place < len(column) else None


def _span(kind: Any, span: tuple[int, int] | None) -> Any:
    return None if span is None else kind(*span)
