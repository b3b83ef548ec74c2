"""How this wing runs a job: processes, randomness and copies; ``core/training`` has the outside."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from distilbert.core.copies import Copies
from distilbert.core.model_folders import save_folder
from distilbert.core.progress import Progress
from distilbert.core.recipe import Training
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training import runs
from distilbert.core.training.course import Keeper, Watch, unwatched
from distilbert.core.training.wing import Job
from distilbert.core.training_log import TrainingLog
from distilbert.core.weight_files import Arrays
from distilbert.torch.adapters import merged
from distilbert.torch.device import pick_device
from distilbert.torch.keeping import RunKeeper
from distilbert.torch.processes import Alone, processes
from distilbert.torch.randomness import seeded
from distilbert.torch.selecting import Selection
from distilbert.torch.tracking import require_tracker, tracked
from distilbert.torch.train import judge, train


class _Torch:
    """PyTorch, as a run asks it."""

    facts: Mapping[str, Any] = MappingProxyType({})  # what is not said is this one

    def group(self, device: str) -> Alone:
        return processes(pick_device(device))

    def alone(self, device: str) -> Alone:
        return Alone(pick_device(device))

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        return seeded(seed)

    def arrays(self, model: Any) -> Arrays:
        return merged(model).arrays()

    def save(
        self, folder: Path, model: Any, tokenizer: DistilBertTokenizerFast, facts: Mapping[str, Any]
    ) -> None:
        save_folder(folder, merged(model), tokenizer, facts)

    def keeper(
        self,
        copies: Copies,
        save: Callable[[Path, Mapping[str, Any]], None],
        facts: Mapping[str, Any],
        group: Alone,
    ) -> RunKeeper:
        return RunKeeper(copies, save, facts, group)

    def require_tracker(self, kind: str) -> None:
        require_tracker(kind)

    def tracked(
        self, kind: str | None, out: str | Path, settings: Mapping[str, Any], group: Alone
    ) -> AbstractContextManager[Watch]:
        return tracked(kind, out, settings, group.device)

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
        assert selection is None or isinstance(selection, Selection)
        return train(
            job.objective,
            recipe,
            total_steps=total_steps,
            stage=stage,
            new_weights=job.new_weights,
            progress=progress,
            keeper=keeper,
            stop_after=stop_after,
            processes=group,
            watch=watch,
            selection=selection,
        )

    def judge(self, objective: Any, recipe: Training, group: Alone) -> None:
        judge(objective, recipe, TrainingLog(), 0, group)

    @contextmanager
    def undisturbed(self, job: Job) -> Iterator[None]:
        device = job.model.device
        learning = [*job.model.parameters(), *job.objective.extra.parameters()]
        before = [parameter.detach().clone() for parameter in learning]
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
        with torch.no_grad():
            for parameter, was in zip(learning, before, strict=True):
                parameter.copy_(was)

    def peak_memory(self, device: torch.device) -> int | None:
        if device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(device))
        return runs.peak_of_process()


TORCH = _Torch()
