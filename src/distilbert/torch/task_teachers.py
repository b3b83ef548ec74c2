"""Who teaches a task: a model's folder, a file of labels, or whatever answers as they do."""

import os
from collections.abc import Sequence
from pathlib import Path

from distilbert.core.teachers.entailment import entails
from distilbert.core.teachers.folders import FolderTeacher, teacher_without_a_model
from distilbert.core.teachers.targets import Teacher
from distilbert.torch.foreign_tasks import open_classifier
from distilbert.torch.zero_shot import ZeroShot


def open_teacher(
    teacher: str | Path | Teacher,
    *,
    labels: Sequence[str] | None = None,
    device: str = "auto",
    precision: str = "fp32",
) -> Teacher:
    """The teacher that is meant.

    Args:
        teacher: a file of labels, by its name's ending; a classifier's folder, or its name on a hub, with
            ``transformers`` of any family; an entailment model's, which is asked about the labels where it
            has others; or a ``Teacher``, which is returned.
        labels: that it is to know; None for its own.
        device, precision: of a model.

    Raises:
        CheckpointError, ConfigError: as ``TextClassifier.open``.
        DataError: there is no such file.
    """
    found = teacher_without_a_model(teacher)
    if found is not None:
        return found
    assert isinstance(teacher, str | os.PathLike)
    path = Path(teacher)
    model = open_classifier(path, device=device, precision=precision)
    own = model.task.labels
    if entails(own) and (labels is None or set(labels) != set(own)):
        return ZeroShot(model)
    return FolderTeacher(model)
