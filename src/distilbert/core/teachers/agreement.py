"""How far a student answers as its teacher does, and how good both are, on gold rows that were held out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.metrics import Bootstrap, Metric, accuracy

Known = np.ndarray[Any, np.dtype[np.bool_]]


class Answers(Protocol):
    """What a teacher says of gold rows."""

    @property
    def answers(self) -> Any:
        """As the task's metrics take them, [rows, ...]."""

    @property
    def known(self) -> Known:
        """[rows], False where it says nothing."""


@dataclass(frozen=True)
class Told:
    """Answers as the metrics take them; of a model, which says something of every row, ``heard`` is None."""

    answers: Any
    heard: Known | None = None

    @property
    def known(self) -> Known:
        return np.ones(len(self.answers), np.bool_) if self.heard is None else self.heard


def agreement(
    truth: Any,
    teacher: Answers,
    student: Any,
    *,
    metrics: Mapping[str, Metric] = {"accuracy": accuracy},
    seed: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Teacher and student on the gold rows that the teacher answered.

    Args:
        truth: what is true, [rows, ...].
        teacher: its answers.
        student: the student's, [rows, ...].
        metrics: the task's, of which the first judges; it is one of which the greatest is the best.
        seed: of the intervals' resampling.
        progress: told of every hundredth resample.

    Returns:
        ``rows`` that are judged and ``unanswered`` ones that are not, the ``metric``; and where there are
        rows, each with its 95% interval over the same resamples: ``teacher_accuracy`` and
        ``student_accuracy``, or whatever the metric is, ``retention`` (the student's score as a share of the
        teacher's) and, of accuracy, ``agreement`` (rows on which both answer alike). Of a teacher that is
        never right there is no share: ``retention`` is None; where it is not in some of the resamples, there
        is no interval.
    """
    known = teacher.known
    metric = next(iter(metrics))
    counts = {"rows": int(known.sum()), "unanswered": int((~known).sum()), "metric": metric}
    if not counts["rows"]:
        return counts
    truth, taught, student = truth[known], teacher.answers[known], student[known]
    one = {metric: metrics[metric]}

    def judged(right: Any, **answers: Any) -> Bootstrap:
        # From one seed both draw the same resamples.
        rng = np.random.default_rng(seed)
        return Bootstrap(right, answers, rng=rng, metrics=one, progress=progress)

    against_truth = judged(truth, teacher=taught, student=student)
    found = {
        **counts,
        f"teacher_{metric}": against_truth.score("teacher", metric).as_dict(),
        f"student_{metric}": against_truth.score("student", metric).as_dict(),
        "retention": _share(against_truth, metric),
    }
    if metric == "accuracy":
        found["agreement"] = judged(taught, student=student).score("student", metric).as_dict()
    return found


def _share(judged: Bootstrap, metric: str) -> dict[str, float | None] | None:
    """The student's score as a share of the teacher's; of nothing there is none."""
    whole, share = judged.score("teacher", metric), judged.ratio("student", "teacher", metric)
    if whole.value <= 0:
        return None
    return {**share.as_dict()} if whole.low > 0 else {"value": share.value, "low": None, "high": None}


def agreement_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """``agreement`` as lines of a table: what, the figure, its interval; — where there is none."""
    metric = found["metric"]
    if metric == "accuracy":
        shown = {"teacher_accuracy": "the teacher is right", "student_accuracy": "the student is right"}
    else:
        words = metric.replace("_", " ").replace("f1", "F1")
        shown = {f"{who}_{metric}": f"the {who}'s {words}" for who in ("teacher", "student")}
    shown |= {"retention": "the student's share of that", "agreement": "both answer alike"}
    shares = {"teacher_accuracy", "student_accuracy", "retention", "agreement"}
    return [
        [words, *_written(found[name], ".1%" if name in shares else ".3f")]
        for name, words in shown.items()
        if name in found
    ]


def counted(found: Mapping[str, Any], gold: str) -> str:
    """What ``agreement`` was judged on, in a sentence without its full stop."""
    rows, unanswered = found["rows"], found["unanswered"]
    if not rows:
        return (
            f"The teacher answered none of the {unanswered:,} rows of {gold}, so that nothing is judged by it"
        )
    without = f"; {unanswered:,} others have no answer of the teacher's" if unanswered else ""
    return f"On {rows:,} rows of {gold}{without}"


def _written(score: Mapping[str, float | None] | None, form: str) -> tuple[str, str]:
    if score is None:
        return "—", "—"
    unbounded = score["low"] is None
    return (
        f"{score['value']:{form}}",
        "—" if unbounded else f"{score['low']:{form}} to {score['high']:{form}}",
    )
