"""Tokens of texts to the sequences of a language model, many at a time and without a loop over them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.text import DistilBertTokenizerFast

Ids = np.ndarray[Any, np.dtype[np.int32]]
Lengths = np.ndarray[Any, np.dtype[np.int64]]

#: A sequence with this share of unknown tokens is in another language, or not text.
UNKNOWN_SHARE = 0.5

#: Characters that are tokenised at a time, in texts or parts of texts of at most so many characters, and how
#: many of these at most: enough to fill the cores, few enough for their memory.
BATCH_CHARACTERS, PART_CHARACTERS, BATCH_PARTS = 2**19, 2**16, 2**13

#: After each of these a text may be taken apart without changing its tokens: spaces between words, and marks
#: that are tokens of their own.
_ENDS = " \n\t.,;:!?\u3002\uff0c\u3001\uff01\uff1f"


@dataclass(frozen=True)
class Parts:
    """Texts to tokenise together, long ones in parts.

    Attributes:
        parts: the texts, or what they were cut into.
        last: for each part, whether its text ends with it. The end of a text may be in a later batch.
    """

    parts: list[str]
    last: list[bool]


def batches(texts: Iterable[str], ends: str) -> Iterator[Parts]:
    """Texts in batches of bounded size, whatever their own.

    Args:
        texts: any.
        ends: characters after which a long text may be cut; none, and it stays whole.
    """
    parts: list[str] = []
    last: list[bool] = []
    size = 0
    for text in texts:
        for part, is_last in _parted(text, ends):
            parts.append(part)
            last.append(is_last)
            size += len(part)
            if size >= BATCH_CHARACTERS or len(parts) >= BATCH_PARTS:
                yield Parts(parts, last)
                parts, last, size = [], [], 0
    if parts:
        yield Parts(parts, last)


def ends_for(tokenizer: DistilBertTokenizerFast) -> str:
    """The characters after which a text may be taken apart: none, where a tokenizer's rules are its own.

    A character within an added token is none of them, since that token may go on after it.
    """
    if not tokenizer.can_save_slow_tokenizer:  # some other normaliser or way to split than BERT's
        return ""
    added = "".join(tokenizer.get_added_vocab())
    return "".join(end for end in _ENDS if end not in added)


def _parted(text: str, ends: str) -> Iterator[tuple[str, bool]]:
    start = 0
    while ends and len(text) - start > PART_CHARACTERS:
        stop = start + PART_CHARACTERS
        found = max(text.rfind(end, start, stop) for end in ends)
        if found < 0:
            found = min((at for end in ends if (at := text.find(end, stop)) >= 0), default=len(text))
        if found + 1 >= len(text):
            break
        yield text[start : found + 1], False
        start = found + 1
    yield text[start:] if start else text, True


class Cutter:
    """Cuts the tokens of texts, batch after batch, into [CLS] … [SEP] sequences; none is lost to length.

    Args:
        tokenizer: says which ids frame a sequence and which is unknown.
        max_length: tokens of a sequence, special ones included.
        min_length: shorter ones are left out.

    Attributes:
        left_out: how many sequences were too short or mostly unknown, so far.
        beside: arrays to keep beside the ids of the last batch, by the file that they go on.
    """

    def __init__(self, tokenizer: DistilBertTokenizerFast, *, max_length: int, min_length: int) -> None:
        self._tokenizer = tokenizer
        self._frame = tokenizer.cls_token_id, tokenizer.sep_token_id
        self._unknown = tokenizer.unk_token_id
        self._room, self._least = max_length - 2, min_length
        self._begun: Ids = np.empty(0, np.int32)
        self.left_out = 0
        self.beside: dict[str, np.ndarray[Any, Any]] = {}

    def tokens(self, texts: list[str]) -> list[Any]:
        """The tokens of each text, without special ones, as a call takes them."""
        return self._tokenizer._ids(texts)

    def __call__(self, parts: Parts, tokens: list[Any]) -> tuple[Ids, Lengths]:
        """The sequences of a batch: their ids end to end [T], and their lengths.

        Args:
            parts: the texts.
            tokens: of each part.
        """
        ids_T, lengths = self._texts(tokens, parts.last)
        lengths = lengths[lengths > 0]
        # Each text's windows, one after the other; as all of it is in one of them, so lie their starts.
        windows = -(-lengths // self._room)
        first = np.cumsum(windows) - windows
        nth = np.arange(windows.sum()) - np.repeat(first, windows)
        size = np.minimum(np.repeat(lengths, windows) - nth * self._room, self._room)
        if not len(size):
            return np.empty(0, np.int32), size
        start = np.cumsum(size) - size
        unknown = np.add.reduceat((ids_T == self._unknown).astype(np.int64), start)
        kept = (size + 2 >= self._least) & (unknown / (size + 2) < UNKNOWN_SHARE)
        self.left_out += int(len(kept) - kept.sum())
        return self._framed(ids_T[np.repeat(kept, size)], size[kept])

    def _texts(self, part_ids: list[list[int]], last: list[bool]) -> tuple[Ids, Lengths]:
        """The tokens of the batch's texts and their numbers; of a text that goes on, without the rest."""
        sizes = np.array([len(ids) for ids in part_ids], np.int64)
        ids_T = np.concatenate([self._begun, *(np.array(ids, np.int32) for ids in part_ids)])
        ends = np.array(last, np.int64)
        text = np.cumsum(ends) - ends
        lengths = np.bincount(text, weights=sizes).astype(np.int64)
        lengths[0] += len(self._begun)
        rest = 0 if last[-1] else int(lengths[-1] % self._room)
        lengths[-1] -= rest
        self._begun = ids_T[len(ids_T) - rest :]
        return ids_T[: len(ids_T) - rest], lengths

    def _framed(self, ids_T: Ids, size: Lengths) -> tuple[Ids, Lengths]:
        lengths = size + 2
        end = np.cumsum(lengths)
        framed = np.empty(int(lengths.sum()), np.int32)
        inner = np.ones(len(framed), bool)
        for at, token in zip((end - lengths, end - 1), self._frame, strict=True):
            framed[at] = token
            inner[at] = False
        framed[inner] = ids_T
        return framed, lengths
