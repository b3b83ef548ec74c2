"""The outside of every training job: seed, output folder, checkpoint, and rehearsal."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from distilbert.core.output import new_folder
from distilbert.core.progress import Progress
from distilbert.core.recipe import Training
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.torch.folders import Checkpoint, save_folder
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.train import Objective, TrainingLog, train

#: Steps of a rehearsal: the first pays for warming up, the median of the others is the speed.
_REHEARSED = 4


@dataclass
class Job:
    """A run that is ready to start: what learns, from what, and what is known of it."""

    stage: str
    model: PreTrainedModel
    tokenizer: DistilBertTokenizerFast
    objective: Objective
    recipe: Training
    total_steps: int
    #: Keys of parameters that the folder did not have.
    new_weights: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    #: Adds what is known only after the training, such as scores.
    conclude: Callable[[], dict[str, Any]] = dict


@dataclass(frozen=True)
class Run:
    """What a run came to: its losses step by step, and the facts that the folder keeps."""

    log: TrainingLog
    facts: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a run would take, as a few of its own steps measure it."""

    steps: int
    seconds_per_step: float
    expected_seconds: float
    parameters: int
    peak_memory_bytes: int | None

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def complete(
    prepare: Callable[[], Job], *, recipe: Training, out: str | Path, force: bool, progress: Progress
) -> Run:
    """Prepare a job, train, and write its folder, which appears only when it is complete."""
    started = time.perf_counter()
    with new_folder(out, force=force) as folder, _seeded(recipe.seed):
        checkpoint = Checkpoint(out, lambda place, step: save(place, step=step), force=force)
        job = prepare()
        facts = {**job.facts, "recipe": recipe.facts()}

        def save(place: Path, **more: Any) -> None:
            save_folder(place, job.model, job.tokenizer, {**facts, **more})

        log = train(
            job.model,
            job.objective,
            recipe,
            total_steps=job.total_steps,
            stage=job.stage,
            new_weights=job.new_weights,
            progress=progress,
            checkpoint=checkpoint,
        )
        results = {
            "training": log.facts(),
            "parameters": job.model.num_parameters(),
            **job.conclude(),
            "seconds": round(time.perf_counter() - started, 2),
        }
        save(folder, **results)
    checkpoint.discard()
    return Run(log, {**facts, **results})


def rehearse(prepare: Callable[[], Job], *, recipe: Training, progress: Progress) -> Plan:
    """Prepare a job and run its first steps, to say what the whole would take. Nothing is written."""
    with _seeded(recipe.seed):
        job = prepare()
        log = train(
            job.model,
            job.objective,
            recipe,
            total_steps=job.total_steps,
            stage="rehearse",
            new_weights=job.new_weights,
            progress=progress,
            stop_after=_REHEARSED,
        )
    per_step = statistics.median(log.seconds[1:] or log.seconds)
    return Plan(
        steps=job.total_steps,
        seconds_per_step=per_step,
        expected_seconds=per_step * job.total_steps,
        parameters=job.model.num_parameters(),
        peak_memory_bytes=_peak_memory(job.model.device),
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Everything drawn inside comes from the seed; the caller's generator is afterwards as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _peak_memory(device: torch.device) -> int | None:
    """The most memory that this process has held, in bytes; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
