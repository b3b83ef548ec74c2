"""Fine-tuning a model on labelled examples of any task, alone or taught by a fine-tuned teacher."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from distilbert.core.data.token_rows import Array
from distilbert.core.layer_rates import frozen
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.task import Task
from distilbert.core.teachers.folders import open_teacher
from distilbert.core.teachers.targets import Teacher
from distilbert.core.training.example_trainer import ExampleTrainer, Made
from distilbert.core.training.findings import Finding
from distilbert.core.training.label_findings import REMEDY
from distilbert.core.training.looks import looks_at
from distilbert.errors import ConfigError
from distilbert.keras.answering import new_model
from distilbert.keras.device import on, policy_of
from distilbert.keras.doctor import of_all
from distilbert.keras.folders import fill
from distilbert.keras.labels import Labels
from distilbert.keras.predictor import Predictor
from distilbert.keras.runs import KERAS
from distilbert.keras.selecting import Selection


class Finetuner(ExampleTrainer):
    """Makes of a model one that answers: a classifier, or whatever the examples' task is.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub. Its head is kept where it is of the task
            and has the data's labels.
        teacher: whose answers are learnt too: a fine-tuned BERT or DistilBERT of the same task, named
            likewise, with the data's labels. Of classes, also of several at once, a file of labels or
            probabilities too; of single texts with one label each any ``Teacher``, such as a ``ChatTeacher``.
        task: its name; None tells it from the examples.
        recipe: a ``Finetuning``, its name, or a file.
        device: "auto", "cpu" or "gpu".
        progress: told of every stage.
        on_look: told of every look at the examples that are judged by: its figures, by name.
    """

    wing = KERAS

    def _settled(self, task: Any, known: Examples) -> Any:
        if self.recipe.lora_rank:
            raise ConfigError(
                "Adapters learn in PyTorch.",
                received=f"lora_rank={self.recipe.lora_rank} for Keras",
                remedy="Set it to 0, or leave --backend out.",
            )
        return task

    def _pupil(self, task: Task, device: Any) -> tuple[Predictor, tuple[str, ...]]:
        folder, config, tokenizer, skipped, longest = self._start(task)
        new = [parameter.key for parameter in skipped]
        with on(device):
            policy = policy_of(device, self.recipe.precision)
            model = new_model(task, config, policy=policy, seed=self.recipe.seed)
            new_weights = fill(model, folder, skip=new)
        return Predictor(model, tokenizer, task, longest, self.recipe.precision), new_weights

    def _open_teacher(
        self, teacher: str | Path | Teacher, *, labels: Sequence[str], device: str, precision: str
    ) -> Teacher:
        open_model = partial(Predictor.open, device=device, precision=precision)
        refuse = self.wing.refuse_entailment
        return open_teacher(teacher, labels=labels, open_model=open_model, of_entailment=refuse)

    def _open_as(self, folder: str | Path, task: Task, *, device: str, precision: str) -> Predictor:
        return Predictor.open(folder, device=device, precision=precision)

    def _objective(
        self, task: Task, pupil: Predictor, learnt: tuple[Any, ...], weights: Array | None
    ) -> Made:
        model = pupil.model
        keys = frozen([p.key for p in model.manifest], model.config, freeze=self.recipe.freeze)
        pad = pupil.tokenizer.pad_token_id
        return Made(Labels(task, model, pad, *learnt, weights, frozen=keys), pupil)

    def _findings(self, objective: Any) -> Iterable[Finding]:
        return of_all(objective, self.recipe, {"the model": objective.model}, remedy=REMEDY)

    def _looks(
        self, judged: Examples | None, pupil: Predictor, objective: Any, *, items: int
    ) -> Selection | None:
        return looks_at(judged, pupil, self.recipe, items=items, kind=Selection, told=self.on_look)
