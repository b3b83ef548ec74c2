"""How alike texts are: cosines of their vectors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.pooling import Normalize, Pooling
from distilbert.core.sentence_texts import tokenize
from distilbert.engine.long_rows import in_windows, plain_mean
from distilbert.engine.long_texts import WHOLE, refuse_long
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.waiting import Row
from distilbert.errors import ConfigError, DataError


@dataclass(frozen=True)
class _State:
    sizes: list[int]
    windows: Any


class SentenceSimilarity(Pipeline):
    """``[0.8, 0.1]``: the cosine of a text with each of several others.

    Inputs are ``{"source_sentence": …, "sentences": […]}``. Vectors are made as the folder says; where it
    says nothing the states' mean is taken.
    """

    head = Head.NONE

    def _pooling(self) -> Pooling:
        if not self.modules.pooling.include_prompt and self.modules.default_prompt_name:
            raise ConfigError(
                "Prompts are read as part of the text here.",
                received="a folder whose prompt is left out of the pooling",
                remedy="Embed with Embedder, or set default_prompt_name to null.",
            )
        return self.modules.pooling

    def _begin(self, given: list[Any]) -> Begun:
        texts = [_texts(one) for one in given]
        name = self.modules.default_prompt_name
        before = self.modules.prompts.get(name, "") if name else ""
        limit = self.max_length if self.on_long == "truncate" else WHOLE
        every = [text for own in texts for text in own]
        ids, dropped, _ = tokenize(self.reader, every, self.modules, before=before, max_length=limit)
        if self.on_long == "error":
            refuse_long(
                [f"text {i}" for i, own in enumerate(ids) if len(own) > self.max_length], self.max_length
            )
        windows = in_windows([Row(own) for own in ids], self.max_length)
        request = self._computer.submit(windows.rows)
        self.tally.add(cut=int(np.count_nonzero(dropped)), windowed=windows.windowed)
        return Begun(_State([len(own) for own in texts], windows), request)

    def _answers(self, state: _State, found: list[tuple[Array, ...]]) -> Iterable[Any]:
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
