"""Labels for texts from a teacher, in a file that students learn from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from distilbert.core.progress import Progress, silent
from distilbert.core.teachers.folders import FolderTeacher
from distilbert.core.teachers.label_files import write_labels
from distilbert.core.teachers.targets import Teacher
from distilbert.errors import ConfigError, DataError, OutputError
from distilbert.torch.task_teachers import open_teacher


def label(
    teacher: str | Path | Teacher,
    texts: Iterable[str],
    *,
    out: str | Path,
    classes: Sequence[str] | None = None,
    force: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write what a teacher says of texts: a .jsonl file of each one's label and probabilities.

    ``Finetuner`` takes it as a teacher, and ``LabelledTexts.read`` as labelled texts.

    Args:
        teacher: a classifier's folder; an entailment model's; or a ``Teacher``, such as a ``ChatTeacher``.
        texts: each is asked about once.
        out: the file.
        classes: names of the classes; None for those of a classifier.
        force: replace a file that stands there.
        device: "auto", "cpu", "cuda" or "mps", of a model.
        progress: told of every part.

    Returns:
        The number of ``texts``, how many are ``labelled``, and what is known of the teacher.

    Raises:
        ConfigError: no classes, or others than the teacher has.
        DataError: no texts.
        OutputError: ``out`` is taken or cannot be written.
        TeacherError: a server that does not answer.
    """
    out = Path(out)
    if out.exists() and not force:
        raise OutputError(
            "What stands at the output's place is kept.",
            received=f"{out}, which exists",
            remedy="Choose another name, or replace it with --force (force=True).",
        )
    if not out.parent.is_dir() or out.is_dir() or out.suffix != ".jsonl":
        raise OutputError(
            "Labels are written to a .jsonl file in a folder that exists.",
            received=str(out),
            remedy="Name one, such as labels.jsonl.",
        )
    asked = list(dict.fromkeys(text.strip() for text in texts))
    if not asked:
        raise DataError("There must be texts to label.", received="none", remedy="Name a file of texts.")
    found = open_teacher(teacher, labels=classes, device=device)
    classes = classes_of(found, classes)
    targets = found.targets(asked, classes, progress=progress)
    labelled = write_labels(out, asked, targets, classes)
    return {
        "texts": len(asked),
        "labelled": labelled,
        "classes": list(classes),
        "teacher": {"kind": found.kind, **found.facts()},
        **({"asked": account} if (account := found.account()) else {}),
    }


def classes_of(teacher: Teacher, classes: Sequence[str] | None) -> Sequence[str]:
    """The classes that are meant: a classifier has its own.

    Raises:
        ConfigError: there are none, fewer than two, or one twice.
    """
    if classes is None:
        if not isinstance(teacher, FolderTeacher):
            raise ConfigError(
                "A teacher that has no classes of its own must be told them.",
                received=f"no classes for this {teacher.kind}",
                remedy='Name them: --classes "sports,politics" (classes=["sports", "politics"]).',
            )
        classes = teacher.labels
    if len(set(classes)) < max(2, len(classes)):
        raise ConfigError(
            "There must be at least two classes, each named once.",
            received=", ".join(classes) or "none",
            remedy='Name them: --classes "sports,politics"',
        )
    return classes
