"""What is to be tried, and how long, by measurements before anything is trained."""

import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from distilbert.compression.candidates import Beginnings, Shape, is_beaten
from distilbert.compression.measuring import Figure, measure
from distilbert.compression.target import Target
from distilbert.core.data.readers import OwnReader
from distilbert.core.machine import usable_cores
from distilbert.core.progress import Progress, silent
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder
from distilbert.engine.artefacts import keep
from distilbert.engine.candidates import WAYS, Way, ways, without
from distilbert.engine.long_texts import read
from distilbert.engine.model import Model
from distilbert.errors import ConfigError

logger = logging.getLogger(__name__)

#: Steps that a training has at least: fewer show nothing of a candidate.
LEAST_STEPS = 20

#: Steps of general distillation at least, and its share of the time.
LEAST_READ, READING_SHARE = 100, 0.25

#: Times in which half the candidates go, at most.
_MOST_RUNGS = 3

#: Of the time that is left, what trainings may take: speed varies.
_USED_SHARE = 0.9

#: By how much of a bound an untrained candidate may miss it.
_SLACK = 0.05

#: Batches by which ranges are set of weights that mean nothing yet: enough for a graph of the same speed.
_FEEDS = 8


@dataclass(frozen=True)
class Row:
    """A line of the plan: a candidate in one way to compute it.

    Attributes:
        shape: its sizes.
        way: runtime and precision, such as "onnx int8".
        figures: measured on untrained weights, by term.
        dropped: why it is not trained; empty where it is.
    """

    shape: Shape
    way: str
    figures: dict[str, Figure] = field(default_factory=dict)
    dropped: str = ""

    def values(self) -> dict[str, float]:
        return {name: figure.value for name, figure in self.figures.items()}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        figures = {name: Figure(**one) for name, one in given["figures"].items()}
        return cls(Shape(**given["shape"]), given["way"], figures, given["dropped"])


@dataclass(frozen=True)
class Rung:
    """A time in which candidates are trained: how many, and the steps of each shape by its slug."""

    count: int
    steps: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """
    Attributes:
        rows: every candidate that was looked at, those that are dropped too.
        rungs: what is trained, one after the other, half as many each time; none where nothing is left.
        reading: steps of general distillation before the first of them, by a shape's slug; of some, none.
        seconds_per_step: of each shape, by its slug.
        expected_seconds: that the whole takes.
        spent: seconds that planning took.
    """

    rows: tuple[Row, ...]
    rungs: tuple[Rung, ...] = ()
    reading: dict[str, int] = field(default_factory=dict)
    seconds_per_step: dict[str, float] = field(default_factory=dict)
    expected_seconds: float = 0.0
    spent: float = 0.0

    @property
    def shapes(self) -> list[Shape]:
        """What is trained, each once, the largest first."""
        return list(dict.fromkeys(row.shape for row in self.rows if not row.dropped))

    def runtimes(self, shape: Shape) -> list[str]:
        """Runtimes by which a shape can meet the target."""
        of = [row.way.split()[0] for row in self.rows if row.shape == shape and not row.dropped]
        return list(dict.fromkeys(of))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        rows = tuple(map(Row.from_dict, given["rows"]))
        rungs = tuple(Rung(**rung) for rung in given["rungs"])
        rest = {name: given[name] for name in ("reading", "seconds_per_step", "expected_seconds", "spent")}
        return cls(rows, rungs, **rest)


