"""Words of texts with their characters, and windows of words that fit a row."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distilbert.core.data.readers import Frame, Span
from distilbert.core.data.token_rows import TokenRows
from distilbert.errors import ConfigError

#: A character that is written without spaces is a word; else letters, digits and marks together; else one
#: sign.
_IDEOGRAPHS = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+|[^\w\s]")

#: The share of a window that the next one repeats, so that no word stands at an edge in all of them.
_SHARED = 0.25


class Words(NamedTuple):
    """A text's words and the characters ``[start, end)`` of each."""

    words: list[str]
    offsets: list[Span]


def split(text: str) -> Words:
    """The words of a text; no model's tokenizer has a say in it."""
    found = list(_WORD.finditer(text))
    return Words([match[0] for match in found], [match.span() for match in found])


def joined(words: Sequence[str]) -> tuple[str, list[Span]]:
    """Words as one text, a space between them, and the characters of each."""
    offsets, at = [], 0
    for word in words:
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(words), offsets


def windows_of_words(texts: Sequence[Sequence[Sequence[int]]], frame: Frame, *, max_length: int) -> TokenRows:
    """Texts as rows: a text that is too long becomes several, which share some words.

    Each row's ``places`` are [words, 2], columns of first pieces and the numbers of their words: of those
    words that this row answers for. Of the rows that hold a word it is the one in which it is farthest from
    an edge. Words without a token stand in none.

    Args:
        texts: the tokens of each text's words.
        frame: the special tokens of a row.
        max_length: of a row, in tokens.

    Raises:
        ConfigError: a length without room for a word.
    """
    room = max_length - frame.size
    if room < 1:
        raise ConfigError(
            "A row must have room for a word beside its special tokens.",
            received=f"max_length={max_length}",
            remedy=f"Choose at least {frame.size + 1}.",
        )
    rows: list[Any] = []
    dropped: list[int] = []
    of: list[int] = []
    places: list[Any] = []
    for number, words in enumerate(texts):
        # Of a word that fills a row by itself the first pieces are kept: they are what its tag is read from.
        ids = [word[:room] for word in words]
        lost = sum(map(len, words)) - sum(map(len, ids))
        spans = _spans([len(own) for own in ids], room)
        owners = _owners(spans, len(words))
        for window, (start, end) in enumerate(spans):
            row, answered = [*frame.before], []
            for word in range(start, end):
                if ids[word] and owners[word] == window:
                    answered.append((len(row), word))
                row += ids[word]
            rows.append(np.array([*row, *frame.behind], np.int32))
            places.append(np.array(answered, np.int64).reshape(-1, 2))
            dropped.append(lost if window == 0 else 0)
            of.append(number)
    return TokenRows(rows, np.array(dropped, np.int64), of=np.array(of, np.int64), places=places)


def _spans(sizes: Sequence[int], room: int) -> list[Span]:
    """Windows of words of these sizes that together hold all of them."""
    spans: list[Span] = []
    start = 0
    while True:
        end, used = start, 0
        while end < len(sizes) and used + sizes[end] <= room:
            used += sizes[end]
            end += 1
        spans.append((start, end))
        if end >= len(sizes):
            return spans
        begin, again = end, 0
        while begin - 1 > start and again + sizes[begin - 1] <= room * _SHARED:
            begin -= 1
            again += sizes[begin]
        start = begin


def _owners(spans: Sequence[Span], words: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The window that answers for each word."""
    owners = np.zeros(words, np.int64)
    farthest = np.full(words, -1, np.int64)
    for window, (start, end) in enumerate(spans):
        inside = np.arange(start, end)
        # The ends of the text are no edges: nothing is missing beyond them.
        left = inside - start if start else np.full(len(inside), words)
        right = end - 1 - inside if end < words else np.full(len(inside), words)
        distance = np.minimum(left, right)
        better = distance > farthest[start:end]
        owners[start:end][better] = window
        farthest[start:end][better] = distance[better]
    return owners
