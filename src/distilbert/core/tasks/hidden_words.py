"""One hidden word of each text, and what a language model puts in its place.

Nobody is asked this: it is how two language models are held against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import Examples


@dataclass(frozen=True)
class Guess:
    """What stands in the place of a hidden word.

    Attributes:
        index: of the likeliest token in the vocabulary.
        score: its probability.
    """

    index: int
    score: float


@dataclass(frozen=True)
class HiddenWords:
    """The task of a masked language model's folder."""

    mask_token_id: int

    name: ClassVar[str] = "fill-mask"
    head: ClassVar[Head] = Head.MASKED_LM
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    #: Guesses are held against guesses, and not against the words that were hidden.
    target: ClassVar[str] = "guess"

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """A row for each text, cut, with one of its tokens hidden: which one is its text's to say."""
        rows = reader.rows(examples.columns["text"], max_length=max_length)
        hidden = [ids.copy() for ids in rows.input_ids]
        for ids in hidden:
            ids[1 + crc32(ids.tobytes()) % max(1, len(ids) - 2)] = self.mask_token_id
        return replace(rows, input_ids=hidden)

    def hidden(self, ids: Array) -> Array:
        """The columns of a row that are to be guessed."""
        return np.flatnonzero(ids == self.mask_token_id).astype(np.int32)

    def answers(self, logits: Sequence[Array], examples: Examples, rows: Any = None) -> list[Guess]:
        """A guess for each text, at the first place that is hidden in it."""
        likely = [np.exp(log_softmax(own[:1].astype(np.float64)))[0] for own in logits]
        return [Guess(int(own.argmax()), float(own.max())) for own in likely]
