"""The training loop that every job and every wing shares: a learner takes the steps, a recipe says how."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Training
from distilbert.core.training.course import (
    Course,
    Keeper,
    Lesson,
    MicroBatch,
    Watch,
    not_finite,
    terms_of,
    triangle,
    unwatched,
)


class Learner(Protocol):
    """What of a step is a wing's own."""

    #: Of any rows, those that are this process's.
    share: slice

    def randomness(self) -> Any:
        """What the next step draws from."""

    def accumulate(self, batches: list[MicroBatch]) -> tuple[dict[str, float], dict[str, float]]:
        """Make a step's gradient; its mean loss terms, and the tokens and FLOPs of it.

        Each term is divided once, by its count over the whole step and all processes: the same gradient
        however the step's rows are split.
        """

    def clip(self) -> float:
        """Scale the gradient down to the recipe's norm; the norm that it had."""

    def update(self, factor: float) -> None:
        """Take the step, at a share of the recipe's rate."""

    def refresh(self) -> None:
        """Give the model the weights that have been learnt since."""

    def judge(self, course: Course) -> None:
        """Enter what the rows that are held out show."""

    def look(self, course: Course, total_steps: int) -> bool:
        """Look at the examples to judge by; whether there is use in going on."""

    def finish(self) -> None:
        """Leave the model to be used."""

    def check(self, batches: list[MicroBatch]) -> Mapping[str, float]:
        """The mean loss terms of the finished model, without a gradient."""


def learn(
    lesson: Lesson,
    recipe: Training,
    learner: Learner,
    course: Course,
    *,
    total_steps: int,
    stage: str,
    progress: Progress = silent,
    keeper: Keeper | None = None,
    stop_after: int | None = None,
    watch: Watch = unwatched,
) -> None:
    """Take the steps of a run that a keeper has restored, if there is one.

    Args:
        lesson: gives the batches.
        recipe: schedule, looks and copies.
        learner: takes the steps.
        course: where the run stands; its log is written.
        total_steps: the schedule's length.
        stage: the name under which progress is reported.
        progress: told of every step.
        keeper: is asked every ``recipe.checkpoint_every`` steps, when the next step has shown that the
            weights give finite losses.
        stop_after: leave the schedule after so many steps, to measure their speed.
        watch: told of every step and every look, too, with all there is to say.

    Raises:
        ConfigError: no term of the loss has a weight.
        TrainingError: a loss or a gradient is not finite, or the losses of the finished model are not.
    """
    weights, factor, log = terms_of(lesson), triangle(recipe, total_steps), course.log
    saved: Path | None = None
    if not course.done and getattr(recipe, "judge_every", None) and not stop_after:
        learner.judge(course)
        watch(log)
    progress(stage, course.done, total_steps, {})
    first = course.done + 1
    steps = lesson.steps(course.done, learner.share)
    batches: list[MicroBatch] | None = None
    for step in range(first, min(total_steps, stop_after or total_steps) + 1):
        started = time.perf_counter()
        randomness = learner.randomness()
        batches = next(steps)
        means, work = learner.accumulate(batches)
        norm = learner.clip()
        losses = {**means, "total": sum(weights[name] * mean for name, mean in means.items())}
        if not all(map(math.isfinite, (*losses.values(), norm))):
            raise not_finite(f"at step {step}", losses, norm, recipe, saved)
        if keeper is not None and step > first and (step - 1) % recipe.checkpoint_every == 0:
            learner.refresh()
            saved = keeper.keep(course, randomness)
        learner.update(factor(step - 1))
        log.add(
            losses,
            rate=recipe.learning_rate * factor(step - 1),
            seconds=time.perf_counter() - started,
            work=work,
        )
        goes_on = bool(stop_after) or _look(recipe, learner, course, total_steps)
        watch(log)
        progress(stage, step, total_steps, log.now())
        if not goes_on:
            break
    learner.refresh()
    learner.finish()
    if batches is not None:
        # The last step's weights have had no step after them that would have shown what they give.
        last = learner.check(batches[:1])
        if not all(map(math.isfinite, last.values())):
            raise not_finite(f"after step {course.done}", last, None, recipe, saved)
    if course.selection is not None:
        course.selection.put_back()


def _look(recipe: Training, learner: Learner, course: Course, total_steps: int) -> bool:
    """Judge, where it is time to; whether there is use in going on."""
    step, every = course.done, getattr(recipe, "judge_every", None)
    if every and (step % every == 0 or step == total_steps):
        learner.refresh()
        learner.judge(course)
    if course.selection is None or not course.selection.is_due(step, total_steps):
        return True
    learner.refresh()
    return learner.look(course, total_steps)
