"""The states of a text's tokens."""

from collections.abc import Iterable
from typing import Any

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.engine.long_texts import SIDES, WHOLE, fitted, rows_of
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text


class FeatureExtraction(Pipeline):
    """Nested lists [1, S, D]: the last hidden states, special tokens' included.

    Of a text in windows each token's state is that of the window in which it is farther from an edge.
    Options: ``truncation``, ``truncation_side``; ``return_tensors``: True gives a numpy array.
    """

    head = Head.NONE
    lot = 32

    def _begin(
        self, given: list[Any], *, on_long: str, truncation: Any = False, truncation_side: str = "right"
    ) -> Begun:
        side = rules.one_of(SIDES)("truncation_side", truncation_side)
        rows = rows_of(self.reader.rows([a_text(one) for one in given], max_length=WHOLE))
        on_long = "truncate" if truncation else on_long
        windows = fitted(rows, self.max_length, on_long=on_long, side=side)
        return Begun(windows, windows.rows, windows.cut, windows.dropped, windows.windowed)

    def _answers(
        self, state: Any, found: list[tuple[Array, ...]], *, return_tensors: Any = False
    ) -> Iterable[Any]:
        for states in state.joined([own for own, *_ in found], self.max_length):
            yield states[None] if return_tensors else [states.tolist()]
