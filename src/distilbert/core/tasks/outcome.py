"""What a model's answers to labelled examples come to: scores, calibration, tables and mistakes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.answering import Opened
from distilbert.core.tasks.calibration import (
    Calibration,
    calibration_error,
    fit_null_threshold,
    reliability,
)
from distilbert.core.tasks.classes import class_table, confusion, entity_table
from distilbert.core.tasks.decisions import Decisions, decisions
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.metrics import RESAMPLES, Bootstrap
from distilbert.core.tasks.mistakes import mistakes
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.sentence_embedding import judging
from distilbert.core.tasks.tags import have_spans
from distilbert.core.tasks.token_classification import TokenClassification
from distilbert.errors import ConfigError

#: Examples that say how long all of them take.
_FEW = 64


@dataclass(frozen=True)
class Outcome:
    """What a model answered to examples, beside what is true.

    Attributes:
        task: the model's.
        calibration: the model's.
        examples: that were answered.
        items: their tokens.
        logits: of each item, as the model gives them.
        truth: what is true, as the task's metrics take it.
        told: what was answered, likewise.
    """

    task: Any
    calibration: Calibration
    examples: Examples
    items: TokenRows
    logits: Sequence[Array]
    truth: Any
    told: Any

    def told_by(self, facts: Mapping[str, Any]) -> Any:
        """What would have been answered by a calibration, as ``distilbert.json`` remembers it."""
        calibration = Calibration.from_facts(facts)
        task = calibration.task(self.task)
        return task.told(calibration.applied(self.logits), self.examples, self.items)

    @cached_property
    def decided(self) -> Decisions | None:
        return decisions(self.task, self.logits, self.examples, self.items)

    def scores(self, *, seed: int, progress: Progress = silent) -> dict[str, Any]:
        """Each metric with its interval, and over how many rows."""
        rng = np.random.default_rng(seed)
        metrics = self.task.metrics
        judged = Bootstrap(self.truth, {"": self.told}, rng=rng, metrics=metrics, progress=progress)
        scores = {metric: judged.score("", metric).as_dict() for metric in metrics}
        cut = int(np.count_nonzero(self.items.dropped))
        return {**scores, "rows": len(self.examples), "cut_to_max_length": cut}

    def calibration_facts(self) -> dict[str, Any] | None:
        """What is to be remembered of a calibration on these examples; None where there is nothing to fit."""
        if isinstance(self.task, QuestionAnswering) and self.task.unanswerable:
            return self._null_threshold()
        if self.decided is None:
            return None
        fitted = Calibration.fitted(self.decided, getattr(self.task, "labels", ()))
        before, after = (
            calibration_error(*self.decided.confidence(temperature))
            for temperature in (1.0, fitted.temperature)
        )
        return {**fitted.facts(), "rows": len(self.examples), "error": {"before": before, "after": after}}

    def _null_threshold(self) -> dict[str, Any] | None:
        """From where on a question has no answer; None where nothing else could be told of any."""
        margins, scores = self.task.null_margins(self.logits, self.examples, self.items)
        if not np.isfinite(margins).any():
            return None
        threshold = fit_null_threshold(margins, scores)
        after = float(np.where(margins > threshold, scores[:, 1], scores[:, 0]).mean())
        f1 = {"before": float(self.told[:, 1].mean()), "after": after}
        return {**Calibration(null_threshold=threshold).facts(), "rows": len(margins), "f1": f1}

    def findings(self) -> dict[str, Any]:
        """Beyond the metrics: calibration, tables by label, and mistakes."""
        found: dict[str, Any] = {}
        temperature, scaled = self.calibration.temperature, self.calibration.applied(self.logits)
        decided = self.decided
        if decided is not None:
            sure = decided.confidence(temperature)
            bins = [one._asdict() for one in reliability(*sure)]
            error = calibration_error(*sure)
            found["calibration"] = {"error": error, "temperature": temperature, "bins": bins}
            decided = replace(decided, logits=decided.logits / temperature)
            found |= self._tables(decided)
        listed = mistakes(self.task, scaled, self.examples, self.items, decided)
        return found if listed is None else {**found, "mistakes": listed}

    def _tables(self, decided: Decisions) -> dict[str, Any]:
        labels = getattr(self.task, "labels", None)
        if labels is None:
            return {}
        if decided.several:
            return {"classes": class_table(decided.truth, (self.told >= 0.5).astype(np.int64), labels)}
        told = decided.logits.argmax(axis=1)
        found: dict[str, Any] = {
            "classes": class_table(decided.truth, told, labels),
            "confusion_matrix": confusion(decided.truth, told, labels),
        }
        if isinstance(self.task, TokenClassification) and have_spans(labels):
            answers = self.task.answers(self.logits, self.examples, self.items)
            tags = [answer.tags for answer in answers]
            found["entities"] = entity_table(self.examples.columns["tags"], tags)
        return found


def seconds_of(judged: Callable[[Examples], Outcome], examples: Examples) -> float:
    """About what answering examples and weighing the scores takes, by what a few of them do.

    Args:
        judged: what an open model comes to on some of them.
        examples: all of them.
    """
    few = examples.take(sorted({i * len(examples) // _FEW for i in range(_FEW)}))
    started = time.perf_counter()
    outcome = judged(few)
    answering = (time.perf_counter() - started) * len(examples) / len(few)
    rows = np.resize(np.arange(len(few)), len(examples))
    started = time.perf_counter()
    for metric in outcome.task.metrics.values():
        metric(outcome.truth[rows], outcome.told[rows])
    return answering + RESAMPLES * (time.perf_counter() - started)


def judge(predictor: Opened, examples: Examples, *, progress: Progress = silent) -> Outcome:
    """Have an open model answer examples."""
    task = judging(predictor.task, examples)
    truth = task.truth(examples, source="the evaluation data")
    rows = predictor.rows(examples)
    logits = predictor.item_logits(rows, stage="evaluate", progress=progress)
    told = task.told(predictor.calibration.applied(logits), examples, rows)
    return Outcome(task, predictor.calibration, examples, rows, logits, truth, told)


def refuse_incomparable(task: Any, other: Any) -> None:
    """Refuse a model that does not answer what another does.

    Raises:
        ConfigError: it is of another task, or has other labels.
    """
    labels, others = (sorted(getattr(one, "labels", ())) for one in (task, other))
    if task.name != other.name or labels != others:
        kinds = [f"{one.name} of {', '.join(names)}" if names else one.name
                 for one, names in ((task, labels), (other, others))]  # fmt: skip
        raise ConfigError(
            "Models that are compared must have the same task and the same labels.",
            received=" and ".join(kinds),
            remedy="Compare models that were fine-tuned on the same data.",
        )


def told_alike(task: Any, other: Opened, examples: Examples, *, stage: str, progress: Progress) -> Any:
    """What a model answers as its folder says, thresholds too, in the order of a task's labels."""
    rows = other.rows(examples)
    logits = other.calibration.applied(other.item_logits(rows, stage=stage, progress=progress))
    own = judging(other.task, examples)
    if labels := getattr(own, "labels", ()):
        order = [labels.index(label) for label in task.labels]
        logits = [row[..., order] for row in logits]
        own = other.calibration.task(replace(own, labels=task.labels))
    return own.told(logits, examples, rows)