def survey(
    shapes: Sequence[Shape],
    begun: Beginnings,
    task: Any,
    examples: Examples,
    target: Target,
    *,
    max_length: int,
    runtimes: Collection[str] | None = None,
    teacher: Mapping[str, Figure] | None = None,
    seconds: float = 2.0,
    progress: Progress = silent,
) -> list[Row]:
    """Every shape in every way that this machine has, measured untrained and held against the target.

    Args:
        shapes: to look at.
        begun: makes them.
        task: that they are to answer.
        examples: real ones, for their lengths.
        target: of which size, memory and speed are held.
        max_length: tokens of a text, as they will be trained.
        runtimes: names in ``WAYS``; None for those that are installed.
        teacher: its figures, for a speed-up.
        seconds: that each is measured.
        progress: told of each.
    """
    wanted = (
        tuple(name for name in WAYS if not without(name, "fp32")) if runtimes is None else tuple(runtimes)
    )
    memory = any(term.name == "memory" for term in target.terms)
    rows: list[Row] = []
    for number, shape in enumerate(shapes):
        progress("measure candidates", number, len(shapes), {})
        folder = begun.answering(shape, task, max_length=max_length)
        # Of two that are as fast the larger one is measured once, to say by how much.
        beaten = is_beaten(shape, shapes)
        for way in _ways(folder, examples, wanted)[: 1 if beaten else None]:
            _prepare(folder, way)
            figures = measure(folder, examples, seconds=seconds, memory=memory)
            figures |= speedup(figures, teacher)
            dropped = _failing(figures, target) or ("as fast as trimmed, and larger" if beaten else "")
            rows.append(Row(shape, way.name, figures, dropped))
        shutil.rmtree(folder)
    progress("measure candidates", len(shapes), len(shapes), {})
    return rows


def budgeted(
    rows: Sequence[Row],
    pace: Mapping[str, tuple[float, float]],
    *,
    budget: float,
    spent: float,
    finishing: float,
    most: int | None = None,
    reading: Mapping[str, tuple[float, float]] | None = None,
) -> Plan:
    """How a budget is spent on what the target leaves.

    Each time has the same share of it, and half as many candidates as the one before; so the best have the
    longest trainings (successive halving, Jamieson and Talwalkar 2016). Where there is no time for all, the
    largest go on, which learn from the fewest steps.

    Args:
        rows: of the survey.
        pace: of each shape by its slug, the seconds of a step and of what stands around a training.
        budget: seconds for the whole.
        spent: of these, so far.
        finishing: seconds that making ready and judging one takes.
        most: steps that a training has at most, whatever the time.
        reading: the pace of general distillation, of those shapes that are to have it.

    Raises:
        ConfigError: there is no time for even one candidate.
    """
    plan = Plan(tuple(rows))
    shapes = plan.shapes
    step = {name: one[0] for name, one in pace.items()}
    few = min(LEAST_STEPS, most or LEAST_STEPS)
    reading = reading or {}
    for count in range(len(shapes), 0, -1):
        kept = shapes[:count]
        counts = _halved(count)
        left = _USED_SHARE * (budget - spent - finishing * min(2, count))
        read = _read(kept, READING_SHARE * left, reading)
        left -= sum(reading[name][1] + steps * reading[name][0] for name, steps in read.items())
        rungs = [_rung(kept, number, left / len(counts), pace, few, most) for number in counts]
        if all(rungs):
            break
    else:
        least = min(few * each + around for each, around in pace.values()) + finishing
        raise ConfigError(
            "A budget must have room for one candidate.",
            received=f"{budget:.0f} s, of which planning took {spent:.0f} s; the quickest to train needs "
            f"{least / _USED_SHARE:.0f} s more",
            remedy=f"Give --budget {(spent + least / _USED_SHARE) / 60 + 1:.0f}m or more.",
        )
    late = "no time for it: the budget has room for {} of {} candidates, and the larger ones learn sooner"
    rows = [
        row if row.dropped or row.shape in kept else replace(row, dropped=late.format(count, len(shapes)))
        for row in rows
    ]
    trained = [rung for rung in rungs if rung is not None]
    expected = spent + finishing * min(2, count)
    for number, rung in zip(counts, trained, strict=True):
        costs = sorted((rung.steps[s.slug] * pace[s.slug][0] + pace[s.slug][1] for s in kept), reverse=True)
        expected += sum(costs[:number])
    expected += sum(reading[name][1] + steps * reading[name][0] for name, steps in read.items())
    return Plan(tuple(rows), tuple(trained), read, step, round(expected, 1), round(spent, 1))


