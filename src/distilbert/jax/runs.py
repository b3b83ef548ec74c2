"""How this wing runs a job: one process, on one device; ``core/training`` has the outside."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from distilbert.core.copies import Copies
from distilbert.core.model_folders import save_folder
from distilbert.core.progress import Progress
from distilbert.core.recipe import Training
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training import runs
from distilbert.core.training.course import Keeper, Watch, unwatched
from distilbert.core.training.wing import Alone, Job
from distilbert.core.training_log import TrainingLog
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError
from distilbert.jax.device import pick_device
from distilbert.jax.keeping import RunKeeper
from distilbert.jax.selecting import Selection
from distilbert.jax.train import judge, train


class _Jax:
    """JAX, as a run asks it."""

    facts: Mapping[str, Any] = MappingProxyType({"backend": "jax"})

    def group(self, device: str) -> Alone:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError(
                "A run in JAX is one process.",
                received=f"WORLD_SIZE={os.environ['WORLD_SIZE']}",
                remedy="Start it without torchrun, or leave --backend out.",
            )
        return self.alone(device)

    def alone(self, device: str) -> Alone:
        return Alone(pick_device(device))

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        return nullcontext()  # keys are made of the recipe's seed where they are used

    def arrays(self, model: Any) -> Arrays:
        return model.arrays()

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
    ) -> RunKeeper:
        return RunKeeper(copies, save, facts)

    def require_tracker(self, kind: str) -> None:
        raise ConfigError(
            "Trackers are told of runs in PyTorch.",
            received=f"{kind!r:.80} for JAX",
            remedy="Leave it out; --report FILE draws what happened.",
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
            watch=watch,
            selection=selection,
        )

    def judge(self, objective: Any, recipe: Training, group: Alone) -> None:
        judge(objective, TrainingLog(), 0)

    @contextmanager
    def undisturbed(self, job: Job) -> Iterator[None]:
        # No step changes an array: it makes others.
        leaves, extra = job.model._leaves(), dict(job.objective.extra)
        yield
        job.model._assign(leaves)
        job.objective.extra.update(extra)

    def peak_memory(self, device: Any) -> int | None:
        if device.platform == "cpu":
            return runs.peak_of_process()
        return (device.memory_stats() or {}).get("peak_bytes_in_use")


JAX = _Jax()
