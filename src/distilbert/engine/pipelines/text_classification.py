"""Labels of texts, with their scores."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.engine.long_rows import Mean, mean_of_one, mean_of_several, plain_mean
from distilbert.engine.long_texts import SIDES, WHOLE, fitted, rows_of
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.waiting import Row
from distilbert.errors import DataError

#: How logits become scores, and how those of windows are merged.
FUNCTIONS: dict[str, tuple[Any, Mean]] = {
    "softmax": (lambda logits: np.exp(log_softmax(logits)), mean_of_one()),
    "sigmoid": (lambda logits: 1 / (1 + np.exp(-logits)), mean_of_several()),
    "none": (lambda logits: logits, plain_mean),
}


class TextClassification(Pipeline):
    """``[{"label": …, "score": …}]`` for a text; of a list a dictionary for each.

    Inputs are texts, or ``{"text": …, "text_pair": …}``. Options: ``top_k`` (None for all labels), which
    gives a list for each input, ``function_to_apply`` ("softmax", "sigmoid", "none"), ``truncation``,
    ``truncation_side``, ``max_length``.
    """

    head = Head.SEQUENCE_CLASSIFICATION

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """As the peer's: a single text that is asked about without ``top_k`` is answered with a list."""
        answer = super().__call__(inputs, **options)
        return [answer] if isinstance(inputs, str) and "top_k" not in options else answer

    def _begin(
        self,
        given: list[Any],
        *,
        on_long: str,
        truncation: Any = False,
        truncation_side: str = "right",
        max_length: int | None = None,
    ) -> Begun:
        side = rules.one_of(SIDES)("truncation_side", truncation_side)
        on_long = "truncate" if truncation else on_long
        windows = fitted(self._rows(given), self._limit(max_length), on_long=on_long, side=side)
        return Begun(windows, windows.rows, windows.cut, windows.dropped, windows.windowed)

    def _rows(self, given: list[Any]) -> list[Row]:
        """A row for each text or pair, in their order."""
        texts = [_texts(one) for one in given]
        rows: dict[int, Row] = {}
        for pairs in (False, True):
            which = [i for i, (_, second) in enumerate(texts) if (second is not None) is pairs]
            firsts, seconds = [texts[i][0] for i in which], [texts[i][1] or "" for i in which]
            made = self.reader.rows(firsts, seconds if pairs else None, max_length=WHOLE)
            rows.update(zip(which, rows_of(made), strict=True))
        return [rows[i] for i in range(len(given))]

    def _answers(
        self, state: Any, found: list[tuple[Array, ...]], *, top_k: Any = "", function_to_apply: Any = None
    ) -> Iterable[Any]:
        name = rules.one_of(tuple(FUNCTIONS))("function_to_apply", function_to_apply or self._function())
        function, mean = FUNCTIONS[name]
        for logits in state.merged([own for own, *_ in found], mean):
            scores = function(np.asarray(logits, np.float64)[None])[0]
            ranked = [
                {"label": self.config.id2label[i], "score": float(scores[i])}
                for i in np.argsort(-scores, kind="stable").tolist()
            ]
            yield ranked[0] if top_k == "" else ranked[: top_k or None]

    def _function(self) -> str:
        if self.config.problem_type == "regression":
            return "none"
        several = self.config.problem_type == "multi_label_classification" or self.config.num_labels == 1
        return "sigmoid" if several else "softmax"


def _texts(given: Any) -> tuple[str, str | None]:
    """A text, or the two of a pair."""
    if not isinstance(given, Mapping):
        return a_text(given), None
    if "text" not in given or not given.keys() <= {"text", "text_pair"}:
        raise DataError(
            'A pair of texts is {"text": …, "text_pair": …}.',
            received=f"the keys {', '.join(map(str, given))}",
            remedy="Name both texts so.",
        )
    second = given.get("text_pair")
    return a_text(given["text"]), None if second is None else a_text(second)
