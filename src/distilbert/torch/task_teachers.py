"""Who teaches a task: a model's folder, a file of labels, or whatever answers as they do."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from distilbert.core.teachers import folders
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
    open_model = partial(open_classifier, device=device, precision=precision)
    return folders.open_teacher(teacher, labels=labels, open_model=open_model, of_entailment=ZeroShot)
