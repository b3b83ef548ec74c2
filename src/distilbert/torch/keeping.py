"""A run on disk as it stands: weights, what the optimiser remembers, randomness, and the log so far."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.copies import Copies
from distilbert.core.safetensors_files import SafetensorsFile, write_safetensors
from distilbert.core.training.course import Course
from distilbert.core.training_log import TrainingLog
from distilbert.errors import CheckpointError
from distilbert.torch.adapters import has_adapters
from distilbert.torch.processes import Alone
from distilbert.torch.randomness import set_random_state
from distilbert.torch.tensors import as_array, as_tensor

STATE_FILE = "training.safetensors"

#: What AdamW remembers of a parameter.
_MEMORY = ("exp_avg", "exp_avg_sq", "step")


class RunKeeper:
    """Keeps copies of a run, and brings it to where the newest of them stood.

    Args:
        copies: where they stand, and what is found there.
        save: writes the model's folder, with further facts.
        facts: what every copy says of the run.
        processes: those that learn together; the first of them writes, of all of them the randomness.
    """

    def __init__(
        self,
        copies: Copies,
        save: Callable[[Path, Mapping[str, Any]], None],
        facts: Mapping[str, Any],
        processes: Alone,
    ) -> None:
        self._copies, self._save, self._facts, self._processes = copies, save, facts, processes

    def keep(self, course: Course, randomness: Mapping[str, Tensor]) -> Path:
        everyones = self._processes.gathered(randomness)
        remembered = self._processes.memory(course.optimiser)
        step = course.done
        if self._processes.is_first:
            arrays = {f"randomness/{name}": state for name, state in everyones.items()}
            for name, parameter in _learning(course):
                for what, memory in remembered.get(parameter, {}).items():
                    arrays[f"{what}/{name}"] = memory
            for name, parameter in course.extra.named_parameters():
                arrays[f"extra/{name}"] = parameter
            if has_adapters(course.model):
                # The folder has them merged, from which they cannot be told any more.
                arrays |= {f"model/{n}": p for n, p in course.model.named_parameters() if p.requires_grad}
            if course.selection is not None:
                arrays |= {f"best/{name}": x for name, x in course.selection.weights.items()}
            with self._copies.new(step, {**self._facts, "log": asdict(course.log)}) as folder:
                self._save(folder, {"step": step})
                write_safetensors(folder / STATE_FILE, {n: as_array(array) for n, array in arrays.items()})
        self._processes.wait()
        return self._copies.path(step)

    def restore(self, course: Course) -> None:
        if self._copies.found is None:
            return
        folder, facts = self._copies.found.folder, self._copies.found.facts
        adapted = has_adapters(course.model)
        report = None if adapted else course.model.load(folder, dtype=course.model.dtype)
        if report is not None and report.missing:
            raise CheckpointError(
                "A checkpoint must hold the whole model.",
                received=f"{folder}, without {len(report.missing)} of its parameters",
                remedy="Begin anew with --force.",
            )
        device = course.model.device
        with SafetensorsFile(folder / STATE_FILE) as file:
            for name, parameter in course.model.named_parameters():
                if adapted and parameter.requires_grad:
                    with torch.no_grad():
                        parameter.copy_(as_tensor(file[f"model/{name}"]))
                if course.selection is not None and f"best/{name}" in file.shapes:
                    course.selection.weights[name] = as_tensor(file[f"best/{name}"]).to(device)
            for name, parameter in course.extra.named_parameters():
                with torch.no_grad():
                    parameter.copy_(as_tensor(file[f"extra/{name}"]))
            for name, parameter in _learning(course):
                memory = {what: f"{what}/{name}" for what in _MEMORY if f"{what}/{name}" in file.shapes}
                if memory:
                    course.optimiser.state[parameter] = {
                        what: as_tensor(file[key]).to(device) for what, key in memory.items()
                    }
            rank = self._processes.rank
            names = ("cpu", "cuda") if device.type == "cuda" else ("cpu",)
            state = {name: as_tensor(file[f"randomness/{name}"])[rank].clone() for name in names}
            set_random_state(state, device)
        course.log.__dict__.update(vars(TrainingLog(**facts["log"])))


def _learning(course: Course) -> Iterator[tuple[str, nn.Parameter]]:
    yield from course.model.named_parameters()
    yield from course.extra.named_parameters(prefix="extra")
