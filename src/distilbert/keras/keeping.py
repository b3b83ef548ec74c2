"""A run on disk as it stands: weights, what the optimiser remembers, and the log so far."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.copies import Copies
from distilbert.core.safetensors_files import SafetensorsFile, write_safetensors
from distilbert.core.training.course import Course
from distilbert.core.training_log import TrainingLog
from distilbert.errors import CheckpointError

STATE_FILE = "training.safetensors"


class RunKeeper:
    """Keeps copies of a run, and brings it to where the newest of them stood.

    Nothing of what is drawn is kept: it follows from the seed and the step.

    Args:
        copies: where they stand, and what is found there.
        save: writes the model's folder, with further facts.
        facts: what every copy says of the run.
    """

    def __init__(
        self, copies: Copies, save: Callable[[Path, Mapping[str, Any]], None], facts: Mapping[str, Any]
    ) -> None:
        self._copies, self._save, self._facts = copies, save, facts

    def keep(self, course: Course, randomness: None) -> Path:
        step = course.done
        arrays = course.optimiser.arrays()
        if course.selection is not None:
            arrays |= {f"best.{name}": array for name, array in course.selection.weights.items()}
        with self._copies.new(step, {**self._facts, "log": asdict(course.log)}) as folder:
            self._save(folder, {"step": step})
            write_safetensors(folder / STATE_FILE, arrays)
        return self._copies.path(step)

    def restore(self, course: Course) -> None:
        if self._copies.found is None:
            return
        folder, facts = self._copies.found.folder, self._copies.found.facts
        report = course.model.load(folder)
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
            best = {name: array for name, array in arrays.items() if name.startswith("best.")}
            course.selection.weights = {name.removeprefix("best."): array for name, array in best.items()}
        course.log.__dict__.update(vars(TrainingLog(**facts["log"])))
