"""A fine-tuned folder, opened by whichever wing: examples in, logits and answers out, whatever its task."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np

from distilbert.core.data.readers import OwnReader
from distilbert.core.data.token_rows import Array, TokenRows, is_known
from distilbert.core.parameters import Head
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.abstaining import check_abstaining, withheld
from distilbert.core.tasks.calibration import Calibration
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.reading import Table, as_examples
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.task import Answered, Task
from distilbert.core.text import DistilBertTokenizerFast


class Opened(Protocol):
    """A fine-tuned model of whichever family, open."""

    @property
    def task(self) -> Any:
        """What it was trained for."""

    @property
    def calibration(self) -> Calibration:
        """What was fitted on data that it did not learn from."""

    def rows(self, examples: Examples) -> TokenRows:
        """The items that examples become."""

    def item_logits(
        self, rows: TokenRows, *, batch_size: int = 32, stage: str = "predict", progress: Progress = silent
    ) -> list[Array]:
        """The logits of each item."""


@dataclass(frozen=True)
class Answerer:
    """A fine-tuned model with its tokenizer, its task, and the length its texts are cut to. Abstract.

    Attributes:
        model: on its device, in eval mode.
        tokenizer: of the same folder.
        task: what it was trained for.
        max_length: in tokens; what becomes of longer texts is the task's to say.
        precision: as in a recipe.
        calibration: what was fitted on data that it did not learn from; answers follow it, logits do not.
    """

    model: Any
    tokenizer: DistilBertTokenizerFast
    task: Any
    max_length: int
    precision: str = "fp32"
    calibration: Calibration = field(default_factory=Calibration)

    def uncalibrated(self) -> Self:
        """The same model, as if nothing had been fitted after its training."""
        return replace(self, task=Calibration().task(self.task), calibration=Calibration())

    def exact(self) -> Self:
        """The same model, computing in single precision."""
        return replace(self, precision="fp32")

    @property
    def reader(self) -> OwnReader:
        """How it takes texts to pieces."""
        return OwnReader(self.tokenizer)

    def rows(self, examples: Examples) -> TokenRows:
        """The items that examples become."""
        rows: TokenRows = self.task.encode(self.reader, examples, max_length=self.max_length)
        return rows

    def item_logits(
        self, rows: TokenRows, *, batch_size: int = 32, stage: str = "predict", progress: Progress = silent
    ) -> list[Array]:
        """The logits of each item, as the model gives them.

        Args:
            rows: of the items.
            batch_size: items in memory at once.
            stage: the name under which progress is reported.
            progress: told of every batch.

        Raises:
            CheckpointError: the model's answer is no number.
        """
        raise NotImplementedError

    def answers(
        self, table: Table, *, abstain_below: float | None = None, progress: Progress = silent
    ) -> Sequence[Answered]:
        """An answer for each example: of ``read_examples(path, labelled=False)``, or of rows, each a
        dictionary.

        Args:
            table: the examples.
            abstain_below: an answer that is less likely is "unsure".
            progress: told of every batch.

        Raises:
            ConfigError: ``abstain_below`` for a task whose answers have no probability of their own.
            DataError: the examples are none of this model's task.
        """
        return self.answers_and_cut(table, abstain_below=abstain_below, progress=progress)[0]

    def answers_and_cut(
        self, table: Table, *, abstain_below: float | None = None, progress: Progress = silent
    ) -> tuple[Sequence[Answered], int]:
        """The same, and how many items were cut to ``max_length``."""
        check_abstaining(self.task, abstain_below)
        examples = as_examples(table, task=self.task.name, labelled=False)
        rows = self.rows(examples)
        logits = self.calibration.applied(self.item_logits(rows, progress=progress))
        answers = withheld(self.task.answers(logits, examples, rows), abstain_below)
        return answers, int(np.count_nonzero(rows.dropped))


def cut(head: Head, logits: Array, lengths: Sequence[int], sizes: Sequence[int] | None = None) -> list[Array]:
    """A batch's logits item by item, without what was added to make them of one size.

    Args:
        head: that they are of.
        logits: [items, ..., C]; items that were added at the end are left out.
        lengths: in tokens, of each item's row.
        sizes: where items have several rows, how many each has.
    """
    if sizes is not None:
        return [row[:size] for row, size in zip(logits, sizes, strict=False)]
    if head is Head.TOKEN_CLASSIFICATION:
        return [row[:length] for row, length in zip(logits, lengths, strict=False)]
    if head is Head.QUESTION_ANSWERING:
        return [row[:, :length] for row, length in zip(logits, lengths, strict=False)]
    return [row for row, _ in zip(logits, lengths, strict=False)]


def count_labels(task: Task, labels: Array, weights: Array | None = None) -> float:
    """Over how many answers a loss of labels sums; of one label out of several each is counted as its
    weight.
    """
    known = is_known(labels)
    if weights is not None and not isinstance(task, MultiLabelClassification):
        return float(weights[labels[known]].sum())
    rows = known.any(axis=-1) if isinstance(task, MultiLabelClassification | Regression) else known
    return int(np.count_nonzero(rows))


def count_taught(teacher: Array) -> int:
    """Over how many answers a loss of a teacher's sums."""
    return int(np.count_nonzero(is_known(teacher).any(axis=-1)))
