"""What a small model is to come to, in a line: ``agreement>=0.98, p50<=5ms, size<=40MB``."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from distilbert.core.tasks.metrics import lower_is_better
from distilbert.errors import ConfigError, DataError

#: Rows of which none is a miss, times the share that may be missed: where a 95% interval from them begins
#: (the rule of three, Hanley and Lippman-Hand 1983).
_RULE_OF_THREE = 3.0

#: Rows that a figure is taken of, at least, whatever its bound.
_LEAST_ROWS = 10

_TERM = re.compile(
    r"([a-z][\w/]*)\s*(>=|<=|=>|=<|>|<|==|=)\s*([\d.]+(?:e-?\d+)?)\s*([a-zµ%]*)", re.IGNORECASE
)


@dataclass(frozen=True)
class Kind:
    """What a term can be of.

    Attributes:
        sign: from which side it is held.
        units: what each of its units is in the first of them; none for a share or a count.
        of: "quality", "speed" or "room".
        words: what is measured.
    """

    sign: str
    units: Mapping[str, float]
    of: str
    words: str


_TIME = {"ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
_ROOM = {"MB": 1.0, "kB": 0.001, "GB": 1000.0, "MiB": 1.048576, "GiB": 1073.741824}

#: By name. What is not known before a training is of the kind "quality".
KINDS: dict[str, Kind] = {
    "agreement": Kind(">=", {}, "quality", "answers like the teacher's"),
    "accuracy": Kind(">=", {}, "quality", "right answers"),
    "macro_f1": Kind(">=", {}, "quality", "F1, averaged over labels"),
    "matthews": Kind(">=", {}, "quality", "correlation of true and answered labels"),
    "pearson": Kind(">=", {}, "quality", "correlation with the true numbers"),
    "spearman": Kind(">=", {}, "quality", "correlation of ranks with the true ones"),
    "p50": Kind("<=", _TIME, "speed", "time of a text alone, half of them"),
    "p99": Kind("<=", _TIME, "speed", "time of a text alone, 99 of a hundred"),
    "texts/s": Kind(">=", {}, "speed", "texts a second, many at once"),
    "speedup": Kind(">=", {"x": 1.0}, "speed", "the teacher's p50 over the student's"),
    "size": Kind("<=", _ROOM, "room", "files that answer"),
    "memory": Kind("<=", _ROOM, "room", "resident memory of a process that answers"),
}

_EXAMPLE = 'Write for example "agreement>=0.98, p50<=5ms, size<=40MB".'


@dataclass(frozen=True)
class Term:
    """One bound: ``p50<=5ms``, its ``bound`` in milliseconds or megabytes, or as a share or a count."""

    name: str
    bound: float

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def unit(self) -> str:
        return next(iter(self.kind.units), "")

    def met(self, value: float) -> bool:
        """Whether a figure keeps it."""
        return value >= self.bound if self.kind.sign == ">=" else value <= self.bound

    def missed_by(self, value: float) -> float:
        """How far a figure is beyond the bound, as a share of it; 0 where it keeps it."""
        if self.met(value):
            return 0.0
        if self.kind.of == "quality":
            # What may be missed is the measure: 0.96 is twice as far from 1 as 0.98.
            return (self.bound - value) / (1 - self.bound)
        return self.bound / max(value, 1e-12) - 1 if self.kind.sign == ">=" else value / self.bound - 1

    def shown(self, value: float) -> str:
        """A figure of it, for a person."""
        return shown(self.name, value)

    def __str__(self) -> str:
        return f"{self.name}{self.kind.sign}{self.bound:g}{self.unit}"


@dataclass(frozen=True)
class Target:
    """The terms, in the order in which they were written."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: "str | Target") -> "Target":
        """
        Raises:
            ConfigError: a term that cannot be read, is not known, is held from the wrong side, stands twice,
                or that nothing can keep.
        """
        if isinstance(text, Target):
            return text
        terms: dict[str, Term] = {}
        for part in filter(None, map(str.strip, re.split(r"[,;]| and ", str(text)))):
            term = _term(part)
            if term.name in terms:
                raise ConfigError(
                    "A target has one bound of a kind.",
                    received=f"{terms[term.name]} and {term}",
                    remedy="Keep the one that is meant.",
                )
            terms[term.name] = term
        if not terms:
            raise ConfigError("A target has at least one term.", received=f"{text!r:.80}", remedy=_EXAMPLE)
        return cls(tuple(terms.values()))

    def __str__(self) -> str:
        return ", ".join(map(str, self.terms))

    def of(self, *kinds: str) -> list[Term]:
        """The terms of these kinds: "quality", "speed", "room"."""
        return [term for term in self.terms if term.kind.of in kinds]

    def fitting(self, task: Any, *, measured: bool) -> Self:
        """The same, if a task has what it asks for.

        Args:
            task: has metrics.
            measured: whether the teacher's speed is known.

        Raises:
            ConfigError: a metric of another task, or a speed-up over a teacher that is no model.
        """
        known = ["agreement", *(name for name in task.metrics if not lower_is_better(name) and name in KINDS)]
        for term in self.of("quality"):
            if term.name not in known:
                raise ConfigError(
                    f"Quality in {task.name} is {', '.join(known[:-1])} or {known[-1]}.",
                    received=str(term),
                    remedy="Choose one of these.",
                )
        if not measured and any(term.name == "speedup" for term in self.terms):
            raise ConfigError(
                "A speed-up is over a teacher that is a model's folder here.",
                received="a teacher whose time is not this machine's",
                remedy="Bound the student's own time: p50<=5ms.",
            )
        return self

    def needed_rows(self) -> int:
        """How many held-out rows decide it: as many as show, where none is missed, that the bound is kept."""
        shares = [term.bound for term in self.of("quality") if term.name in ("agreement", "accuracy")]
        return max([_LEAST_ROWS, *(math.ceil(_RULE_OF_THREE / (1 - bound) - 1e-9) for bound in shares)])

    def refuse_few(self, count: int, *, source: str) -> None:
        """
        Raises:
            DataError: too few rows are held out to decide it.
        """
        needed = self.needed_rows()
        if count < needed:
            raise DataError(
                f"To decide {self}, {needed} rows must be held out that nothing was learnt or chosen by.",
                received=f"{count} in {source}",
                remedy=f"Give --eval with {2 * needed} rows, of which half choose and half decide.",
            )

    def refuse_beyond(self, teacher: Mapping[str, float]) -> None:
        """Refuse what a student that agrees with its teacher cannot reach.

        Args:
            teacher: its own scores, by metric.

        Raises:
            ConfigError: two terms contradict each other.
        """
        agreement = next((term for term in self.terms if term.name == "agreement"), None)
        accuracy = next((term for term in self.terms if term.name == "accuracy"), None)
        if agreement is None or accuracy is None or "accuracy" not in teacher:
            return
        # Each row on which it is right where its teacher is wrong is one on which they differ.
        most = min(1.0, teacher["accuracy"] + 1 - agreement.bound)
        if most < accuracy.bound:
            raise ConfigError(
                "A student can be right on more rows than its teacher only where it differs from it.",
                received=f"{agreement} and {accuracy}, of a teacher that is right on "
                f"{teacher['accuracy']:.3f}: at most {most:.3f} are possible",
                remedy="Lower one of the two, or train the teacher better.",
            )

    def unmet(self, values: Mapping[str, float]) -> list[Term]:
        """The terms that figures do not keep; a term without its figure is not kept."""
        return [term for term in self.terms if term.name not in values or not term.met(values[term.name])]


