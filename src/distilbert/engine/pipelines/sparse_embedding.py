"""Texts as a few weighted words: vectors as long as the vocabulary, nearly all of it zeros."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.engine.long_texts import SIDES, WHOLE, fitted, rows_of
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.waiting import Row


class SparseEmbedding(Pipeline):
    """``[{"index": …, "value": …}]`` for each text: tokens of the vocabulary and their weights, by index.

    Of each word of the vocabulary, log(1 + ReLU(logit)) where it is greatest among the text's tokens
    (Formal et al. 2021, SPLADE v2). Options: ``truncation``, ``truncation_side``.
    """

    head = Head.MASKED_LM
    #: Of each token the logits of a vocabulary are kept until its text is answered.
    lot = 8

    def _begin(
        self, given: list[Any], *, on_long: str, truncation: Any = False, truncation_side: str = "right"
    ) -> Begun:
        side = rules.one_of(SIDES)("truncation_side", truncation_side)
        rows = rows_of(self.reader.rows([a_text(one) for one in given], max_length=WHOLE))
        on_long = "truncate" if truncation else on_long
        windows = fitted(rows, self.max_length, on_long=on_long, side=side)
        asked = [Row(row.ids, row.second, np.arange(len(row.ids), dtype=np.int32)) for row in windows.rows]
        return Begun(windows, asked, windows.cut, windows.dropped, windows.windowed)

    def _answers(self, state: Any, found: list[tuple[Array, ...]]) -> Iterable[Any]:
        greatest = [own.max(axis=0) for own, *_ in found]
        for logits in state.merged(greatest, _greatest):
            weights = np.log1p(np.maximum(logits, 0.0))
            yield [
                {"index": index, "value": float(weights[index])} for index in np.flatnonzero(weights).tolist()
            ]


def _greatest(found: Array, weights: Array) -> Array:
    """Of windows as of tokens: where a word is heard most."""
    return found.max(axis=0)
