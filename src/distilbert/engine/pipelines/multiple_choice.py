"""Which of several options answers a question."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.tasks.multiple_choice import MultipleChoice as Task
from distilbert.core.tasks.reading import as_examples
from distilbert.engine.items import item_logits
from distilbert.engine.long_rows import plain_mean
from distilbert.engine.long_texts import read
from distilbert.engine.pipelines.abstract import Begun, Pipeline


class MultipleChoice(Pipeline):
    """``{"answer": …, "index": …, "score": …, "scores": […]}``.

    Inputs are ``{"question": …, "choices": […]}``, with a ``context`` if there is one.
    """

    head = Head.MULTIPLE_CHOICE

    def _begin(self, given: list[Any], *, on_long: str) -> Begun:
        examples = as_examples(given, task=Task.name, source="what was given", labelled=False)
        reading = read(Task(), self.reader, examples, max_length=self.max_length, on_long=on_long)
        return Begun((examples, reading), reading.rows, reading.cut, reading.dropped, reading.windowed)

    def _answers(self, state: Any, found: list[tuple[Array, ...]]) -> Iterable[Any]:
        examples, reading = state
        logits = [np.asarray(own) for own, *_ in found]
        whole = logits if reading.windows is None else reading.windows.merged(logits, plain_mean)
        for answer in Task().answers(item_logits(Task(), whole, reading.items), examples):
            yield answer.as_dict()
