"""Candidates trained side by side, the better half of them for longer, until the budget is spent."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distilbert.compression.candidates import Beginnings, Shape
from distilbert.compression.data import Data
from distilbert.compression.general import General
from distilbert.compression.heads import begin_with_head
from distilbert.compression.hearing import Heard
from distilbert.compression.judging import qualities
from distilbert.compression.measuring import Figure
from distilbert.compression.plan import LEAST_STEPS, Plan
from distilbert.compression.target import Target
from distilbert.compression.work import Work
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning


@dataclass(frozen=True)
class Trained:
    """A candidate after a rung.

    Attributes:
        shape: its sizes.
        folder: the model.
        rung: the number of the rung, from 1.
        steps: in all rungs so far.
        quality: on the held-out rows that choose, by term.
    """

    shape: Shape
    folder: Path
    rung: int
    steps: int
    quality: dict[str, Figure]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "folder": self.folder.name}


class Halving:
    """Trains what a plan says.

    Args:
        begun: makes the candidates.
        data: to learn from and to compare by.
        heard: the teacher's answers.
        target: by whose terms candidates are compared.
        general: has candidates read before.
        recipe: of the trainings but for their steps.
        work: keeps each candidate after each rung.
        device: that they are trained on.
        progress: told of every step.
    """

    def __init__(
        self,
        begun: Beginnings,
        data: Data,
        heard: Heard,
        target: Target,
        *,
        general: General,
        recipe: Finetuning,
        work: Work,
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self._general = general
        self._begun, self._data, self._heard, self._target = begun, data, heard, target
        self._recipe, self._work, self._device, self._progress = recipe, work, device, progress

    def pace(self, shapes: Sequence[Shape]) -> dict[str, tuple[float, float]]:
        """Of each shape by its slug, the seconds of a step, and of what stands around a training."""
        found = {}
        for shape in shapes:
            started = time.perf_counter()
            plan = self._finetuner(self._begun.folder(shape), LEAST_STEPS).rehearse(
                self._data.train, unlabelled=self._more, evaluate=self._data.choosing
            )
            whole = time.perf_counter() - started
            # What came before its steps and after them; looks and the conclusion are of an expected run.
            after = plan.expected_seconds - plan.steps * plan.seconds_per_step
            found[shape.slug] = (plan.seconds_per_step, whole + after)
        return found

    def run(self, plan: Plan) -> list[list[Trained]]:
        """The candidates after each rung, the best first; a rung that is there is not trained again."""
        rungs: list[list[Trained]] = []
        contenders = plan.shapes
        sizes = {row.shape: row.figures["size"].value for row in reversed(plan.rows) if not row.dropped}
        for number, rung in enumerate(plan.rungs, start=1):
            before = {one.shape: one for one in rungs[-1]} if rungs else {}
            trained = [
                self._trained(shape, number, rung.steps[shape.slug], before.get(shape), plan.reading)
                for shape in contenders[: rung.count]
            ]
            rungs.append(sorted(trained, key=lambda one: rank(one.quality, sizes[one.shape], self._target)))
            contenders = [one.shape for one in rungs[-1]]
        return rungs

    def _trained(
        self, shape: Shape, rung: int, steps: int, before: Trained | None, reading: Mapping[str, int]
    ) -> Trained:
        folder = self._work.folder / f"rung-{rung}" / shape.slug
        done = steps + (before.steps if before is not None else 0)
        name = f"rung-{rung}-{shape.slug}"
        if not folder.exists():
            start = self._start(shape, reading) if before is None else before.folder
            self._finetuner(start, steps).run(
                self._data.train,
                out=folder,
                unlabelled=self._more,
                evaluate=self._data.choosing,
                resume=True,
            )
        _ = self._work.spent
        if not (kept := self._work.kept(name)):
            kept = {"quality": {k: one.as_dict() for k, one in self._judged(folder).items()}}
            self._work.keep(name, kept)
        quality = {k: Figure(**one) for k, one in kept["quality"].items()}
        return Trained(shape, folder, rung, done, quality)

    def _start(self, shape: Shape, reading: Mapping[str, int]) -> Path:
        """A candidate before its task: cut, read where it is to read, and with a head to begin with."""
        if shape.slug in reading:
            source = self._general.folder(shape, reading[shape.slug])
        else:
            source = self._begun.folder(shape)
        return begin_with_head(
            source,
            self._work.folder / "headed" / shape.slug,
            self._data.task,
            self._data.train,
            self._heard.said["train"],
            max_length=self._recipe.max_length,
            seed=self._recipe.seed,
        )

    @property
    def _more(self) -> Any:
        return () if self._data.more is None else self._data.more

    def _finetuner(self, start: Path, steps: int) -> Any:
        from distilbert.torch.finetune import Finetuner

        return Finetuner(
            start,
            teacher=self._heard.teacher,
            task=self._data.task.name,
            recipe=self._recipe.with_changes(steps=steps),
            device=self._device,
            progress=self._progress,
        )

    def _judged(self, folder: Path) -> dict[str, Figure]:
        from distilbert.torch.predictor import Predictor

        model, examples = Predictor.open(folder, device=self._device), self._data.choosing
        rows = model.rows(examples)
        logits = model.calibration.applied(model.item_logits(rows, stage="judge", progress=self._progress))
        told = model.task.told(logits, examples, rows)
        said = self._heard.said["choosing"]
        return qualities(self._data.task, examples, told, said, seed=self._recipe.seed)


def rank(figures: Mapping[str, Figure], size: float, target: Target) -> tuple[float, float]:
    """Whom to go on with: of those that keep the target's terms the smallest, else whoever comes nearest.

    Args:
        figures: a candidate's, of whichever terms are known of it.
        size: in MB.
        target: the terms.
    """
    known = [term for term in target.terms if term.name in figures]
    missed = sum(term.missed_by(figures[term.name].value) for term in known)
    if not target.of("quality"):  # nothing says how good: then the better, by what it has of its teacher
        agreement = figures.get("agreement")
        missed += 1 - agreement.value if agreement is not None else 0.0
    return missed, size
