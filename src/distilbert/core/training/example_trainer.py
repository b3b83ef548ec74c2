"""Fine-tuning a model on labelled examples of any task, alone or taught: all of it but a wing's own."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np

from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import EncoderConfig
from distilbert.core.copies import fingerprint
from distilbert.core.data.token_rows import Array
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import Parameter, manifest, parameters_of
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning
from distilbert.core.sentence_folders import encoder_folder
from distilbert.core.tasks.answering import Opened
from distilbert.core.tasks.class_weights import balanced
from distilbert.core.tasks.examples import Examples, shared, warn_of_repeated
from distilbert.core.tasks.labelled_texts import LabelledTexts
from distilbert.core.tasks.metrics import require_metrics
from distilbert.core.tasks.outcome import judge, seconds_of
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.reading import Table, as_examples, task_named
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding, judging
from distilbert.core.tasks.splitting import split
from distilbert.core.tasks.task import Task
from distilbert.core.teachers.agreement import agreement
from distilbert.core.teachers.meeting import taught
from distilbert.core.teachers.targets import Teacher
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.findings import Finding
from distilbert.core.training.label_findings import of_examples
from distilbert.core.training.looks import Hear
from distilbert.core.training.runs import Plan, Run, complete, rehearse
from distilbert.core.training.selecting import Looks
from distilbert.core.training.wing import Job, Wing
from distilbert.errors import ConfigError, MissingExtraError

logger = logging.getLogger(__name__)

#: Texts, or examples without their answers.
Unlabelled = Sequence[str] | Table


class Start(NamedTuple):
    """Where a pupil begins.

    Attributes:
        folder: with the weights.
        config: the folder's, made the task's.
        tokenizer: the folder's.
        skipped: parameters of the head, where the folder's is another task's: they are drawn anew.
        max_length: of what is read.
    """

    folder: Path
    config: EncoderConfig
    tokenizer: DistilBertTokenizerFast
    skipped: tuple[Parameter, ...]
    max_length: int


@dataclass(frozen=True)
class Made:
    """What is learnt, and by whom.

    Attributes:
        objective: a wing's.
        pupil: who learns it.
        new_weights: keys of what was drawn anew for it.
        finish: writes what else the model's folder holds.
    """

    objective: Any
    pupil: Any
    new_weights: tuple[str, ...] = ()
    finish: Callable[[Path], None] | None = None


class ExampleTrainer:
    """Makes of a model one that answers. Abstract: a wing's ``Finetuner`` says what is its own.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub.
        teacher: whose answers are learnt too.
        task: its name; None tells it from the examples.
        recipe: a ``Finetuning``, its name, or a file.
        device: as the wing names it.
        progress: told of every stage.
        on_look: told of every look at the examples that are judged by: its figures, by name.
    """

    #: That the job is of.
    wing: ClassVar[Wing]

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
            wing=self.wing,
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
            wing=self.wing,
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def examine(self, train: Table, *, unlabelled: Unlabelled = ()) -> Sequence[Finding]:
        """What is likely wrong with this run; nothing is trained, written or paid for."""
        device = self.wing.alone(self.device).device
        return self._prepare(train, unlabelled, None, device, rehearsed=True).examine()

    def _prepare(
        self,
        train: Table,
        unlabelled: Unlabelled,
        evaluate: Table | None,
        device: Any,
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
        task = self._settled(task, known)
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
            open_teacher=self._open_teacher,
            open_as=self._open_as,
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
        made = self._objective(task, pupil, learnt, weights)
        objective, pupil = made.objective, made.pupil
        new_weights = (*new_weights, *made.new_weights)
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
        finished = pupil.exact()

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
            lambda: of_examples(
                self._findings(objective),
                task=task,
                rows=rows,
                unknown_id=pupil.tokenizer.unk_token_id,
                labelled=labelled,
                targets=targets,
                taught=lessons.soft,
            ),
            self._looks(judged, pupil, objective, items=len(labelled)),
            made.finish,
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

    def _settled(self, task: Any, known: Examples) -> Any:
        """The task, with what else must be known of it."""
        return task

    def _pupil(self, task: Task, device: Any) -> tuple[Any, tuple[str, ...]]:
        """The model to train, with the folder's own head where it is of the task, and what is new in it."""
        raise NotImplementedError

    def _start(self, task: Task) -> Start:
        """Where the pupil begins: the task's configuration, and what its folder holds for it.

        Raises:
            CheckpointError: the folder cannot be read, or lacks weights of the encoder.
        """
        folder = encoder_folder(local_folder(self.model))
        config, tokenizer = open_folder(folder)
        own = task.has_head(config)
        task.configure(config)
        parameters = parameters_of(task.head, config)
        skipped = () if own else tuple(parameters[len(manifest(config)) :])
        report = survey(folder, [p for p in parameters if p not in skipped], config)
        require_encoder(folder, report.missing, config, task.head)
        return Start(
            folder, config, tokenizer, skipped, min(self.recipe.max_length, config.max_position_embeddings)
        )

    def _open_teacher(
        self, teacher: str | Path | Teacher, *, labels: Sequence[str], device: str, precision: str
    ) -> Teacher:
        """Whoever teaches classes of single texts."""
        raise NotImplementedError

    def _open_as(self, folder: str | Path, task: Task, *, device: str, precision: str) -> Opened:
        """A fine-tuned model, to be asked what the task asks."""
        raise NotImplementedError

    def _objective(self, task: Task, pupil: Any, learnt: tuple[Any, ...], weights: Array | None) -> Made:
        """What is learnt; ``learnt`` are its items, and ``weights`` those of labels."""
        raise NotImplementedError

    def _findings(self, objective: Any) -> Iterable[Finding]:
        """What is likely wrong with the model and its first step."""
        raise NotImplementedError

    def _looks(self, judged: Examples | None, pupil: Any, objective: Any, *, items: int) -> Looks | None:
        """The looks that the recipe asks for."""
        raise NotImplementedError


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
