"""Candidates one after the other, each before the gate: whole, then with the parts that hurt left in fp32."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from distilbert.engine.candidates import Candidate, Way
from distilbert.engine.gate import Gate, Verdict
from distilbert.engine.runtimes.runtime import Runtime


@dataclass(frozen=True)
class Trial:
    """One way that was tried.

    Attributes:
        runtime, precision: what computes, and in what.
        exact: parts that stay in fp32.
        verdict: what the gate says; None of that which the others are held against.
        tokens_per_second: measured, where it passed.
        chosen: whether it is what ``runtime="auto"`` opens from now on.
        untried: why it was not tried, in words.
    """

    runtime: str
    precision: str
    exact: tuple[str, ...] = ()
    verdict: Verdict | None = None
    tokens_per_second: float | None = None
    chosen: bool = False
    untried: str = ""

    @property
    def passed(self) -> bool:
        return not self.untried and (self.verdict is None or self.verdict.passed)

    @property
    def shift(self) -> float:
        """By how much what is told differs from fp32's, in the mean."""
        return 0.0 if self.verdict is None else _shift(self.verdict)

    @property
    def name(self) -> str:
        kept = f", {' and '.join(self.exact)} in fp32" if self.exact else ""
        return f"{self.runtime} {self.precision}{kept}"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "exact": list(self.exact), "passed": self.passed}


@dataclass(frozen=True)
class Tried:
    """A trial with what was made for it."""

    trial: Trial
    candidate: Candidate
    runtime: Runtime

    @property
    def write(self) -> Callable[[Path], None] | None:
        """Writes its files into a folder, where it has any."""
        write, runtime = self.candidate.write, self.runtime
        return None if write is None else lambda folder: write(folder, runtime)


def tried(way: Way, gate: Gate, telling: Gate, opened: Callable[[Candidate], Runtime]) -> Iterator[Tried]:
    """A way's trials, until one passes or nothing is left to try.

    Args:
        way: to go.
        gate: judges.
        telling: on other examples, tells which parts hurt.
        opened: has a candidate computed.
    """

    def at(exact: tuple[str, ...]) -> Tried:
        candidate = way.make(exact)
        runtime = opened(candidate)
        trial = Trial(way.runtime, way.precision, exact)
        return Tried(replace(trial, verdict=gate.verdict(runtime, trial.name)), candidate, runtime)

    first = at(())
    yield first
    if first.trial.passed or not way.parts:
        return
    without: dict[str, float] = {}
    for part in way.parts:
        runtime = opened(way.make((part,)) if way.spare is None else way.spare(part))
        without[part] = _shift(telling.verdict(runtime, f"{way.name} but {part}"))
    worst = sorted(way.parts, key=without.__getitem__)
    for count in range(1, len(worst)):
        found = at(tuple(part for part in way.parts if part in worst[:count]))
        yield found
        if found.trial.passed:
            return


def _shift(verdict: Verdict) -> float:
    return math.inf if verdict.shift is None else verdict.shift
