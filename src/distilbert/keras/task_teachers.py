"""Who teaches a task: a model's folder, a file of labels, or whatever answers as they do."""

import os
from collections.abc import Sequence
from pathlib import Path

from distilbert.core.tasks.task import Task
from distilbert.core.teachers.entailment import entails
from distilbert.core.teachers.folders import FolderTeacher, teacher_without_a_model
from distilbert.core.teachers.targets import Teacher
from distilbert.errors import ConfigError
from distilbert.keras.predictor import Predictor


def open_teacher(
    teacher: str | Path | Teacher,
    *,
    labels: Sequence[str] | None = None,
    device: str = "auto",
    precision: str = "fp32",
) -> Teacher:
    """The teacher that is meant.

    Args:
        teacher: a file of labels, by its name's ending; a BERT or DistilBERT classifier's folder, or its name
            on a hub; or a ``Teacher``, which is returned.
        labels: that it is to know; None for its own.
        device, precision: of a model.

    Raises:
        CheckpointError: a folder cannot be read.
        ConfigError: a model of another family, or one of entailment.
        DataError: there is no such file.
    """
    found = teacher_without_a_model(teacher)
    if found is not None:
        return found
    assert isinstance(teacher, str | os.PathLike)
    model = Predictor.open(teacher, device=device, precision=precision)
    own = model.task.labels
    if entails(own) and (labels is None or set(labels) != set(own)):
        raise ConfigError(
            "An entailment model is asked about labels in PyTorch.",
            received=f"{teacher} for Keras",
            remedy="Have it write a file of labels first, and name that: distilbert label",
        )
    return FolderTeacher(model)


def open_as(folder: str | Path, task: Task, *, device: str = "auto", precision: str = "fp32") -> Predictor:
    """A fine-tuned model to be asked what a task asks. Errors are ``Predictor.open``'s."""
    return Predictor.open(folder, device=device, precision=precision)
