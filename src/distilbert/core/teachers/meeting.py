"""Where a teacher meets its pupil: what it says of examples, however it takes text to pieces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from distilbert.core.data.sources import known_kind
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning
from distilbert.core.tasks.answering import Answerer, Opened
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.outcome import told_alike
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.task import Task
from distilbert.core.tasks.whole_texts import refuse_single
from distilbert.core.teachers.agreement import Answers, Told
from distilbert.core.teachers.label_files import LabelFile
from distilbert.core.teachers.targets import Asked, Teacher, Teaching, Unasked
from distilbert.errors import ConfigError


@dataclass(frozen=True)
class Taught:
    """What a teacher said.

    Attributes:
        lots: the examples that are learnt from: labelled ones, and unlabelled ones if there are any.
        rows: the pupil's items of each lot.
        soft: of each item of all lots the teacher's logits, or None without a teacher.
        gold: its answers to what both are judged by, where it was asked.
        fitted: whether those follow thresholds that its folder has; then the pupil's own follow its.
        facts: of the teacher.
        account: what asking it came to.
    """

    lots: list[Examples]
    rows: list[TokenRows]
    soft: list[Array] | None = None
    gold: Answers | None = None
    fitted: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    account: Mapping[str, Any] = field(default_factory=dict)


class OpenTeacher(Protocol):
    """Opens whoever teaches classes of single texts."""

    def __call__(
        self, teacher: str | Path | Teacher, *, labels: Sequence[str], device: str, precision: str
    ) -> Teacher:
        """The teacher that is meant."""


class OpenAs(Protocol):
    """Opens a fine-tuned model, to be asked what a task asks."""

    def __call__(self, folder: str | Path, task: Task, *, device: str, precision: str) -> Opened:
        """The model."""


def taught(
    teacher: str | Path | Teacher | None,
    pupil: Answerer,
    lots: list[Examples],
    judged: Examples | None,
    *,
    recipe: Finetuning,
    device: str,
    open_teacher: OpenTeacher,
    open_as: OpenAs,
    rehearsed: bool = False,
    progress: Progress = silent,
) -> Taught:
    """Ask a teacher about examples; it is not held beyond that.

    Args:
        teacher: of single texts with one label each, whatever ``open_teacher`` takes; of pairs and of several
            labels a model that was fine-tuned for it, or a file of labels; of another task, such a model.
            None for none.
        pupil: whose items the answers are to meet.
        lots: labelled examples, and unlabelled ones if there are any.
        judged: what both are judged by.
        recipe: has the temperature.
        device: of a model.
        open_teacher, open_as: the wing's, for those that are models.
        rehearsed: a teacher that is paid for is not asked.
        progress: told of every batch.

    Raises:
        ConfigError: it is of another task, or has other labels.
        CheckpointError: its folder cannot be read.
        DataError: it answers nothing.
    """
    if teacher is None:
        return Taught(lots, [pupil.rows(lot) for lot in lots])
    task, file = pupil.task, _file(teacher)
    several = isinstance(task, MultiLabelClassification)
    classes = several or isinstance(task, SequenceClassification)
    if classes and file is not None:
        return _by_answers(file.read_as(several=several), pupil, lots, judged, progress=progress)
    if isinstance(task, SequenceClassification) and task.single:
        opened = open_teacher(teacher, labels=task.labels, device=device, precision=recipe.precision)
        asked = Unasked() if rehearsed and opened.paid else opened
        return _by_answers(asked, pupil, lots, judged, progress=progress)
    if file is not None or not isinstance(teacher, str | Path):
        raise ConfigError(
            "What is no model teaches classes alone: of pairs and of several labels a file, of single texts "
            "with one label any teacher.",
            received=f"{file.path if file else type(teacher).__name__} "
            f"for {task.name}{' of pairs' * (classes and not task.single)}",
            remedy="Name a fine-tuned folder as the teacher.",
        )
    model = open_as(teacher, task, device=device, precision=recipe.precision)
    return _by_model(model, pupil, lots, None if rehearsed else judged, recipe=recipe, progress=progress)


def _file(teacher: str | Path | Teacher) -> LabelFile | None:
    """The file of labels that is meant, if it is one."""
    if isinstance(teacher, LabelFile):
        return teacher
    if not isinstance(teacher, str | Path) or known_kind(Path(teacher)) is None or Path(teacher).is_dir():
        return None
    return LabelFile(teacher)


def _by_answers(
    teacher: Teacher, pupil: Answerer, lots: list[Examples], judged: Examples | None, *, progress: Progress
) -> Taught:
    """Answers of whoever says which classes texts are of: texts without one are not learnt from."""
    for lot in lots:
        refuse_single(lot, pair=pupil.task.pair)
    lessons = Teaching.of(
        teacher,
        pupil.task.labels,
        labelled=_texts(lots[0]),
        unlabelled=_texts(lots[1]) if lots[1:] else [],
        gold=None if judged is None else _texts(judged),
        progress=progress,
    )
    lots = [lots[0], *(_examples(lot, lessons.unlabelled[0]) for lot in lots[1:])]
    soft = np.where(lessons.all.known[:, None], lessons.all.logits, np.float32(np.nan))
    answers = lessons.gold
    gold: Answers | None = answers
    if answers is not None and judged is not None and isinstance(pupil.task, MultiLabelClassification):
        gold = Told(pupil.task.told(list(answers.logits), judged), answers.known)
    rows = [pupil.rows(lot) for lot in lots]
    return Taught(lots, rows, list(soft), gold, facts=lessons.facts, account=lessons.account)


def _texts(examples: Examples) -> list[Asked]:
    """What a teacher is asked about: each text, or both of a pair."""
    firsts, seconds = examples.columns["text"], examples.columns.get("text_b")
    return firsts if seconds is None else list(zip(firsts, seconds, strict=True))


def _examples(lot: Examples, texts: Sequence[Asked]) -> Examples:
    """Those of a lot's examples, without their answers."""
    columns = [name for name in ("text", "text_b") if name in lot.columns]
    values = [[text] if isinstance(text, str) else text for text in texts]
    return Examples(lot.task, {name: [v[i] for v in values] for i, name in enumerate(columns)}, lot.source)


def _by_model(
    opened: Opened,
    pupil: Answerer,
    lots: list[Examples],
    judged: Examples | None,
    *,
    recipe: Finetuning,
    progress: Progress,
) -> Taught:
    """Answers of a model that was fine-tuned for the same task: it reads everything its own way."""
    task = pupil.task
    order = task.matching(opened.task)
    rows = [pupil.rows(lot) for lot in lots]

    def said(examples: Examples) -> tuple[TokenRows, list[Array]]:
        own = opened.rows(examples)
        logits = opened.item_logits(own, stage="ask the teacher", progress=progress)
        return own, [np.ascontiguousarray(item[..., order]) for item in logits] if order else logits

    gold = None
    if judged is not None:
        gold = Told(told_alike(task, opened, judged, stage="ask the teacher", progress=progress))
    soft, lost = [], 0
    for lot, items in zip(lots, rows, strict=True):
        own, logits = said(task.asked(lot, items))
        soft += task.met(logits, own, lot, items, temperature=recipe.temperature)
        lost += int(np.count_nonzero(own.dropped))
    silent_of = sum(not np.isfinite(item).any() for item in soft)
    facts = {"kind": "fine-tuned model", "cut_to_max_length": lost, "unanswered": silent_of}
    return Taught(lots, rows, soft, gold, opened.calibration.decides, facts)
