"""How alike texts are: cosines of their vectors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.pooling import Normalize
from distilbert.engine.long_rows import plain_mean
from distilbert.engine.pipelines.abstract import Begun, a_text
from distilbert.engine.pipelines.sentence_embedding import SentenceEmbedding
from distilbert.errors import DataError


@dataclass(frozen=True)
class _State:
    sizes: list[int]
    windows: Any


class SentenceSimilarity(SentenceEmbedding):
    """``[0.8, 0.1]``: the cosine of a text with each of several others.

    Inputs are ``{"source_sentence": …, "sentences": […]}``. Vectors are those of sentence embedding. Options:
    ``prompt_name``, ``truncation``, ``truncation_side``.
    """

    def _begin(
        self,
        given: list[Any],
        *,
        on_long: str,
        prompt_name: str | None = None,
        truncation: Any = False,
        truncation_side: str = "right",
    ) -> Begun:
        texts = [_texts(one) for one in given]
        begun = super()._begin(
            [text for own in texts for text in own],
            on_long=on_long,
            prompt_name=prompt_name,
            truncation=truncation,
            truncation_side=truncation_side,
        )
        return replace(begun, state=_State([len(own) for own in texts], begun.state))

    def _answers(self, state: _State, found: list[tuple[Array, ...]]) -> Iterable[Any]:  # type: ignore[override]  # a cosine has no options
        pooled = np.stack(state.windows.merged([own for own, *_ in found], plain_mean))
        vectors = Normalize()(self.modules.finish(pooled).astype(np.float64))
        start = 0
        for size in state.sizes:
            source, *others = vectors[start : start + size]
            yield [float(source @ other) for other in others]
            start += size


def _texts(given: Any) -> list[str]:
    """The text and those it is held against."""
    if not isinstance(given, Mapping) or not {"source_sentence", "sentences"} <= given.keys():
        raise DataError(
            'What is compared is {"source_sentence": …, "sentences": […]}.',
            received=f"{given!r:.60}",
            remedy="Name the texts so.",
        )
    return [a_text(given["source_sentence"]), *map(a_text, given["sentences"])]
