"""Texts as vectors that lie close together where texts mean the same."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.pooling import Normalize, Pooling
from distilbert.core.sentence_texts import tokenize
from distilbert.engine.long_rows import plain_mean
from distilbert.engine.long_texts import SIDES, WHOLE, fitted
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text
from distilbert.engine.waiting import Row
from distilbert.errors import ConfigError


class SentenceEmbedding(Pipeline):
    """A list of numbers for each text.

    Vectors are made as the folder says; where it says nothing the states' mean is taken. Options:
    ``prompt_name``: which of the folder's prompts stands before texts; ``truncation``, ``truncation_side``;
    ``normalize``: True gives vectors of length one, whatever the folder says; ``dimensions``: the first
    numbers alone, of length one where all of them are; ``return_tensors``: True gives numpy arrays.
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

    def _begin(
        self,
        given: list[Any],
        *,
        on_long: str,
        prompt_name: str | None = None,
        truncation: Any = False,
        truncation_side: str = "right",
    ) -> Begun:
        side = rules.one_of(SIDES)("truncation_side", truncation_side)
        texts = [a_text(one) for one in given]
        ids, _, _ = tokenize(
            self.reader, texts, self.modules, before=self._prompt(prompt_name), max_length=WHOLE
        )
        on_long = "truncate" if truncation else on_long
        windows = fitted([Row(own) for own in ids], self.max_length, on_long=on_long, side=side)
        return Begun(windows, windows.rows, windows.cut, windows.dropped, windows.windowed)

    def _answers(
        self,
        state: Any,
        found: list[tuple[Array, ...]],
        *,
        normalize: bool | None = None,
        dimensions: int | None = None,
        return_tensors: Any = False,
    ) -> Iterable[Any]:
        vectors = self.modules.finish(np.stack(state.merged([own for own, *_ in found], plain_mean)))
        whole = normalize or any(isinstance(module, Normalize) for module in self.modules.after)
        if dimensions is not None:
            vectors = vectors[:, : rules.integer(1, vectors.shape[1])("dimensions", dimensions)]
        if normalize or (whole and dimensions is not None):
            vectors = Normalize()(vectors)
        yield from vectors if return_tensors else vectors.tolist()

    def _as_they_are(self, found: list[tuple[Array, ...]]) -> Iterable[tuple[Array, ...]]:
        return [(vector,) for vector in self.modules.finish(np.stack([own for own, *_ in found]))]

    def _prompt(self, name: str | None) -> str:
        """What stands before texts."""
        prompts = self.modules.prompts
        if name is None:
            return prompts.get(self.modules.default_prompt_name or "", "")
        if name not in prompts:
            raise ConfigError(
                f"A prompt is one of the folder's: {', '.join(prompts) or 'it has none'}.",
                received=f"prompt_name={name!r:.60}",
                remedy="Choose one of them, or put it before the text.",
            )
        if not self.modules.pooling.include_prompt:
            raise ConfigError(
                "Prompts are read as part of the text here.",
                received="a folder whose prompt is left out of the pooling",
                remedy="Embed with Embedder.",
            )
        return prompts[name]
