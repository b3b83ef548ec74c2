"""A trained candidate made ready: half the room, the fastest way that passes the gate, measured as it is."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distilbert.compression.data import Data
from distilbert.compression.halving import Trained
from distilbert.compression.hearing import Heard, Said
from distilbert.compression.judging import ask_alone, qualities, told_of
from distilbert.compression.measuring import Figure, measure
from distilbert.compression.plan import Plan, speedup
from distilbert.compression.work import Work
from distilbert.core.conversion import convert
from distilbert.core.machine import usable_cores
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.engine.engine import Engine
from distilbert.engine.optimize import optimize


@dataclass(frozen=True)
class Finished:
    """
    Attributes:
        trained: what it was made of.
        folder: the model, with what was optimised of it.
        figures: by term, of the folder as it is opened here, on the held-out rows that choose.
        optimized: what ``optimize`` tried and chose.
    """

    trained: Trained
    folder: Path
    figures: dict[str, Figure]
    optimized: dict[str, Any]

    def values(self) -> dict[str, float]:
        return {name: figure.value for name, figure in self.figures.items()}


def finish(
    trained: Trained,
    plan: Plan,
    data: Data,
    heard: Heard,
    *,
    work: Work,
    seed: int = 0,
    seconds: float = 5.0,
    progress: Progress = silent,
) -> Finished:
    """Make a candidate ready; what was made ready before is taken as it is.

    Args:
        trained: the candidate.
        plan: says by which runtimes it can meet the target.
        data: whose choosing rows set ranges, gate and compare.
        heard: the teacher.
        work: keeps it.
        seed: of what is drawn.
        seconds: that each way is measured.
        progress: told of every stage.
    """
    folder = work.folder / "finished" / trained.shape.slug
    name = f"finished-{trained.shape.slug}"
    if not (kept := work.kept(name)):
        if folder.exists():
            shutil.rmtree(folder)  # of a process that was ended before it was complete
        convert(trained.folder, to="safetensors", dtype="fp16", out=folder)
        runtimes = plan.runtimes(trained.shape) or None
        made = optimize(
            folder, data.choosing, runtimes=runtimes, seconds=seconds, seed=seed, progress=progress
        )
        figures = figures_of(folder, data.choosing, heard.said["choosing"], heard, seed=seed, seconds=seconds)
        kept = {"figures": {term: one.as_dict() for term, one in figures.items()}, "optimized": made.facts()}
        work.keep(name, kept)
    figures = {term: Figure(**one) for term, one in kept["figures"].items()}
    return Finished(trained, folder, figures, kept["optimized"])


def figures_of(
    folder: Path, examples: Examples, said: Said, heard: Heard, *, seed: int, seconds: float
) -> dict[str, Figure]:
    """Everything that a target can ask of a folder, measured."""
    with Engine.load(folder, streams=1, threads=usable_cores()) as engine:
        task, answers = engine.task, ask_alone(engine.answers, examples)
    found = qualities(task, examples, told_of(task, answers), said, seed=seed)
    found |= measure(folder, examples, seconds=seconds)
    return found | speedup(found, heard.figures)


def facts_of(finished: Finished) -> dict[str, Any]:
    """What a report says of it."""
    shape = asdict(finished.trained.shape)
    figures = {name: figure.as_dict() for name, figure in finished.figures.items()}
    return {"shape": shape, "steps": finished.trained.steps, "figures": figures}
