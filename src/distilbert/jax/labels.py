"""The objective of fine-tuning: the true answers, and a teacher's, on labelled and unlabelled examples."""

from collections.abc import Collection, Mapping
from typing import Any

from distilbert.core.data.token_rows import Array as Numbers
from distilbert.core.data.token_rows import Indices
from distilbert.core.training.labelled import Labelled
from distilbert.jax.answering import answers_of, batch_of, label_sum, logits_of, teacher_sum
from distilbert.jax.modules import Array
from distilbert.jax.train import Objective, Sums


class Labels(Labelled, Objective):
    """What is learnt, item by item.

    Args:
        *given: as ``Labelled`` takes them.
        frozen: keys of parameters that do not learn.
    """

    def __init__(self, *given: Any, frozen: Collection[str] = ()) -> None:
        super().__init__(*given)
        self.extra: dict[str, Array] = {}
        self.still: dict[str, Array] = {}
        self.frozen = frozenset(frozen)

    def given(self, items: Indices, answers: Mapping[str, Numbers]) -> dict[str, Any]:
        most = self.recipe.micro_batch_size
        given = batch_of(self.rows, items, self.model, self.pad_token_id, most=most)
        return {**given, **answers_of(self.task, answers, given)}

    def losses(
        self,
        model: Any,
        extra: Mapping[str, Array],
        still: Any,
        given: Mapping[str, Array],
        scales: Mapping[str, Array],
        key: Array | None,
    ) -> tuple[Array, Sums]:
        logits = logits_of(self.task.head, model, given, key)
        sums: Sums = {}
        if "labels" in scales:
            sums["labels"] = label_sum(self.task, logits, given["labels"], self.label_weights)
        if "teacher" in scales:
            temperature = self.recipe.temperature
            sums["teacher"] = teacher_sum(self.task, logits, given["teacher"], temperature=temperature)
        return sum(scales[name] * value for name, value in sums.items()), sums
