"""Teachers of a task of whichever family: those of others answer as our own do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.hub import local_folder
from distilbert.core.parameters import Head
from distilbert.core.progress import Progress, silent
from distilbert.core.sentence_folders import encoder_folder
from distilbert.core.tasks.calibration import Calibration
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.task import Task
from distilbert.errors import ConfigError
from distilbert.torch.answering import logits_of_items
from distilbert.torch.classifier import TextClassifier
from distilbert.torch.device import computes_in_bf16, pick_device
from distilbert.torch.foreign import TRIED, is_foreign, read_foreign, unusable
from distilbert.torch.foreign_tokenizer import ForeignTokenizer
from distilbert.torch.predictor import Predictor

#: Where ``transformers`` lists its models with each head, and what they have then.
_HEADS = {
    Head.SEQUENCE_CLASSIFICATION: (
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
        "a text classifier's head",
    ),
    Head.MULTIPLE_CHOICE: ("MODEL_FOR_MULTIPLE_CHOICE_MAPPING", "a head that chooses among options"),
    Head.TOKEN_CLASSIFICATION: ("MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING", "a head that tags words"),
    Head.QUESTION_ANSWERING: ("MODEL_FOR_QUESTION_ANSWERING_MAPPING", "a head that finds answers"),
    Head.NONE: ("MODEL_MAPPING", "an encoder"),
}


class _TaskModel(nn.Module):
    """Another family's model with a task's head, called as ours are."""

    def __init__(self, model: Any, *, told_types: bool) -> None:
        super().__init__()
        self.model, self.config, self._told_types = model, model.config, told_types

    @property
    def device(self) -> torch.device:
        place: torch.device = self.model.device
        return place

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None, **options: Any) -> Any:
        types = {"token_type_ids": token_type_ids} if self._told_types and token_type_ids is not None else {}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **types, **options)


@dataclass(frozen=True)
class ForeignPredictor:
    """Another family's fine-tuned model, asked as a ``Predictor`` is.

    Attributes:
        model: on its device, in eval mode.
        reader: its tokenizer.
        task: what it is asked.
        precision: as in a recipe.
        calibration: none.
    """

    model: _TaskModel
    reader: ForeignTokenizer
    task: Any
    precision: str = "fp32"
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        task: type[Task],
        facts: Mapping[str, Any] | None = None,
        device: str = "auto",
        precision: str = "fp32",
    ) -> Self:
        """
        Args:
            folder: of a model that ``transformers`` reads.
            task: that it was trained for.
            facts: what else is to hold of the task, as ``Task.facts`` gives them: such a folder knows its
                labels alone.
            device, precision: where and how it computes; in fp32 where its family's code does not know bf16.

        Raises:
            CheckpointError: the folder cannot be read, or its model was never fine-tuned.
            ConfigError: a family that is not known, has no such head or cannot be asked; or labels that the
                task does not have.
            MissingExtraError: ``transformers`` is not installed.
        """
        folder, facts = Path(folder), facts or {}
        headless = task.head is Head.NONE
        # No vector is made by a pooler, and whatever head stands on an encoder is left out.
        unneeded = "pooler" if headless else None
        model, tokenizer = read_foreign(encoder_folder(folder), *_HEADS[task.head], unneeded=unneeded)
        if (names := model.config.architectures) and type(model).__name__ not in names and not headless:
            raise ConfigError(
                f"A teacher for {task.name} must have {_HEADS[task.head][1]}.",
                received=f"a {', '.join(names)} in {folder}",
                remedy="Fine-tune it for the task first, or choose another teacher.",
            )
        own = task.from_config(model.config, facts, folder=folder)
        place = pick_device(device)
        tried = _tried(task, pair=bool(facts.get("pair")))
        try:
            opened = cls(_TaskModel(model.to(place), told_types=tokenizer.tells_types), tokenizer, own)
            if task.head is Head.QUESTION_ANSWERING and len(tokenizer.pair_frame.before) != 1:
                raise ValueError("a row must begin with one special token, which stands for no answer")
            if headless and model.config.is_encoder_decoder:
                raise ValueError("vectors are made of an encoder's states, and its last ones are a decoder's")
            opened._try(tried)
        except Exception as error:  # any family's code
            raise unusable(folder, model, error) from None
        if not computes_in_bf16(place, precision):
            return opened
        try:
            rough = replace(opened, precision=precision)
            rough._try(tried)
        except Exception:  # such as DeBERTa's lowest number of fp32, which bf16 has not
            return opened
        return rough

    @property
    def max_length(self) -> int:
        modules = getattr(self.task, "modules", None)
        return min(self.reader.max_length, getattr(modules, "max_seq_length", None) or self.reader.max_length)

    def rows(self, examples: Examples) -> TokenRows:
        """The items that examples become."""
        rows: TokenRows = self.task.encode(self.reader, examples, max_length=self.max_length)
        return rows

    def item_logits(
        self, rows: TokenRows, *, batch_size: int = 32, stage: str = "predict", progress: Progress = silent
    ) -> list[Array]:
        """The logits of each item, as ``Predictor.item_logits``."""
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

    def _try(self, examples: Examples) -> None:
        rows = self.rows(examples)
        self.task.answers(self.item_logits(rows), examples, rows)


def _tried(task: type[Task], *, pair: bool) -> Examples:
    """A few examples of any task, to see whether a model answers them."""
    columns: dict[str, list[Any]] = {
        "text": [*TRIED],
        "question": ["one?", "two"],
        "context": [*TRIED],
        "choices": [[*TRIED], ["four", *TRIED]],
    }
    if pair:
        columns["text_b"] = [*reversed(TRIED)]
    return Examples(task.name, columns)


#: A fine-tuned model of whichever family, open.
Opened = Predictor | ForeignPredictor


def open_as(folder: str | Path, task: Task, *, device: str = "auto", precision: str = "fp32") -> Opened:
    """A fine-tuned model to be asked what a task asks, of whichever family; where its folder does not say
    how, by that task's own settings.

    Raises:
        CheckpointError, ConfigError, MissingExtraError: those of either's ``open``.
    """
    folder = local_folder(folder)
    if not is_foreign(encoder_folder(folder)):
        return Predictor.open(folder, device=device, precision=precision)
    options: dict[str, Any] = {"device": device, "precision": precision}
    return ForeignPredictor.open(folder, task=type(task), facts=task.facts(), **options)


def open_classifier(
    folder: str | Path, *, device: str = "auto", precision: str = "fp32"
) -> TextClassifier | ForeignPredictor:
    """A classifier of texts, likewise. Errors are those of either's ``open``."""
    folder = local_folder(folder)
    if not is_foreign(folder):
        return TextClassifier.open(folder, device=device, precision=precision)
    return ForeignPredictor.open(folder, task=SequenceClassification, device=device, precision=precision)
