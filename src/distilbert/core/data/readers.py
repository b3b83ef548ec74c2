"""How models take texts to pieces, whatever their family: all that tasks ask of a model's tokenizer."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from distilbert.core.data.token_rows import Array, Ids, TokenRows
from distilbert.core.text import DistilBertTokenizerFast

#: Characters ``[start, end)`` of a text.
Span = tuple[int, int]

#: Texts that are tokenised at a time: their lists of numbers are larger than the arrays made of them.
_CHUNK = 1024


class Frame(NamedTuple):
    """The special tokens of a row: before its text, between the two of a pair, behind the last."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    behind: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many they are."""
        return sum(map(len, self))


class Pieces(NamedTuple):
    """The tokens of a text, without special ones, and the characters of each, [S, 2]."""

    input_ids: Ids
    spans: Array


class Reader(Protocol):
    """A model's tokenizer, as tasks ask it."""

    @property
    def pad_token_id(self) -> int:
        """Stands behind shorter rows."""

    @property
    def frame(self) -> Frame:
        """Of one text."""

    @property
    def pair_frame(self) -> Frame:
        """Of two texts."""

    def rows(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str] | None = None,
        *,
        max_length: int,
        cut: str = "longest_first",
    ) -> TokenRows:
        """Texts, or pairs of them, a row each.

        Args:
            firsts: the texts.
            seconds: of pairs, the second ones.
            max_length: of a row, in tokens.
            cut: of a pair that is too long "longest_first" shortens the longer text, "only_first" the first.

        Raises:
            ConfigError: a length without room for special tokens.
            DataError: something that is not a text of valid Unicode.
        """

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """The tokens of each text."""

    def words(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[list[list[int]]]:
        """The tokens of each word of each text; of a word that the model makes nothing of, none.

        Args:
            texts: which they are words of.
            words: of each text, in order; no two share a character.
        """


class OwnReader:
    """A BERT's or DistilBERT's tokenizer.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: DistilBertTokenizerFast) -> None:
        self._tokenizer = tokenizer
        cls, sep = (tokenizer.cls_token_id,), (tokenizer.sep_token_id,)
        self.frame, self.pair_frame = Frame(cls, (), sep), Frame(cls, sep, sep)

    @property
    def pad_token_id(self) -> int:
        return self._tokenizer.pad_token_id

    def rows(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str] | None = None,
        *,
        max_length: int,
        cut: str = "longest_first",
    ) -> TokenRows:
        if seconds is None:
            texts = self._tokenizer.encode_texts(firsts, max_length=max_length)
            return TokenRows(texts.input_ids, texts.dropped)
        rows: list[Ids] = []
        dropped: list[int] = []
        begins: list[int] = []
        for start in range(0, len(firsts), _CHUNK):
            made = self._tokenizer(
                list(firsts[start : start + _CHUNK]),
                list(seconds[start : start + _CHUNK]),
                truncation=cut,
                max_length=max_length,
                return_token_type_ids=True,
                verbose=False,
            )
            rows += [np.array(ids, np.int32) for ids in made["input_ids"]]
            dropped += made.dropped
            begins += [len(types) - sum(types) for types in made["token_type_ids"]]
        return TokenRows(rows, np.array(dropped, np.int64), np.array(begins, np.int64))

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        return [
            Pieces(np.array(ids, np.int32), np.array(offsets, np.int32).reshape(-1, 2))
            for start in range(0, len(texts), _CHUNK)
            for ids, offsets in self._whole(texts[start : start + _CHUNK], return_offsets_mapping=True)
        ]

    def words(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[list[list[int]]]:
        # No word's pieces depend on its neighbours, so that each is taken to pieces once.
        spelled = [[text[start:end] for start, end in own] for text, own in zip(texts, words, strict=True)]
        distinct = list(dict.fromkeys(word for own in spelled for word in own))
        known = dict(zip(distinct, (ids for (ids,) in self._whole(distinct)), strict=True))
        return [[known[word] for word in own] for own in spelled]

    def _whole(self, texts: Sequence[str], **options: Any) -> Any:
        """Of each text its ids, and what else is asked for, nothing cut and nothing added."""
        if not texts:
            return ()
        made = self._tokenizer(
            list(texts), add_special_tokens=False, truncation=False, verbose=False, **options
        )
        return zip(*(made[name] for name in ("input_ids", "offset_mapping") if name in made), strict=True)
