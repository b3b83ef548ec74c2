"""A run from step to step, in any wing's words: what is learnt, where it stands, how fast it goes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from distilbert.core.recipe import Training
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, TrainingError

Rows = np.ndarray[Any, np.dtype[np.int64]]

#: What a step's parts say of the work that is in them.
WORK = ("tokens", "flops")


@dataclass(frozen=True)
class MicroBatch:
    """What is in memory at once.

    Attributes:
        given: by name.
        counts: for each loss term, its rows.
        tokens: live ones; 0 where that is not known.
        flops: that its losses need, as ``core/flops.py`` counts; 0 where that is not known.
    """

    given: dict[str, Any]
    counts: dict[str, float]
    tokens: int = 0
    flops: float = 0.0


class Lesson(Protocol):
    """What is to be learnt; a wing's objective says also what it costs."""

    @property
    def model(self) -> Any:
        """Who learns it."""

    @property
    def extra(self) -> Any:
        """What learns with it and is not kept, when the run is done."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each loss term; a term of weight 0 is left out and costs nothing."""

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        """Without end, after the first ``done``: of each step one process's share, in micro-batches."""


@dataclass
class Course:
    """A run as it stands between two steps: what the next one starts from.

    Attributes:
        model: who learns.
        extra: what learns with it.
        optimiser: with what it remembers.
        log: what happened.
        selection: the best weights so far, where somebody looks.
    """

    model: Any
    extra: Any
    optimiser: Any
    log: TrainingLog
    selection: Any = None

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.log.seconds)


class Keeper(Protocol):
    """Keeps a run as it stands, so that another process can go on with it."""

    def restore(self, course: Course) -> None:
        """Bring a run to where its newest copy stood, if there is one."""

    def keep(self, course: Course, randomness: Any) -> Path:
        """Keep a copy, and say where. ``randomness`` is what the next step draws from."""


class Watch(Protocol):
    """Is told of every step, and of every look at what is held out."""

    def __call__(self, log: TrainingLog) -> None:
        """What has happened so far."""


def unwatched(log: TrainingLog) -> None:
    """Sees nothing."""


def parts(rows: Rows, share: slice, *, size: int) -> list[Rows]:
    """One process's share of a step's rows, in parts of at most ``size``; as many parts in every process.

    Where there are fewer rows than processes, some have none.
    """
    largest = -(-len(rows) // (share.step or 1))
    own = rows[share]
    return np.array_split(own, -(-largest // size)) if len(own) else []


def terms_of(lesson: Lesson) -> dict[str, float]:
    """The terms of its loss that have a weight.

    Raises:
        ConfigError: none has.
    """
    weights = {name: weight for name, weight in lesson.weights.items() if weight}
    if not weights:
        raise ConfigError(
            "At least one term of a loss must have a weight.",
            received=", ".join(f"{name} 0" for name in lesson.weights),
            remedy="Give one of them a weight in the recipe, or name a teacher.",
        )
    return weights


def triangle(recipe: Training, total_steps: int) -> Callable[[int], float]:
    """Linear warm-up to the recipe's rate and linear decay to zero, which comes after the last step."""
    warmup = round(recipe.warmup_share * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return (total_steps - step) / max(1, total_steps - warmup)

    return factor


def not_finite(
    when: str, losses: Mapping[str, float], norm: float | None, recipe: Training, saved: Path | None
) -> TrainingError:
    """What is said of a run whose losses or gradients are no numbers."""
    listed = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    kept = f"The last good checkpoint is {saved}" if saved else "No checkpoint was kept yet"
    return TrainingError(
        "Losses and gradients must stay finite.",
        received=f"{when}: {listed}" + ("" if norm is None else f"; gradient norm {norm:.4g}"),
        remedy=f"{kept}. Lower --learning-rate"
        + ("" if recipe.precision == "fp32" else ", or add --precision fp32")
        + ".",
    )
