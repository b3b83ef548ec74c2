"""A folder made as fast as this machine has it, and held against fp32 before anybody is answered by it."""

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.data.readers import OwnReader
from distilbert.core.machine import describe_machine
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.likeness import AGREEMENTS
from distilbert.core.tasks.reading import Table
from distilbert.engine import artefacts
from distilbert.engine.candidates import Candidate, ways
from distilbert.engine.gate import Gate, Limits
from distilbert.engine.long_texts import read
from distilbert.engine.plan import Plan
from distilbert.engine.racing import rates
from distilbert.engine.runtimes import shared_out
from distilbert.engine.runtimes.runtime import Array, Runtime
from distilbert.engine.trying import Trial, Tried, tried

#: Examples that ranges are set by, at most, and those by which it is told which parts hurt.
CALIBRATION, _TELLING = 300, 64

#: Ratios of speed that a machine's noise makes; among such the one nearest to fp32 is chosen.
_NOISE = 0.97


@dataclass(frozen=True)
class Optimized:
    """What came of it.

    Attributes:
        folder: where what was chosen is kept.
        trials: in the order in which they were made.
        rows: examples that judged.
        calibrated_by: others, by which ranges were set.
        counted: what agreement is, of this task.
        limits: that were kept.
        seconds: that it took.
    """

    folder: Path
    trials: tuple[Trial, ...]
    rows: int
    calibrated_by: int
    counted: str
    limits: Limits
    seconds: float

    @property
    def chosen(self) -> Trial:
        return next(trial for trial in self.trials if trial.chosen)

    def facts(self) -> dict[str, Any]:
        """The same, for programs."""
        trials = [trial.as_dict() for trial in self.trials]
        return {**asdict(self), "folder": str(self.folder), "trials": trials, "chosen": self.chosen.as_dict()}


def optimize(
    model: str | Path,
    data: Table,
    *,
    agreement: float = Limits.agreement,
    metric_loss: float = Limits.metric_loss,
    runtimes: Collection[str] | None = None,
    calibration: int = CALIBRATION,
    seconds: float = 5.0,
    streams: int | None = None,
    threads: int | None = None,
    labelled: bool = True,
    seed: int = 0,
    on_long: str = "window",
    progress: Progress = silent,
) -> Optimized:
    """Find the fastest way to compute a folder's model here that still answers as fp32 does, and keep it.

    Each runtime is tried in fp32, in bf16 where the processor has it, and in whole numbers of 8 bits. What is
    faster must pass the gate; what fails in whole numbers is tried again with the parts that hurt most left
    in fp32, one more of them each time. Those that pass are measured, and the fastest is kept in
    ``runtimes/`` in the model's folder, or in the user's cache, where ``runtime="auto"`` finds it.

    Args:
        model: a fine-tuned folder, or its name on a hub; or a masked language model, whose guesses are
            compared at one hidden token of each text.
        data: examples like those that it is to answer, with their true answers.
        agreement: with fp32, at least, as ``AGREEMENTS`` counts it.
        metric_loss: of the task's first metric, at most, in points of a hundred.
        runtimes: to try, names in ``WAYS``; None for those that are installed.
        calibration: examples by which ranges are set, and which do not judge: at most so many, and a third.
        seconds: that each is measured.
        streams, threads: as an engine is to have them.
        labelled: False for examples without true answers, which judge the agreement only.
        seed: of what is drawn.
        on_long: what becomes of long texts, as an engine has it.
        progress: told of what is done.

    Returns:
        What was tried and chosen.

    Raises:
        CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
        ConfigError: a setting that cannot be.
        DataError: examples of another task, or too few.
        MissingExtraError: no runtime is installed.
        OutputError: nowhere to keep it.
    """
    started = time.perf_counter()
    limits = Limits(
        rules.number(0, 1)("agreement", agreement), rules.number(0, 100)("metric_loss", metric_loss)
    )
    rules.number(0, 3600)("seconds", seconds)
    plan = Plan.of(model, data, runtimes, calibration=calibration, labelled=labelled, seed=seed)
    opened, of, reader = plan.opened, plan.model, OwnReader(plan.opened.tokenizer)
    streams, threads = shared_out(streams, threads)

    def open_one(candidate: Candidate) -> Runtime:
        return candidate.open(streams=streams, threads=threads)

    first, *others = ways(of, _feeds(plan, reader, on_long, calibration), plan.runtimes, progress=progress)
    surest = first.make(())
    reference = open_one(surest)
    how: dict[str, Any] = {"limits": limits, "on_long": on_long, "progress": progress}
    gate = Gate(opened, plan.judging, reference, **how)
    telling = Gate(opened, _some(plan.calibrating, _TELLING), reference, **how)
    found = [Tried(Trial(first.runtime, first.precision), surest, reference)]
    for way in others:
        found += tried(way, gate, telling, open_one)
    good = {one.trial.name: one for one in found if one.trial.passed}
    measured = rates(
        {name: one.runtime for name, one in good.items()},
        of,
        gate.rows,
        pad_token_id=reader.pad_token_id,
        seconds=seconds,
        seed=seed,
        progress=progress,
    )
    best = good[_best({name: one.trial for name, one in good.items()}, measured)]
    trials = [
        replace(one.trial, tokens_per_second=measured.get(one.trial.name), chosen=one is best)
        for one in found
    ]
    made = Optimized(
        of.folder,
        (*trials, *plan.untried()),
        rows=len(plan.judging),
        calibrated_by=len(plan.calibrating),
        counted=AGREEMENTS[opened.task.name],
        limits=limits,
        seconds=round(time.perf_counter() - started, 2),
    )
    machine = describe_machine(("onnxruntime", "openvino", "nncf", "numpy"))
    kept = artefacts.keep(of, best.write, {**made.facts(), "machine": machine})
    return replace(made, folder=kept)


def _feeds(plan: Plan, reader: OwnReader, on_long: str, most: int) -> list[dict[str, Array]]:
    """Batches of one row, without padding, by which ranges are set."""
    opened = plan.opened
    reading = read(opened.task, reader, plan.calibrating, max_length=opened.max_length, on_long=on_long)
    return [plan.model.feed([row], pad_token_id=reader.pad_token_id) for row in reading.rows[:most]]


def _some(examples: Examples, count: int) -> Examples:
    return examples.take(range(min(count, len(examples))))


def _best(good: Mapping[str, Trial], measured: Mapping[str, float]) -> str:
    """The fastest; of those that are as fast but for noise, the one that differs least from fp32."""
    least = _NOISE * max(measured.values())
    return min((name for name in good if measured[name] >= least), key=lambda name: good[name].shift)
