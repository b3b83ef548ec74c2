"""What fine-tuning learns from, item by item: true answers, and a teacher's, in steps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distilbert.core import flops
from distilbert.core.data.collate import step_items
from distilbert.core.data.token_rows import Array, Indices, TokenRows, stacked
from distilbert.core.recipe import Finetuning
from distilbert.core.tasks.answering import count_labels, count_taught
from distilbert.core.tasks.task import Task
from distilbert.core.training.course import MicroBatch, parts


class Labelled:
    """The true answers, and a teacher's, on labelled and unlabelled examples. Abstract: a wing says in
    ``given`` how items become its arrays, and what they cost.

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
        model: Any,
        pad_token_id: int,
        rows: TokenRows,
        labelled: int,
        targets: Sequence[Array],
        soft: Sequence[Array] | None,
        recipe: Finetuning,
        weights: Array | None = None,
    ) -> None:
        self.task, self.model, self.pad_token_id = task, model, pad_token_id
        self.rows, self.labelled, self.targets = rows, labelled, targets
        self.lengths = rows.lengths
        self.taught, self.recipe, self.label_weights = soft, recipe, weights
        heard = recipe.teacher_weight if soft is not None else 0.0
        self.weights: Mapping[str, float] = {"labels": recipe.label_weight, "teacher": heard}

    def given(self, items: Indices, answers: Mapping[str, Array]) -> dict[str, Any]:
        """Some items as the losses take them, with what they are to be told: ``labels``, and ``teacher``."""
        raise NotImplementedError

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        recipe = self.recipe
        for items in step_items(self.lengths, self.labelled, recipe, done=done):
            yield [self.micro_batch(part) for part in parts(items, share, size=recipe.micro_batch_size)]

    def judged(self, share: slice) -> Iterator[tuple[Any, dict[str, int]]]:
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

    def micro_batch(self, items: Indices) -> MicroBatch:
        answers = {"labels": stacked([self.targets[item] for item in items])}
        counts: dict[str, float] = {
            "labels": count_labels(self.task, answers["labels"], self.label_weights),
            "teacher": 0,
        }
        if self.taught is not None:
            answers["teacher"] = stacked([self.taught[item] for item in items])
            counts["teacher"] = count_taught(answers["teacher"])
        lengths = [len(self.rows.input_ids[row]) for row in self.rows.of_items(items)]
        work = flops.of_blocks(self.model.config, lengths, first_only=self.task.head.reads_one_token)
        return MicroBatch(
            self.given(items, answers), counts, tokens=sum(lengths), flops=flops.LEARNING * work
        )
