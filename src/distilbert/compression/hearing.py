"""What the teacher says of all rows, asked once and kept, and whether it has anything to teach."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilbert.compression.data import Data
from distilbert.compression.measuring import Figure, measure, measure_model
from distilbert.compression.target import Target
from distilbert.core.data.sources import known_kind
from distilbert.core.files import replacing
from distilbert.core.hub import local_folder
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks import chance
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.task import Task
from distilbert.core.teachers.label_files import LabelFile
from distilbert.core.teachers.targets import Targets, Teacher
from distilbert.errors import ConfigError, DataError, DistilBertError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Said:
    """A teacher's answers to some rows.

    Attributes:
        logits: [rows, C], in the order of the task's labels; of numbers [rows, 1].
        known: [rows], False where it says nothing.
    """

    logits: Array
    known: Array

    def told(self, task: Any) -> Array:
        """As the metrics take answers, [rows]."""
        return np.asarray(task.told(list(self.logits), Examples(task.name, {})))


@dataclass(frozen=True)
class Kept:
    """A teacher that was asked before: its answers by text, for every candidate again."""

    answers: dict[str, Array]

    kind: ClassVar[str] = "teacher that was asked before"
    paid: ClassVar[bool] = False

    def targets(self, texts: Sequence[Any], labels: Sequence[str], *, progress: Progress) -> Targets:
        nothing = np.zeros(len(labels), np.float32)
        known = np.array([text in self.answers for text in texts], np.bool_)
        logits = [self.answers.get(text, nothing) for text in texts]
        return Targets(np.array(logits, np.float32).reshape(len(texts), len(labels)), known)

    def facts(self) -> dict[str, Any]:
        return {"texts": len(self.answers)}

    def account(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Heard:
    """
    Attributes:
        said: of each part of the data, by its name.
        teacher: what a training is to be given as one.
        scores: the teacher's own, on the held-out rows that choose, by metric.
        figures: its time, where it is a model here.
    """

    said: dict[str, Said]
    teacher: Any
    scores: dict[str, float]
    figures: dict[str, Figure] = field(default_factory=dict)


def hear(
    teacher: str | Path | Teacher,
    data: Data,
    target: Target,
    *,
    work: Path,
    device: str = "auto",
    seconds: float = 5.0,
    kept: dict[str, Figure] | None = None,
    progress: Progress = silent,
) -> Heard:
    """Ask a teacher about all rows, those that decide first, and hold it against what is true.

    Args:
        teacher: whoever teaches: a folder, a file of labels, or a ``Teacher``, as of a fine-tuning.
        data: all rows.
        target: that its scores are held against.
        work: keeps what it said.
        device: of a model.
        seconds: that its speed is measured.
        kept: its figures, where they were measured before.
        progress: told of every batch.

    Raises:
        ConfigError: it is of another task, knows other labels, or makes the target contradict itself.
        DataError: it knows nothing of the task, or never says one of the labels.
    """
    target.fitting(data.task, measured=_is_model(teacher))
    said = _said(teacher, data, work / "teacher.npz", device, progress)
    _refuse_ignorant(data, said)
    target.refuse_few(int(said["deciding"].known.sum()), source="held-out rows that the teacher answers")
    _refuse_unsaid(data.task, said)
    own = said["choosing"]
    truth = data.task.truth(data.choosing, source="the evaluation data")[own.known]
    told = own.told(data.task)[own.known]
    scores = {name: float(metric(truth, told)) for name, metric in data.task.metrics.items()}
    target.refuse_beyond(scores)
    figures = measured(teacher, data, device=device, seconds=seconds) if kept is None else kept
    return Heard(said, _lesson(teacher, data, said), scores, figures)


def measured(teacher: str | Path | Teacher, data: Data, *, device: str, seconds: float) -> dict[str, Figure]:
    """A teacher's time and room on this machine; nothing of one that is no model here."""
    if not _is_model(teacher):
        return {}
    assert isinstance(teacher, str | Path)
    with suppress(DistilBertError):  # of another family, or a model that is asked about labels as hypotheses
        return measure(local_folder(teacher), data.choosing, seconds=seconds)
    from distilbert.torch.foreign_tasks import open_as

    with suppress(DistilBertError):
        return measure_model(open_as(teacher, data.task, device=device), data.choosing, seconds=seconds)
    return {}


def _is_model(teacher: str | Path | Teacher) -> bool:
    return isinstance(teacher, str | Path) and (Path(teacher).is_dir() or known_kind(Path(teacher)) is None)


def _said(
    teacher: str | Path | Teacher, data: Data, file: Path, device: str, progress: Progress
) -> dict[str, Said]:
    """Its answers, part by part; those that were kept are not asked for again."""
    parts = data.parts()
    if file.exists():
        with np.load(file) as kept:  # arrays of numbers alone: numpy unpickles nothing unasked
            if all(len(kept.get(f"{name}-known", ())) == len(part) for name, part in parts.items()):
                return {name: Said(kept[f"{name}-logits"], kept[f"{name}-known"]) for name in parts}
    ask = _asker(teacher, data.task, device, progress)
    order = sorted(parts, key=["deciding", "choosing", "train", "texts"].index)
    found = {name: ask(parts[name]) for name in order}
    arrays = {f"{name}-logits": one.logits for name, one in found.items()}
    arrays |= {f"{name}-known": one.known for name, one in found.items()}
    with replacing(file) as partial, partial.open("wb") as opened:
        np.savez(opened, **arrays)
    return found


