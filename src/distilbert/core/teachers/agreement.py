"""How far a student answers as its teacher does, and how good both are, on gold rows that were held out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.metrics import Bootstrap, accuracy
from distilbert.core.teachers.targets import Targets

Ids = np.ndarray[Any, np.dtype[np.int64]]


def agreement(
    truth: Ids, teacher: Targets, student: Ids, *, seed: int, progress: Progress = silent
) -> dict[str, Any]:
    """Teacher and student on the gold rows that the teacher answered.

    Args:
        truth: the true ids, [rows].
        teacher: its answers, [rows].
        student: the student's ids, [rows].
        seed: of the intervals' resampling.
        progress: told of every hundredth resample.

    Returns:
        ``rows`` that are judged and ``unanswered`` ones that are not; and where there are rows, each with its
        95% interval over the same resamples: ``teacher_accuracy``, ``student_accuracy``, ``retention`` (the
        student's accuracy as a share of the teacher's) and ``agreement`` (rows on which both answer alike).
        Of a teacher that is never right there is no share: ``retention`` is None; where it is not in some of
        the resamples, there is no interval.
    """
    known = teacher.known
    counts = {"rows": int(known.sum()), "unanswered": int((~known).sum())}
    if not counts["rows"]:
        return counts
    truth, taught, student = truth[known], teacher.answers[known], student[known]
    one = {"accuracy": accuracy}

    def judged(right: Ids, **answers: Ids) -> Bootstrap:
        # From one seed both draw the same resamples.
        rng = np.random.default_rng(seed)
        return Bootstrap(right, answers, rng=rng, metrics=one, progress=progress)

    against_truth = judged(truth, teacher=taught, student=student)
    together = judged(taught, student=student)
    return {
        **counts,
        "teacher_accuracy": against_truth.score("teacher", "accuracy").as_dict(),
        "student_accuracy": against_truth.score("student", "accuracy").as_dict(),
        "retention": _share(against_truth, "accuracy"),
        "agreement": together.score("student", "accuracy").as_dict(),
    }


def _share(judged: Bootstrap, metric: str) -> dict[str, float | None] | None:
    """The student's score as a share of the teacher's; of nothing there is none."""
    whole, share = judged.score("teacher", metric), judged.ratio("student", "teacher", metric)
    if whole.value <= 0:
        return None
    return {**share.as_dict()} if whole.low > 0 else {"value": share.value, "low": None, "high": None}


#: The figures in words, in the order in which they are shown.
SHOWN = {
    "teacher_accuracy": "the teacher is right",
    "student_accuracy": "the student is right",
    "retention": "the student's share of that",
    "agreement": "both answer alike",
}


def agreement_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """``agreement`` as lines of a table: what, the figure, its interval; — where there is none."""
    return [[words, *_written(found[name])] for name, words in SHOWN.items() if name in found]


def counted(found: Mapping[str, Any], gold: str) -> str:
    """What ``agreement`` was judged on, in a sentence without its full stop."""
    rows, unanswered = found["rows"], found["unanswered"]
    if not rows:
        return (
            f"The teacher answered none of the {unanswered:,} rows of {gold}, so that nothing is judged by it"
        )
    without = f"; {unanswered:,} others have no answer of the teacher's" if unanswered else ""
    return f"On {rows:,} rows of {gold}{without}"


def _written(score: Mapping[str, float | None] | None) -> tuple[str, str]:
    if score is None:
        return "—", "—"
    low, high = score["low"], score["high"]
    return f"{score['value']:.1%}", "—" if low is None or high is None else f"{low:.1%} to {high:.1%}"
