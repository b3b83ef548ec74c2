"""The objective of fine-tuning: the true answers, and a teacher's, on labelled and unlabelled examples."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.data.token_rows import Array, Indices
from distilbert.core.training.course import MicroBatch
from distilbert.core.training.labelled import Labelled
from distilbert.torch.answering import batch_of, label_sum, logits_of, teacher_sum
from distilbert.torch.train import Sums


class Labels(Labelled):
    """What is learnt, item by item."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.extra = nn.Module()

    def given(self, items: Indices, answers: Mapping[str, Array]) -> dict[str, Any]:
        device = self.model.device
        told = {name: torch.from_numpy(array).to(device) for name, array in answers.items()}
        return {**batch_of(self.rows, items, self.model, self.pad_token_id), **told}

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        given = batch.given
        logits = logits_of(self.task, self.model, given)
        sums: Sums = {}
        if "labels" in scales:
            weights = None
            if self.label_weights is not None:
                weights = torch.from_numpy(self.label_weights).to(logits.device)
            sums["labels"] = label_sum(self.task, logits, given["labels"], weights)
        if "teacher" in scales:
            sums["teacher"] = teacher_sum(
                self.task, logits, given["teacher"], temperature=self.recipe.temperature
            )
        total = torch.stack([scales[name] * value for name, value in sums.items()]).sum()
        return total, {name: value.detach() for name, value in sums.items()}
