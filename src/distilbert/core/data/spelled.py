"""Sequences with the text that each was made of, for models that read the text in other tokens."""

from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.data.corpus import Corpus
from distilbert.core.data.cutting import UNKNOWN_SHARE, Cutter, Parts
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.text.rows import Segment
from distilbert.errors import DataError

Spans = np.ndarray[Any, np.dtype[np.int32]]

_SPANS, _TEXTS, _TEXT_ENDS = "spans.bin", "texts.bin", "text_ends.bin"
_SPAN_TYPE: np.dtype[Any] = np.dtype("<i4")
_END_TYPE: np.dtype[Any] = np.dtype("<i8")


class SpelledCutter(Cutter):
    """As a ``Cutter``; but of a text so long that it is tokenised in parts, a sequence never spans two."""

    def __init__(self, tokenizer: DistilBertTokenizerFast, *, max_length: int, min_length: int) -> None:
        super().__init__(tokenizer, max_length=max_length, min_length=min_length)
        self._bytes = 0

    def tokens(self, texts: list[str]) -> list[Any]:
        return self._tokenizer._segments(texts)

    def __call__(self, parts: Parts, tokens: list[Segment]) -> tuple[Any, Any]:
        ids: list[Any] = [np.empty(0, np.int32)]
        spans: list[Any] = [np.empty((0, 2), np.int32)]
        texts: list[bytes] = []
        for text, segment in zip(parts.parts, tokens, strict=True):
            ids_T = np.array(segment.ids, np.int32)
            spans_T = np.array(segment.offsets, np.int32).reshape(-1, 2)
            for start in range(0, len(ids_T), self._room):
                window, own = (array[start : start + self._room] for array in (ids_T, spans_T))
                size = len(window) + 2
                if size < self._least or np.count_nonzero(window == self._unknown) / size >= UNKNOWN_SHARE:
                    self.left_out += 1
                    continue
                first, end = int(own[:, 0].min()), int(own[:, 1].max())
                # Most vocabularies have other tokens for what stands behind a space.
                first -= first > 0 and text[first - 1].isspace()
                frame = np.zeros((1, 2), np.int32)
                ids.append(np.array([self._frame[0], *window, self._frame[1]], np.int32))
                spans += [frame, own - first, frame]
                texts.append(text[first:end].encode())
        sizes = np.array([len(text) for text in texts], np.int64)
        self.beside = {
            _SPANS: np.concatenate(spans).astype(_SPAN_TYPE),
            _TEXTS: np.array(bytearray(b"".join(texts)), np.uint8),
            _TEXT_ENDS: (np.cumsum(sizes) + self._bytes).astype(_END_TYPE),
        }
        self._bytes += int(sizes.sum())
        return np.concatenate(ids), np.array([len(one) for one in ids[1:]], np.int64)


class SpelledCorpus(Corpus):
    """A corpus that also knows the characters of each sequence, and those of each token."""

    cutter = SpelledCutter

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            self._spans = np.asarray(np.memmap(folder / _SPANS, _SPAN_TYPE, "r")).reshape(-1, 2)
            self._texts = np.asarray(np.memmap(folder / _TEXTS, np.uint8, "r"))
            self._text_ends = np.asarray(np.memmap(folder / _TEXT_ENDS, _END_TYPE, "r"))
            wanted = (int(self._ends[-1]), len(self), int(self._text_ends[-1]))
            if (len(self._spans), len(self._text_ends), len(self._texts)) != wanted:
                raise ValueError("files of another size than its sequences have")
        except (OSError, ValueError) as error:
            raise DataError(
                "The folder of a tokenised text must be whole.",
                received=f"{folder}: {error}",
                remedy="Remove it; it is made again from the text.",
            ) from None

    def spelled(self, row: int) -> tuple[str, Spans]:
        """A sequence's text, and the characters [start, end) of each token, [S, 2], none of special ones."""
        start, end = (self._text_ends[row - 1] if row else 0), self._text_ends[row]
        text = self._texts[start:end].tobytes().decode()
        first = self._ends[row - 1] if row else 0
        return text, self._spans[first : self._ends[row]].astype(np.int32)
