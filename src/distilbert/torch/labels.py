"""The objective of fine-tuning: the true answers, and a teacher's, on labelled and unlabelled examples."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core import flops
from distilbert.core.data.collate import step_items
from distilbert.core.data.token_rows import Array, TokenRows, stacked
from distilbert.core.recipe import Finetuning
from distilbert.core.tasks.task import Task
from distilbert.torch.answering import (
    batch_of,
    count_labels,
    count_taught,
    label_sum,
    logits_of,
    teacher_sum,
)
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.train import MicroBatch, Sums, parts


class Labels:
    """What is learnt, item by item.

    Args:
        task: of the model.
        model: learns.
        pad_token_id: of its tokenizer.
        rows: the labelled items, then the unlabelled ones.
        labelled: how many are labelled.
        targets: what each item is to be told.
        soft: the teacher's logits of each item, or None.
        recipe: weights of the terms, and temperature.
        weights: of each label in the loss, or None.
    """

    def __init__(
        self,
        task: Task,
        model: PreTrainedModel,
        pad_token_id: int,
        rows: TokenRows,
        labelled: int,
        targets: Sequence[Array],
        soft: Sequence[Array] | None,
        recipe: Finetuning,
        weights: Array | None = None,
    ) -> None:
        self.task, self.model, self.pad_token_id = task, model, pad_token_id
        self.extra = nn.Module()
        self.rows, self.labelled, self.targets = rows, labelled, targets
        self.lengths = rows.lengths
        self.taught, self.recipe, self.label_weights = soft, recipe, weights
        heard = recipe.teacher_weight if soft is not None else 0.0
        self.weights = {"labels": recipe.label_weight, "teacher": heard}

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        recipe = self.recipe
        for items in step_items(self.lengths, self.labelled, recipe, done=done):
            yield [self.micro_batch(part) for part in parts(items, share, size=recipe.micro_batch_size)]

    def judged(self, share: slice) -> Iterator[tuple[Sums, dict[str, int]]]:
        yield from ()  # labelled examples are judged by their task's metrics, when all is learnt

    def arrays(self) -> dict[str, Any]:
        """Everything that is learnt from."""
        arrays = {
            "texts": np.concatenate(self.rows.input_ids),
            "lengths": np.array([len(ids) for ids in self.rows.input_ids]),
            "labels": np.concatenate([target.ravel() for target in self.targets]),
        }
        if self.taught is None:
            return arrays
        return {**arrays, "soft": np.concatenate([logits.ravel() for logits in self.taught])}

    def micro_batch(self, items: "np.ndarray[Any, np.dtype[np.int64]]") -> MicroBatch:
        given = batch_of(self.rows, items, self.model, self.pad_token_id)
        labels = stacked([self.targets[item] for item in items])
        given["labels"] = torch.from_numpy(labels).to(self.model.device)
        counts: dict[str, float] = {
            "labels": count_labels(self.task, labels, self.label_weights),
            "teacher": 0,
        }
        if self.taught is not None:
            teacher = stacked([self.taught[item] for item in items])
            given["teacher"] = torch.from_numpy(teacher).to(self.model.device)
            counts["teacher"] = count_taught(teacher)
        lengths = [len(self.rows.input_ids[row]) for row in self.rows.of_items(items)]
        work = flops.of_blocks(self.model.config, lengths, first_only=self.task.head.reads_one_token)
        return MicroBatch(given, counts, tokens=sum(lengths), flops=flops.LEARNING * work)

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
