"""Running text to sequences of a masked language model, as the published distillation prepares it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import DataError

Ids = np.ndarray[Any, np.dtype[np.int32]]

#: Texts are tokenised so many at a time: enough to fill the cores, few enough to show progress.
_CHUNK = 2000

#: A sequence with this share of unknown tokens is in another language, or not text.
_UNKNOWN_SHARE = 0.5


@dataclass(frozen=True)
class Sequences:
    """Texts cut into [CLS] … [SEP] rows.

    Attributes:
        rows: int32 ids, one array a sequence.
        texts: how many texts there were.
        left_out: how many pieces of them were too short or mostly unknown.
    """

    rows: list[Ids]
    texts: int
    left_out: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Ids:
        return self.rows[row]

    @property
    def lengths(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        return np.array([len(row) for row in self.rows], np.int64)

    def facts(self) -> dict[str, int]:
        return {
            "texts": self.texts,
            "sequences": len(self.rows),
            "tokens": int(self.lengths.sum()),
            "left_out": self.left_out,
        }


def sequences(
    texts: Iterable[str],
    tokenizer: DistilBertTokenizerFast,
    *,
    max_length: int,
    min_length: int,
    progress: Progress = silent,
) -> Sequences:
    """Tokenise texts and cut them into sequences of at most ``max_length`` tokens; none is lost to length.

    Raises:
        DataError: nothing is left.
    """
    rows: list[Ids] = []
    count = left_out = 0
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        for ids in tokenizer.encode_texts(chunk).input_ids:
            for row in _windows(ids, max_length):
                unknown = np.mean(row == tokenizer.unk_token_id)
                if len(row) < min_length or unknown >= _UNKNOWN_SHARE:
                    left_out += 1
                else:
                    rows.append(row)
        count += len(chunk)
        progress("tokenise the text", count, None, {"sequences": len(rows)})
    if not rows:
        raise DataError(
            f"A language model needs text: sequences of at least {min_length} known tokens.",
            received=f"{count} texts, none of which gives one",
            remedy="Give longer texts, or lower min_length in the recipe.",
        )
    return Sequences(rows, count, left_out)


def _windows(ids: Ids, max_length: int) -> Iterator[Ids]:
    first, inner, last = ids[:1], ids[1:-1], ids[-1:]
    for start in range(0, len(inner), max_length - 2):
        yield np.concatenate([first, inner[start : start + max_length - 2], last])
