"""The objective of fine-tuning: the true answers, and a teacher's, on labelled and unlabelled examples."""

from collections.abc import Collection, Mapping
from typing import Any

from distilbert.core.data.token_rows import Array as Numbers
from distilbert.core.data.token_rows import Indices
from distilbert.core.training.labelled import Labelled
from distilbert.keras.answering import batch_of, label_sum, logits_of, narrowed, teacher_sum
from distilbert.keras.modules import Tensor
from distilbert.keras.train import Objective, Sums


class Labels(Labelled, Objective):
    """What is learnt, item by item.

    Args:
        *given: as ``Labelled`` takes them.
        frozen: keys of parameters that do not learn.
    """

    def __init__(self, *given: Any, frozen: Collection[str] = ()) -> None:
        super().__init__(*given)
        self.extra: dict[str, Any] = {}
        self.frozen = frozenset(frozen)

    def given(self, items: Indices, answers: Mapping[str, Numbers]) -> dict[str, Any]:
        return {**batch_of(self.rows, items, self.model, self.pad_token_id), **narrowed(answers)}

    def losses(
        self, given: Mapping[str, Tensor], scales: Mapping[str, Tensor], key: Tensor | None
    ) -> tuple[Tensor, Sums]:
        logits = logits_of(self.task.head, self.model, given, key)
        sums: Sums = {}
        if "labels" in scales:
            sums["labels"] = label_sum(self.task, logits, given["labels"], self.label_weights)
        if "teacher" in scales:
            temperature = self.recipe.temperature
            sums["teacher"] = teacher_sum(self.task, logits, given["teacher"], temperature=temperature)
        return sum(scales[name] * value for name, value in sums.items()), sums
