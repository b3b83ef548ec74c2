"""A teacher by its name: a file of labels, or a fine-tuned classifier that whichever wing has opened."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distilbert.core.data.sources import known_kind
from distilbert.core.progress import Progress
from distilbert.core.tasks.answering import Opened
from distilbert.core.tasks.examples import Examples
from distilbert.core.teachers.entailment import entails
from distilbert.core.teachers.label_files import LabelFile
from distilbert.core.teachers.targets import Targets, Teacher
from distilbert.errors import ConfigError

#: What a teacher's address begins with, and no folder's name.
ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def teacher_without_a_model(teacher: str | Path | Teacher) -> Teacher | None:
    """The teacher that is meant, if it is no model's folder: a file of labels, by its name's ending, or a
    ``Teacher``, which is returned.

    Raises:
        ConfigError: an address alone.
        DataError: there is no such file.
    """
    if not isinstance(teacher, str | os.PathLike):
        return teacher
    if ADDRESS.match(str(teacher)):
        raise ConfigError(
            "A teacher on a server needs the name of the model that answers there.",
            received=f"the address {teacher} alone",
            remedy="Add --teacher-model NAME; in Python give ChatTeacher(address, model=NAME).",
        )
    path = Path(teacher)
    return LabelFile(path) if known_kind(path) is not None and not path.is_dir() else None


def open_teacher(
    teacher: str | Path | Teacher,
    *,
    labels: Sequence[str] | None,
    open_model: Callable[[str | Path], Opened],
    of_entailment: Callable[[Any], Teacher],
) -> Teacher:
    """The teacher that is meant.

    Args:
        teacher: a file of labels, by its name's ending; a classifier's folder, or its name on a hub; or a
            ``Teacher``, which is returned.
        labels: that it is to know; None for its own.
        open_model: opens a folder, as a wing does.
        of_entailment: makes a teacher of an open entailment model that is to be asked about other labels.

    Raises:
        ConfigError: an address alone, or what ``open_model`` and ``of_entailment`` refuse.
        DataError: there is no such file.
    """
    found = teacher_without_a_model(teacher)
    if found is not None:
        return found
    assert isinstance(teacher, str | os.PathLike)
    model = open_model(teacher)
    own = model.task.labels
    if entails(own) and (labels is None or set(labels) != set(own)):
        return of_entailment(model)
    return FolderTeacher(model)


class FolderTeacher:
    """A fine-tuned classifier as a teacher.

    Args:
        model: open.
    """

    kind: ClassVar[str] = "classifier"
    paid: ClassVar[bool] = False

    def __init__(self, model: Opened) -> None:
        self._model = model
        self.cut = 0

    @property
    def labels(self) -> tuple[str, ...]:
        labels: tuple[str, ...] = self._model.task.labels
        return labels

    def targets(self, texts: Sequence[str], labels: Sequence[str], *, progress: Progress) -> Targets:
        own = self.labels
        if set(own) != set(labels):
            raise ConfigError(
                "A teacher must have the labels of the training data: " + ", ".join(labels) + ".",
                received=f"a teacher of {', '.join(own)}",
                remedy="Fine-tune the teacher on the same training data.",
            )
        order = [own.index(label) for label in labels]
        rows = self._model.rows(Examples(self._model.task.name, {"text": list(texts)}, "the texts"))
        found = self._model.item_logits(rows, stage="ask the teacher", progress=progress)
        logits = np.array(found, np.float32).reshape(len(rows), len(own))
        self.cut = int(np.count_nonzero(rows.dropped))
        return Targets.all_known(np.ascontiguousarray(logits[:, order]))

    def facts(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "cut_to_max_length": self.cut}

    def account(self) -> dict[str, Any]:
        return {}
