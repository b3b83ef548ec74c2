"""A fine-tuned folder, opened: examples in, logits and answers out, whatever its task."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from distilbert.core.data.readers import OwnReader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.abstaining import check_abstaining, withheld
from distilbert.core.tasks.calibration import Calibration
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.reading import Table, as_examples
from distilbert.core.tasks.task import Answered
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.torch.answering import logits_of_items, new_model
from distilbert.torch.device import pick_device
from distilbert.torch.pretrained import PreTrainedModel


@dataclass(frozen=True)
class Predictor:
    """A fine-tuned model with its tokenizer, its task, and the length its texts are cut to.

    Attributes:
        model: on its device, in eval mode.
        tokenizer: of the same folder.
        task: what it was trained for.
        max_length: in tokens; what becomes of longer texts is the task's to say.
        precision: as in a recipe.
        calibration: what was fitted on data that it did not learn from; answers follow it, logits do not.
    """

    model: PreTrainedModel
    tokenizer: DistilBertTokenizerFast
    task: Any
    max_length: int
    precision: str = "fp32"
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "auto", precision: str = "fp32") -> Self:
        """From a fine-tuned BERT or DistilBERT: its folder, or its name on a hub.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: the folder is another kind of model's.
        """
        opened = TaskFolder.open(folder)
        model = new_model(opened.task.head, opened.config)
        model.load(opened.weights, dtype=torch.float32)
        model.to(pick_device(device)).eval()
        return cls(model, opened.tokenizer, opened.task, opened.max_length, precision, opened.calibration)

    def uncalibrated(self) -> Self:
        """The same model, as if nothing had been fitted after its training."""
        return replace(self, task=Calibration().task(self.task), calibration=Calibration())

    @property
    def reader(self) -> OwnReader:
        """How it takes texts to pieces."""
        return OwnReader(self.tokenizer)

    def rows(self, examples: Examples) -> TokenRows:
        """The items that examples become."""
        rows: TokenRows = self.task.encode(self.reader, examples, max_length=self.max_length)
        return rows

    def item_logits(
        self,
        rows: TokenRows,
        *,
        batch_size: int = 32,
        stage: str = "predict",
        progress: Progress = silent,
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
        return logits_of_items(
            self.task,
            self.model,
            rows,
            self.reader.pad_token_id,
            precision=self.precision,
            batch_size=batch_size,
            stage=stage,
            progress=progress,
        )

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
