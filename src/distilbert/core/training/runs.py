"""The outside of every training job: seed, output folder, copies to go on from, budget, and rehearsal."""

import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distilbert.core.card import CARD_FILE, is_ours, write_card
from distilbert.core.copies import Copies, claimed, fingerprint, refuse_another
from distilbert.core.output import new_folder, refuse_taken
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Training
from distilbert.core.training.course import Course, Keeper
from distilbert.core.training.findings import of_course
from distilbert.core.training.wing import Group, Job, Wing
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, TrainingError

logger = logging.getLogger(__name__)

#: Steps of a rehearsal: the first pays for warming up, the median of the others is the speed; in the last one
#: a copy is written.
_REHEARSED = 5

#: Of the time that is left, what steps may take: speed varies, and the result has to be written.
_USED_SHARE = 0.93

#: Fields of a recipe that change nothing of what is learnt.
_FREE = ("checkpoint_every", "judge_every")


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
    prepare: Callable[[Any], Job],
    *,
    wing: Wing,
    recipe: Training,
    device: str,
    out: str | Path,
    force: bool = False,
    resume: bool = False,
    budget: float | None = None,
    track: str | None = None,
    progress: Progress,
) -> Run:
    """Prepare a job, train, and write its folder, which appears only when it is complete.

    Args:
        prepare: makes the job, on a device.
        wing: trains it.
        recipe: of the run.
        device: as ``pick_device``.
        out: the folder to write.
        force: replace a model that stands there, and give up what an interrupted run left.
        resume: go on from the newest copy of an interrupted run, if there is one.
        budget: seconds that the whole may take, in place of the recipe's epochs and steps.
        track: a tracker that is told of every step: "tensorboard", "mlflow" or "wandb".
        progress: told of every stage.

    Raises:
        ConfigError: the interrupted run was another one.
        MissingExtraError: the tracker is not installed.
        OutputError: ``out`` or its copies are taken, or cannot be written.
        TrainingError: a loss is not finite, or the budget is too small for a step.
    """
    started = time.perf_counter()
    if track is not None:
        wing.require_tracker(track)
    together = wing.group(device)
    progress = progress if together.is_first else silent
    first = together.is_first
    own = claimed(out, resume=resume, force=force) if first else nullcontext(Copies(out, resume=resume))
    with own as copies:
        if first:
            refuse_taken(Path(out).resolve(), force=force)
        with wing.seeded(recipe.seed + together.rank):
            job = prepare(together.device)
            facts = {**job.facts, **wing.facts, "recipe": recipe.facts()}
            if first and copies.found is None:
                for finding in job.examine():
                    logger.warning("%s", finding)
            noted = json.loads(json.dumps({**facts, "weights": fingerprint(wing.arrays(job.model))}))
            total_steps = _total_steps(job, wing, copies, noted, started, budget, together, facts)
            begun = {"run": noted, "total_steps": total_steps, "processes": together.count}
            keeper = wing.keeper(copies, partial(_save, job, wing, facts), begun, together)
            with wing.tracked(track if first else None, out, recipe.facts(), together) as watch:
                log = wing.train(
                    job,
                    recipe,
                    together,
                    total_steps=total_steps,
                    stage=job.stage,
                    progress=progress,
                    keeper=keeper,
                    watch=watch,
                    selection=job.selection,
                )
            if first:
                for finding in of_course(log):
                    logger.warning("%s", finding)
        training = {**log.facts(), **(job.selection.facts(log) if job.selection is not None else {})}
        results: dict[str, Any] = {"training": training, "parameters": _parameters(job.model)}
        if first:
            with new_folder(out, force=force) as folder:
                results |= {**job.conclude(), "seconds": round(time.perf_counter() - started, 2)}
                _save(job, wing, facts, folder, results)
                if "task" in facts and is_ours(Path(out) / CARD_FILE):
                    write_card(folder, {**facts, **results}, name=Path(out).resolve().name)
            copies.discard()
        together.wait()
    return Run(log, {**facts, **results})


def rehearse(
    prepare: Callable[[Any], Job], *, wing: Wing, recipe: Training, device: str, progress: Progress
) -> Plan:
    """Prepare a job and run its first steps, to say what the whole would take. Nothing is written."""
    with wing.seeded(recipe.seed):
        alone = wing.alone(device)
        job = prepare(alone.device)
        pace = _measured(job, wing, alone, progress)
    looks = 2 + job.total_steps // (_every(job) or job.total_steps)
    return Plan(
        steps=job.total_steps,
        seconds_per_step=pace.step,
        expected_seconds=pace.step * job.total_steps + looks * pace.look + pace.end,
        parameters=_parameters(job.model),
        peak_memory_bytes=wing.peak_memory(alone.device),
    )


