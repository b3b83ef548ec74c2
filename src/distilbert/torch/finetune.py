"""Fine-tuning a model on labelled examples of any task, alone or taught by a fine-tuned teacher."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.copies import fingerprint
from distilbert.core.hub import local_folder
from distilbert.core.layer_rates import frozen
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import manifest, parameters_of
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning
from distilbert.core.sentence_folders import encoder_folder
from distilbert.core.tasks.class_weights import balanced
from distilbert.core.tasks.examples import Examples, shared, warn_of_repeated
from distilbert.core.tasks.labelled_texts import LabelledTexts
from distilbert.core.tasks.metrics import require_metrics
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.reading import Table, as_examples, task_named
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding, judging
from distilbert.core.tasks.splitting import split
from distilbert.core.tasks.task import Task
from distilbert.core.teachers.agreement import agreement
from distilbert.core.teachers.targets import Teacher
from distilbert.errors import ConfigError, MissingExtraError
from distilbert.torch.adapters import adapt
from distilbert.torch.answering import new_model
from distilbert.torch.device import pick_device
from distilbert.torch.doctor import Finding
from distilbert.torch.evaluate import judge, seconds_of
from distilbert.torch.label_findings import examine
from distilbert.torch.labels import Labels
from distilbert.torch.likeness import Likeness
from distilbert.torch.looks import Hear, looks_at
from distilbert.torch.meeting import taught
from distilbert.torch.predictor import Predictor
from distilbert.torch.runs import Job, Plan, Run, complete, rehearse

logger = logging.getLogger(__name__)

#: Texts, or examples without their answers.
Unlabelled = Sequence[str] | Table


class Finetuner:
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

    def __init__(
        self,
        model: str | Path,
        *,
        teacher: str | Path | Teacher | None = None,
        task: str | None = None,
        recipe: Finetuning | str | Path = "default",
        device: str = "auto",
        progress: Progress = silent,
        on_look: Hear | None = None,
    ) -> None:
        self.model = model
        self.teacher = teacher
        self.task = task
        self.recipe = recipe if isinstance(recipe, Finetuning) else Finetuning.read(recipe)
        self.device = device
        self.progress = progress
        self.on_look = on_look

    def run(
        self,
        train: Table,
        *,
        out: str | Path,
        unlabelled: Unlabelled = (),
        evaluate: Table | None = None,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
        track: str | None = None,
    ) -> Run:
        """Fine-tune, and write the model's folder.

        Args:
            train: examples, from ``read_examples`` or as rows, each a dictionary; or ``LabelledTexts``.
            out: the model's folder.
            unlabelled: texts, or examples, of which only the teacher's answer is learnt.
            evaluate: examples to judge by: at looks in between, after the best of which the weights are kept,
                and the result. None holds out what the recipe's ``eval_share`` says.
            force: replace a model that stands at ``out``, and give up what an interrupted run left.
            resume: go on, bit for bit, with the same run where something interrupted it.
            budget: seconds that the whole may take, in place of the recipe's epochs and steps.
            track: a tracker that is told of every step: "tensorboard", "mlflow" or "wandb"; what it writes
                stands in ``<out>.tracked``.

        Raises:
            CheckpointError: a folder cannot be read.
            ConfigError: unlabelled texts without a teacher, or a teacher of other labels.
            DataError: one label only, labels in ``evaluate`` that ``train`` does not have, or a teacher that
                answers nothing.
            MissingExtraError: the tracker is not installed.
            OutputError: ``out`` is taken or cannot be written.
            TrainingError: a loss is not finite; the last good checkpoint is named.
        """
        return complete(
            lambda device: self._prepare(train, unlabelled, evaluate, device),
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            track=track,
            progress=self.progress,
        )

    def rehearse(
        self,
        train: Table,
        *,
        unlabelled: Unlabelled = (),
        evaluate: Table | None = None,
    ) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(train, unlabelled, evaluate, device, rehearsed=True),
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def examine(self, train: Table, *, unlabelled: Unlabelled = ()) -> Sequence[Finding]:
        """What is likely wrong with this run; nothing is trained, written or paid for."""
        device = pick_device(self.device)
        return self._prepare(train, unlabelled, None, device, rehearsed=True).examine()

    def _prepare(
        self,
        train: Table,
        unlabelled: Unlabelled,
        evaluate: Table | None,
        device: torch.device,
        *,
        rehearsed: bool = False,
    ) -> Job:
        if evaluate is not None:
            require_metrics()
        known = as_examples(train, task=self.task, source="the training data")
        warn_of_repeated(known)
        task = task_named(known.task).of(known)
        if isinstance(task, QuestionAnswering):
            recipe = self.recipe
            task = replace(task, doc_stride=recipe.doc_stride, null_threshold=recipe.null_threshold or 0.0)
        if isinstance(task, SentenceEmbedding):
            task = self._embedding(task, known)
        if evaluate is None:
            known, judged = self._held_out(known, task)
        else:
            judged = _to_judge_by(evaluate, known, task)
        more = _without_labels(unlabelled, task)
        if more is not None and self.teacher is None:
            raise ConfigError(
                "Texts without labels need a teacher to say what to learn from them.",
                received=f"{len(more)} unlabelled texts and no teacher",
                remedy="Name a fine-tuned folder: --teacher DIR",
            )
        pupil, new_weights = self._pupil(task, device)
        lessons = taught(
            self.teacher,
            pupil,
            [known] if more is None else [known, more],
            judged,
            recipe=self.recipe,
            device=self.device,
            rehearsed=rehearsed,
            progress=self.progress,
        )
        targets: list[Any] = []
        for lot, rows in zip(lessons.lots, lessons.rows, strict=True):
            targets += task.targets(lot, rows, source="the training data")
        labelled, *others = lessons.rows
        rows = labelled.followed_by(others[0]) if others else labelled
        weights = balanced(task, targets) if self.recipe.class_weights == "balanced" else None
        learnt = (rows, len(labelled), targets, lessons.soft, self.recipe)
        objective: Labels | Likeness
        finish = None
        if isinstance(task, SentenceEmbedding):
            objective = Likeness.of(task, pupil.model, *learnt)
            pupil = replace(pupil, task=objective.task)
            new_weights = (*new_weights, *objective.new_weights)
            finish = partial(objective.write, max_length=pupil.max_length)
        else:
            objective = Labels(task, pupil.model, pupil.tokenizer.pad_token_id, *learnt, weights)
        facts = {
            "made_by": "finetune",
            "base": Path(self.model).name,
            "task": task.facts(),
            "max_length": pupil.max_length,
            "data": {
                "labelled": len(known),
                "judged": 0 if judged is None else len(judged),
                "unlabelled": sum(len(lot) for lot in lessons.lots[1:]),
                "cut_to_max_length": int(np.count_nonzero(rows.dropped)),
                "fingerprint": fingerprint(objective.arrays()),
            },
            "taught": self.teacher is not None,
            **({"teacher": dict(lessons.facts)} if self.teacher is not None else {}),
            "new_weights": list(new_weights),
        }

        # As whoever opens the folder will: to the digit the same scores.
        finished = replace(pupil, precision="fp32")

        def conclude() -> dict[str, Any]:
            found: dict[str, Any] = {"asked": dict(lessons.account)} if lessons.account else {}
            if judged is None:
                return found
            outcome = judge(finished, judged, progress=self.progress)
            # A threshold that the recipe says is not fitted.
            fixed = isinstance(task, QuestionAnswering) and self.recipe.null_threshold is not None
            if not fixed and (fitted := outcome.calibration_facts()):
                found["calibration"] = fitted
            options: dict[str, Any] = {"seed": self.recipe.seed, "progress": self.progress}
            found["evaluation"] = outcome.scores(**options)
            if lessons.gold is not None:
                told = outcome.told_by(found.get("calibration", {}) if lessons.fitted else {})
                found["agreement"] = agreement(
                    outcome.truth, lessons.gold, told, metrics=outcome.task.metrics, **options
                )
            return found

        total = self.recipe.total_steps(len(labelled))
        return Job(
            "fine-tune",
            pupil.model,
            pupil.tokenizer,
            objective,
            self.recipe,
            total,
            new_weights,
            facts,
            conclude,
            partial(
                examine,
                objective,
                self.recipe,
                task=task,
                rows=rows,
                unknown_id=pupil.tokenizer.unk_token_id,
                labelled=labelled,
                targets=targets,
                taught=lessons.soft,
            ),
            looks_at(
                judged,
                pupil,
                self.recipe,
                items=len(labelled),
                extra=objective.extra,
                told=self.on_look,
            ),
            finish,
            concluding=lambda: 0.0 if judged is None else seconds_of(partial(judge, finished), judged),
        )

    def _held_out(self, known: Examples, task: Task) -> tuple[Examples, Examples | None]:
        """What is learnt from, and what is judged by where nobody gave anything for it."""
        share = self.recipe.eval_share
        if isinstance(task, SentenceEmbedding) and judging(task, known).judged_by != "scores":
            # Among few others each finds its own; so nothing is held out unasked.
            if not share:
                return known, None
            task.truth(known, source="the training data")
        if share is None:
            try:
                require_metrics()
            except MissingExtraError:  # nobody asked to be told how good it is
                share = 0.0
        elif share:
            require_metrics()
        return split(known, share=share, seed=self.recipe.seed)

    def _embedding(self, task: SentenceEmbedding, known: Examples) -> SentenceEmbedding:
        """The task with the model's own pooling, by the recipe's loss."""
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
        folder = encoder_folder(local_folder(self.model))
        config, tokenizer = open_folder(folder)
        own = task.has_head(config)
        task.configure(config)
        parameters = parameters_of(task.head, config)
        skipped = () if own else parameters[len(manifest(config)) :]
        report = survey(folder, [p for p in parameters if p not in skipped], config)
        require_encoder(folder, report.missing, config, task.head)
        model = new_model(task.head, config)
        missing = model.load(folder, dtype=torch.float32, skip=skipped).missing
        model.to(device)
        learning = dict(model.named_parameters())
        for key in frozen(learning, config, freeze=self.recipe.freeze):
            learning[key].requires_grad_(False)
        adapt(model, self.recipe)
        longest = min(self.recipe.max_length, config.max_position_embeddings)
        new_weights = (*missing, *(parameter.key for parameter in skipped))
        pupil = Predictor(model, tokenizer, task, longest, self.recipe.precision)
        return pupil, new_weights


def _to_judge_by(table: Table, known: Examples, task: Task) -> Examples:
    """The examples that are given for it; what they share is counted aloud."""
    judged = as_examples(table, task=task.name, source="the evaluation data")
    task.truth(judged, source="the evaluation data")
    warn_of_repeated(judged)
    if count := shared(known, judged):
        logger.warning(
            "%d of the %d examples of %s are among the training data too: their scores are too good.",
            count,
            len(judged),
            judged.source,
        )
    return judged


def _without_labels(table: Unlabelled, task: Task) -> Examples | None:
    """Unlabelled examples of a task; None where there are none."""
    if not isinstance(table, Examples | LabelledTexts):
        rows = list(table)
        if not rows:
            return None
        texts = all(isinstance(row, str) for row in rows)
        if texts and task.single:
            return Examples(task.name, {"text": rows}, "the unlabelled texts")
        table = [{"text": str(row)} for row in rows] if texts else cast(Table, rows)
    examples = as_examples(table, task=task.name, source="the unlabelled examples", labelled=False)
    return examples.without(task.target)