def _asker(teacher: str | Path | Teacher, task: Any, device: str, progress: Progress) -> Any:
    """What gives a teacher's answers to rows of a task."""
    from distilbert.torch.foreign_tasks import open_as
    from distilbert.torch.task_teachers import open_teacher

    of_classes = not isinstance(task, Regression)
    file = isinstance(teacher, LabelFile) or (isinstance(teacher, str | Path) and not _is_model(teacher))
    if of_classes and (not task.pair or file):
        opened = open_teacher(teacher, labels=task.labels, device=device)

        def of_teacher(rows: Examples) -> Said:
            asked = rows.columns["text"]
            if task.pair:
                asked = list(zip(asked, rows.columns["text_b"], strict=True))
            targets = opened.targets(asked, task.labels, progress=progress)
            return Said(targets.logits, targets.known)

        return of_teacher
    if not _is_model(teacher):
        raise ConfigError(
            "What is no model teaches classes alone: of single texts any teacher, of pairs a file of labels.",
            received=f"{teacher if file else type(teacher).__name__} for {task.name}",
            remedy="Name a fine-tuned folder as the teacher.",
        )
    assert isinstance(teacher, str | Path)
    model = open_as(teacher, task, device=device)
    columns = task.matching(model.task)

    def of_model(rows: Examples) -> Said:
        found = model.item_logits(model.rows(rows), stage="ask the teacher", progress=progress)
        logits = np.array(found, np.float32).reshape(len(rows), -1)[:, columns]
        return Said(np.ascontiguousarray(logits), np.ones(len(rows), np.bool_))

    return of_model


def _lesson(teacher: str | Path | Teacher, data: Data, said: dict[str, Said]) -> Any:
    """A teacher that answers from what was kept, where trainings take one."""
    if isinstance(data.task, Regression) or data.task.pair:
        return teacher
    answers = {
        text: logits
        for name, part in data.parts().items()
        for text, logits, known in zip(part.columns["text"], said[name].logits, said[name].known, strict=True)
        if known
    }
    return Kept(answers)


def _refuse_ignorant(data: Data, said: dict[str, Said]) -> None:
    """
    Raises:
        DataError: its answers have nothing to do with what is true.
    """
    task: Any = data.task
    logits, known, true = [], [], []
    for name in ("train", "choosing", "deciding"):
        logits.append(said[name].logits)
        known.append(said[name].known)
        true.append(task.truth(data.parts()[name], source="the labelled rows"))
    says = np.concatenate(known)
    told, right = np.concatenate(logits)[says], np.concatenate(true)[says]
    if not len(right):
        raise DataError(
            "A teacher must answer labelled rows, so that it can be judged.",
            received="no answer to any of them",
            remedy="Check that its texts are those of the training data, letter by letter.",
        )
    if isinstance(task, Regression):
        found = chance.of_numbers(told[:, 0], right)
    else:
        found = chance.of_labels(told.argmax(1), right, len(task.labels))
    if found.order:
        named = ", ".join(
            f"{task.labels[i]} for {task.labels[j]}" for i, j in enumerate(found.order) if i != j
        )
        raise DataError(
            "A teacher's labels must mean what the labelled rows call them.",
            received=f"one that says {named}, over {found.answers} rows",
            remedy="Correct id2label and label2id in the teacher's config.json.",
        )
    if found.value <= found.by_chance:
        raise DataError(
            "A teacher must be better than chance on the labelled rows.",
            received=f"a correlation of {found.value:.2f} with what is true over {found.answers} rows, where "
            f"chance may have {found.by_chance:.2f}",
            remedy="Fine-tune it on such texts first: distilbert finetune.",
        )


def _refuse_unsaid(task: Task, said: dict[str, Said]) -> None:
    """
    Raises:
        DataError: a label that the teacher never gives, which its student could not learn of it.
    """
    missing = list(_unsaid(task, said))
    if missing:
        rows = sum(int(one.known.sum()) for one in said.values())
        raise DataError(
            "A teacher must predict each label of the training data at least once.",
            received=f"never {', '.join(missing)}, over {rows} rows",
            remedy="Give unlabelled texts of it, fine-tune the teacher on more of it, or remove its rows.",
        )


def _unsaid(task: Any, said: dict[str, Said]) -> Iterator[str]:
    if isinstance(task, Regression):
        return
    given = {int(i) for one in said.values() for i in one.told(task)[one.known]}
    yield from (label for i, label in enumerate(task.labels) if i not in given)


def require_base(teacher: str | Path | Teacher, base: str | Path | None) -> Path:
    """The model that students are cut from: what is named, else the teacher.

    Raises:
        ConfigError: the teacher is none that can be cut, and no other is named.
        CheckpointError: a folder that cannot be read.
    """
    from distilbert.compression.candidates import require_cuttable

    if base is None and not _is_model(teacher):
        raise ConfigError(
            "Students are cut from a BERT or DistilBERT.",
            received="a teacher that is no model's folder",
            remedy="Name one to begin with: --base MODEL (base=…).",
        )
    named = base if base is not None else teacher
    assert isinstance(named, str | Path)
    try:
        folder = local_folder(named)
        require_cuttable(folder)
    except ConfigError as error:
        if base is not None:
            raise
        raise ConfigError(
            "Students are cut from a BERT or DistilBERT.",
            received=f"a teacher of another family, {error.received}",
            remedy="Name one to begin with: --base MODEL (base=…).",
        ) from None
    return folder