def _save(job: Job, wing: Wing, facts: Mapping[str, Any], folder: Path, more: Mapping[str, Any]) -> None:
    wing.save(folder, job.model, job.tokenizer, {**facts, **more})
    if job.finish is not None:
        job.finish(folder)


def _parameters(model: Any) -> int:
    """How many the folder has."""
    return sum(math.prod(parameter.shape) for parameter in model.manifest if not parameter.tied_to)


def _every(job: Job) -> int | None:
    """Steps between two looks, if there are any."""
    return getattr(job.recipe, "judge_every", None) if job.selection is None else job.selection.every


def _total_steps(
    job: Job,
    wing: Wing,
    copies: Copies,
    noted: Mapping[str, Any],
    started: float,
    budget: float | None,
    together: Group,
    facts: Mapping[str, Any],
) -> int:
    """The schedule's length: the interrupted run's, what fits into the budget, or the recipe's."""
    if copies.found is not None:
        _refuse_another_run(copies, noted, together.count)
        return int(copies.found.facts["total_steps"])
    if budget is None:
        return job.total_steps
    with copies.aside() as others:
        keeper = wing.keeper(others, partial(_save, job, wing, facts), {}, together)
        pace = _measured(job, wing, together, silent, keeper)
    every = _every(job) if pace.look else None
    each = pace.step + (pace.look / every if every else 0.0) + pace.copy / job.recipe.checkpoint_every
    # The finished folder is not more than a copy.
    beside = time.perf_counter() - started + 2 * pace.look + pace.copy + pace.end
    steps = together.agreed(max(0, int(_USED_SHARE * (budget - beside) / each)))
    if steps < 1:
        raise TrainingError(
            "A budget must have room for at least one step.",
            received=f"{budget:g} s, of which preparing, looks and the result take {beside:.0f} s, "
            f"with steps of {each:.1f} s",
            remedy="Give more time, or smaller steps: --batch-size.",
        )
    return steps


@dataclass(frozen=True)
class _Pace:
    """Seconds that a run's parts take: a step, a look at what is held out, a copy, and the conclusion."""

    step: float
    look: float
    copy: float
    end: float


class _Timed:
    """A keeper that begins anew, and whose clock runs while it keeps."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.seconds = 0.0

    def restore(self, course: Course) -> None:
        pass

    def keep(self, course: Course, randomness: Any) -> Path:
        started = time.perf_counter()
        path = self._keeper.keep(course, randomness)
        self.seconds = time.perf_counter() - started
        return path


def _measured(
    job: Job, wing: Wing, together: Group, progress: Progress, keeper: Keeper | None = None
) -> _Pace:
    """What a few steps show; the model and what is drawn stay as they are. Copies are 0 without a keeper."""
    timed = None if keeper is None else _Timed(keeper)
    with wing.undisturbed(job):
        log = wing.train(
            job,
            job.recipe.with_changes(checkpoint_every=_REHEARSED - 1),
            together,
            total_steps=max(job.total_steps, _REHEARSED),
            stage="rehearse",
            progress=progress,
            keeper=timed,
            stop_after=_REHEARSED,
        )
        started = time.perf_counter()
        wing.judge(job.objective, job.recipe, together)
        if job.selection is not None:
            job.selection.seen()
        looking = time.perf_counter() - started
        end = job.concluding() if together.is_first else 0.0
    copying = 0.0 if timed is None else timed.seconds
    # The step in which a copy was written took that long beside.
    return _Pace(statistics.median([*log.seconds[1:-1], log.seconds[-1] - copying]), looking, copying, end)


def _refuse_another_run(copies: Copies, noted: Mapping[str, Any], count: int) -> None:
    """Refuse to go on with a run that was given other things to do, or to other processes."""
    assert copies.found is not None
    refuse_another("run", sorted(_differing(copies.found.facts.get("run"), noted)), place=copies.found.folder)
    # Each process draws from a randomness of its own, of which a copy holds as many.
    had = copies.found.facts.get("processes", 1)
    if had != count:
        raise ConfigError(
            "A run that was interrupted goes on in as many processes as it began in.",
            received=f"{count}, where {copies.found.folder} is of {had}",
            remedy=f"Start it in {had} (torchrun --nproc-per-node {had}), or begin anew with --force "
            "(force=True).",
        )


def _differing(one: Any, other: Any, name: str = "run") -> Iterator[str]:
    """The names of what differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            if key not in _FREE:
                yield from _differing(one.get(key), other.get(key), key)
    elif one != other:
        yield name


def peak_of_process() -> int | None:
    """The most memory that this process has held, in bytes; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
