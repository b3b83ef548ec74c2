"""A wing whose run is one process: what of a run needs no framework there."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from distilbert.core.checkpoint import LoadReport
from distilbert.core.copies import Copies
from distilbert.core.model_folders import save_folder
from distilbert.core.perplexity import perplexities
from distilbert.core.progress import Progress
from distilbert.core.recipe import Training
from distilbert.core.safetensors_files import SafetensorsFile, write_safetensors
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import Course, Keeper, Watch, unwatched
from distilbert.core.training.loop import learn
from distilbert.core.training.wing import Alone, Job
from distilbert.core.training_log import TrainingLog
from distilbert.core.weight_files import Arrays
from distilbert.errors import CheckpointError, ConfigError

STATE_FILE = "training.safetensors"


class LoneWing:
    """A wing, as a run asks it. Abstract: its framework's part is a subclass's.

    What is drawn follows from the recipe's seed and the step, so that there is no state of it.
    """

    #: What people call it, and what ``--backend`` does.
    name: ClassVar[str]
    backend: ClassVar[str]
    #: What takes its steps: made of an objective, a recipe, a course and the keys of new weights.
    learner: ClassVar[Callable[..., Any]]

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"backend": self.backend}

    def group(self, device: str) -> Alone:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError(
                f"A run in {self.name} is one process.",
                received=f"WORLD_SIZE={os.environ['WORLD_SIZE']}",
                remedy="Start it without torchrun, or leave --backend out.",
            )
        return self.alone(device)

    def alone(self, device: str) -> Alone:
        return Alone(self.pick_device(device))

    def pick_device(self, name: str) -> Any:
        """The device of this name."""
        raise NotImplementedError

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        return nullcontext()

    def arrays(self, model: Any) -> Arrays:
        arrays: Arrays = model.arrays()
        return arrays

    def save(
        self, folder: Path, model: Any, tokenizer: DistilBertTokenizerFast, facts: Mapping[str, Any]
    ) -> None:
        save_folder(folder, model, tokenizer, facts)

    def keeper(
        self,
        copies: Copies,
        save: Callable[[Path, Mapping[str, Any]], None],
        facts: Mapping[str, Any],
        group: Alone,
    ) -> "LoneKeeper":
        return LoneKeeper(copies, save, facts, self)

    def require_tracker(self, kind: str) -> None:
        raise ConfigError(
            "Trackers are told of runs in PyTorch.",
            received=f"{kind!r:.80} for {self.name}",
            remedy="Leave it out; --report FILE draws what happened.",
        )

    def refuse_entailment(self, model: Any) -> NoReturn:
        """Refuse a teacher that is to be asked about labels of its pupil's."""
        raise ConfigError(
            "An entailment model is asked about labels in PyTorch.",
            received=f"one for {self.name}, which knows {', '.join(model.task.labels)}",
            remedy="Have it write a file of labels first, and name that: distilbert label",
        )

    def tracked(
        self, kind: str | None, out: str | Path, settings: Mapping[str, Any], group: Alone
    ) -> AbstractContextManager[Watch]:
        return nullcontext(unwatched)

    def train(
        self,
        job: Job,
        recipe: Training,
        group: Alone,
        *,
        total_steps: int,
        stage: str,
        progress: Progress,
        keeper: Keeper | None = None,
        stop_after: int | None = None,
        watch: Watch = unwatched,
        selection: Any = None,
    ) -> TrainingLog:
        selection = None if stop_after else selection
        objective = job.objective
        course = Course(objective.model, objective.extra, None, TrainingLog(), selection)
        course.optimiser = learner = type(self).learner(objective, recipe, course, job.new_weights)
        if keeper is not None:
            keeper.restore(course)
        learn(
            objective,
            recipe,
            learner,
            course,
            total_steps=total_steps,
            stage=stage,
            progress=progress,
            keeper=keeper,
            stop_after=stop_after,
            watch=watch,
        )
        return course.log

    def judge(self, objective: Any, recipe: Training, group: Alone) -> None:
        judge(objective, TrainingLog(), 0)

    def load(self, model: Any, folder: Path) -> LoadReport:
        """Give a model a folder's weights, on the device where it is; what became of every key."""
        report: LoadReport = model.load(folder)
        return report

    def held(self, model: Any, array: "np.ndarray[Any, Any]") -> Any:
        """A weight as the looks at a model hold it."""
        return array


def refuse_compiling(recipe: Training, *, wing: str) -> None:
    """Refuse what PyTorch alone is asked.

    Raises:
        ConfigError: feed-forwards are to be compiled.
    """
    if recipe.compile:
        raise ConfigError(
            f"In {wing} a step is one graph in any case; feed-forwards are compiled in PyTorch.",
            received=f"compile=True for {wing}",
            remedy="Leave --compile out, or leave --backend out.",
        )


def judge(objective: Any, log: TrainingLog, step: int) -> None:
    """Enter what the rows that are held out show."""
    sums: dict[str, float] = defaultdict(float)
    of: dict[str, float] = defaultdict(float)
    for found, counts in objective.judged(slice(0, None, 1)):
        for name, value in found.items():
            sums[name] += float(value)
            of[name] += counts[name]
    if sums:
        means = {name: total / (of[name] or 1.0) for name, total in sums.items()}
        log.judged.append({"step": step, **means, **perplexities(means)})


class LoneKeeper:
    """Keeps copies of a run, and brings it to where the newest of them stood.

    Args:
        copies: where they stand, and what is found there.
        save: writes the model's folder, with further facts.
        facts: what every copy says of the run.
        wing: whose run it is.
    """

    def __init__(
        self,
        copies: Copies,
        save: Callable[[Path, Mapping[str, Any]], None],
        facts: Mapping[str, Any],
        wing: LoneWing,
    ) -> None:
        self._copies, self._save, self._facts, self._wing = copies, save, facts, wing

    def keep(self, course: Course, randomness: None) -> Path:
        step = course.done
        arrays = course.optimiser.arrays()
        if course.selection is not None:
            arrays |= {f"best.{name}": np.asarray(x) for name, x in course.selection.weights.items()}
        with self._copies.new(step, {**self._facts, "log": asdict(course.log)}) as folder:
            self._save(folder, {"step": step})
            write_safetensors(folder / STATE_FILE, arrays)
        return self._copies.path(step)

    def restore(self, course: Course) -> None:
        if self._copies.found is None:
            return
        folder, facts = self._copies.found.folder, self._copies.found.facts
        report = self._wing.load(course.model, folder)
        if report.missing:
            raise CheckpointError(
                "A checkpoint must hold the whole model.",
                received=f"{folder}, without {len(report.missing)} of its parameters",
                remedy="Begin anew with --force.",
            )
        with SafetensorsFile(folder / STATE_FILE) as file:
            arrays = {name: np.array(file[name]) for name in file.shapes}
        course.optimiser.restore(arrays)
        if course.selection is not None:
            course.selection.weights = {
                name.removeprefix("best."): self._wing.held(course.model, array)
                for name, array in arrays.items()
                if name.startswith("best.")
            }
        course.log.__dict__.update(vars(TrainingLog(**facts["log"])))
