"""Fine-tuning a model on labelled examples of any task, alone or taught by a fine-tuned teacher."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from distilbert.core.data.token_rows import Array
from distilbert.core.hub import local_folder
from distilbert.core.layer_rates import frozen
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.tasks.task import Task
from distilbert.core.teachers.targets import Teacher
from distilbert.core.training.example_trainer import ExampleTrainer, Made
from distilbert.core.training.findings import Finding
from distilbert.core.training.label_findings import REMEDY
from distilbert.core.training.looks import looks_at
from distilbert.errors import ConfigError
from distilbert.torch.adapters import adapt
from distilbert.torch.answering import new_model
from distilbert.torch.doctor import of_all
from distilbert.torch.foreign_tasks import Opened, open_as
from distilbert.torch.labels import Labels
from distilbert.torch.likeness import Likeness
from distilbert.torch.predictor import Predictor
from distilbert.torch.runs import TORCH
from distilbert.torch.selecting import Selection
from distilbert.torch.task_teachers import open_teacher


class Finetuner(ExampleTrainer):
    """Makes of a model one that answers: a classifier, or whatever the examples' task is.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub. Its head is kept where it is of the task
            and has the data's labels.
        teacher: whose answers are learnt too: a fine-tuned model of the same task, named likewise, with the
            data's labels; with ``transformers``, of any of its families. Of classes, also of several at once,
            a file of labels or probabilities too; of single texts with one label each an entailment model, or
            any ``Teacher``, such as a ``ChatTeacher``.
        task: its name; None tells it from the examples.
        recipe: a ``Finetuning``, its name, or a file.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
        on_look: told of every look at the examples that are judged by: its figures, by name.
    """

    wing = TORCH

    def _settled(self, task: Any, known: Examples) -> Any:
        """Of vectors, with the model's own pooling, by the recipe's loss."""
        if not isinstance(task, SentenceEmbedding):
            return task
        task = task.learning(self.recipe.pair_loss, known)
        if task.loss == "teacher" and self.teacher is None:
            raise ConfigError(
                "Single texts have vectors to learn only from a teacher.",
                received=f"no teacher, and {known.source} without a second text",
                remedy="Name a sentence-embedding folder, --teacher DIR, or give texts that belong together.",
            )
        return task.on(local_folder(self.model), pooling=self.recipe.pooling)

    def _pupil(self, task: Task, device: torch.device) -> tuple[Predictor, tuple[str, ...]]:
        """The model to train, with the folder's own head where it is of the task, and what is new in it."""
        folder, config, tokenizer, skipped, longest = self._start(task)
        model = new_model(task.head, config)
        missing = model.load(folder, dtype=torch.float32, skip=skipped).missing
        model.to(device)
        learning = dict(model.named_parameters())
        for key in frozen(learning, config, freeze=self.recipe.freeze):
            learning[key].requires_grad_(False)
        adapt(model, self.recipe)
        new_weights = (*missing, *(parameter.key for parameter in skipped))
        pupil = Predictor(model, tokenizer, task, longest, self.recipe.precision)
        return pupil, new_weights

    def _open_teacher(
        self, teacher: str | Path | Teacher, *, labels: Sequence[str], device: str, precision: str
    ) -> Teacher:
        return open_teacher(teacher, labels=labels, device=device, precision=precision)

    def _open_as(self, folder: str | Path, task: Task, *, device: str, precision: str) -> Opened:
        return open_as(folder, task, device=device, precision=precision)

    def _objective(
        self, task: Task, pupil: Predictor, learnt: tuple[Any, ...], weights: Array | None
    ) -> Made:
        if isinstance(task, SentenceEmbedding):
            likeness = Likeness.of(task, pupil.model, *learnt)
            pupil = replace(pupil, task=likeness.task)
            finish = partial(likeness.write, max_length=pupil.max_length)
            return Made(likeness, pupil, likeness.new_weights, finish)
        return Made(Labels(task, pupil.model, pupil.tokenizer.pad_token_id, *learnt, weights), pupil)

    def _findings(self, objective: Any) -> Iterable[Finding]:
        return of_all(objective, self.recipe, {"the model": objective.model}, remedy=REMEDY)

    def _looks(
        self, judged: Examples | None, pupil: Predictor, objective: Any, *, items: int
    ) -> Selection | None:
        return looks_at(
            judged,
            pupil,
            self.recipe,
            items=items,
            kind=Selection,
            told=self.on_look,
            extra=objective.extra,
        )
