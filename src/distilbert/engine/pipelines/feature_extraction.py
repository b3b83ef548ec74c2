"""The states of a text's tokens."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.engine.long_rows import in_windows
from distilbert.engine.long_texts import WHOLE, refuse_long, rows_of
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text


class FeatureExtraction(Pipeline):
    """Nested lists [1, S, D]: the last hidden states, special tokens' included.

    Of a text in windows each token's state is that of the window in which it is farther from an edge.
    Options: ``truncation``; ``return_tensors``: True gives a numpy array.
    """

    head = Head.NONE
    lot = 32

    def _begin(self, given: list[Any], *, truncation: Any = False) -> Begun:
        cut = truncation or self.on_long == "truncate"
        made = self.reader.rows([a_text(one) for one in given], max_length=self.max_length if cut else WHOLE)
        rows = rows_of(made)
        if self.on_long == "error":
            long = [f"input {i}" for i, row in enumerate(rows) if len(row.ids) > self.max_length]
            refuse_long(long, self.max_length)
        windows = in_windows(rows, self.max_length)
        request = self._computer.submit(windows.rows)
        self.tally.add(cut=int(np.count_nonzero(made.dropped)), windowed=windows.windowed)
        return Begun(windows, request)

    def _answers(
        self, state: Any, found: list[tuple[Array, ...]], *, return_tensors: Any = False
    ) -> Iterable[Any]:
        for states in state.joined([own for own, *_ in found], self.max_length):
            yield states[None] if return_tensors else [states.tolist()]