def _read(
    shapes: Sequence[Shape], seconds: float, reading: Mapping[str, tuple[float, float]]
) -> dict[str, int]:
    """Steps of general distillation, alike in time; none where that would be too few for one of them."""
    pace = {shape.slug: reading[shape.slug] for shape in shapes if shape.slug in reading}
    steps = {name: int((seconds / len(pace) - around) / step) for name, (step, around) in pace.items()}
    return steps if steps and min(steps.values()) >= LEAST_READ else {}


def _halved(count: int) -> list[int]:
    """How many candidates each rung has: half as many each time, down to two, or one of one."""
    counts = [count]
    while counts[-1] > 2 and len(counts) < _MOST_RUNGS:
        counts.append(max(2, (counts[-1] + 1) // 2))
    if counts[-1] == 2 and len(counts) < _MOST_RUNGS:
        counts.append(1)
    return counts


def _rung(
    shapes: Sequence[Shape],
    count: int,
    seconds: float,
    pace: Mapping[str, tuple[float, float]],
    few: int,
    most: int | None,
) -> Rung | None:
    """Steps of each shape where so many of them share the time; None where these are too few."""
    steps = {s.slug: int((seconds / count - pace[s.slug][1]) / pace[s.slug][0]) for s in shapes}
    if min(steps.values()) < few:
        return None
    return Rung(count, {name: min(one, most or one) for name, one in steps.items()})


def _ways(folder: Path, examples: Examples, runtimes: Sequence[str]) -> list[Way]:
    opened = TaskFolder.open(folder)
    reader, model = OwnReader(opened.tokenizer), Model.of(opened)
    some = examples.take(range(min(_FEEDS, len(examples))))
    reading = read(opened.task, reader, some, max_length=opened.max_length, on_long="window")
    feeds = [model.feed([row], pad_token_id=reader.pad_token_id) for row in reading.rows[:_FEEDS]]
    return ways(model, feeds, runtimes)


def _prepare(folder: Path, way: Way) -> None:
    """Keep a way beside the model, as ``optimize`` keeps what it has chosen."""
    candidate = way.make(())
    opened = candidate.open(streams=1, threads=usable_cores())
    write = candidate.write
    files = None if write is None else lambda place: write(place, opened)
    keep(
        Model.of(TaskFolder.open(folder)),
        files,
        {"chosen": {"runtime": way.runtime, "precision": way.precision}},
    )


def speedup(figures: Mapping[str, Figure], teacher: Mapping[str, Figure] | None) -> dict[str, Figure]:
    """The teacher's p50 over the student's."""
    if not teacher or "p50" not in teacher:
        return {}
    its, own = teacher["p50"], figures["p50"]
    return {"speedup": Figure(its.value / own.value, its.low / own.high, its.high / own.low)}


def _failing(figures: Mapping[str, Figure], target: Target) -> str:
    """What of a target such figures do not keep, in words, but for what noise may be."""
    return ", ".join(
        f"{term.name} {term.shown(figure.value)}"
        for term in target.of("speed", "room")
        if (figure := figures.get(term.name)) is not None and term.missed_by(figure.value) > _SLACK
    )


def nearest(rows: Sequence[Row], target: Target) -> list[Row]:
    """Where all rows are dropped, the one that comes nearest to the target, to be trained all the same."""
    terms = target.of("speed", "room")
    missed = {
        id(row): sum(
            term.missed_by(row.figures[term.name].value) for term in terms if term.name in row.figures
        )
        for row in rows
    }
    best = min(rows, key=lambda row: missed[id(row)])
    logger.warning("Nothing can meet %s here; the nearest is %s by %s.", target, best.shape.name, best.way)
    return [replace(row, dropped="") if row is best else row for row in rows]