def shown(name: str, value: float) -> str:
    """A figure by its term's name, for a person."""
    unit = next(iter(KINDS[name].units), "")
    if KINDS[name].of == "quality":
        return f"{value:.4f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{'' if unit == 'x' else ' '}{unit}".strip()


def _term(part: str) -> Term:
    found = _TERM.fullmatch(part)
    if not found:
        raise ConfigError(
            "A term of a target is a name, >= or <=, and a number.",
            received=f"{part!r:.60}",
            remedy=_EXAMPLE,
        )
    name, sign, number, unit = found.groups()
    name = name.lower()
    if name not in KINDS:
        raise ConfigError(
            f"A target's terms are {', '.join(KINDS)}.",
            received=f"{part!r:.60}",
            remedy=_EXAMPLE,
        )
    kind = KINDS[name]
    if kind.sign[0] not in sign:
        side = "at least" if kind.sign == ">=" else "at most"
        raise ConfigError(
            f"{name} ({kind.words}) is to be {side} something: {name}{kind.sign}…",
            received=f"{part!r:.60}, which nobody wants met",
            remedy=f"Write {name}{kind.sign}{number}{unit}.",
        )
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    return Term(name, _in_first_unit(name, kind, value, unit, part))


def _in_first_unit(name: str, kind: Kind, value: float, unit: str, part: str) -> float:
    units = {known.lower(): factor for known, factor in kind.units.items()}
    if unit == "%" and kind.of == "quality":
        value, unit = value / 100, ""
    if unit and unit.lower() not in units:
        raise ConfigError(
            f"{name} is given in {' or '.join(kind.units) or 'a number without a unit'}.",
            received=f"{part!r:.60}",
            remedy=f"Write for example {name}{kind.sign}{'0.98' if kind.of == 'quality' else 5}"
            f"{next(iter(kind.units), '')}.",
        )
    value *= units.get(unit.lower(), 1.0)
    if kind.of == "quality" and not 0 < value < 1:
        raise ConfigError(
            f"{name} is a share above 0 and below 1: no number of rows shows that nothing is ever missed.",
            received=f"{part!r:.60}",
            remedy=f"Write for example {name}>=0.98.",
        )
    if not value > 0 or not math.isfinite(value):
        raise ConfigError(
            f"{name} must be above 0, which nothing else can keep.",
            received=f"{part!r:.60}",
            remedy=_EXAMPLE,
        )
    return value
