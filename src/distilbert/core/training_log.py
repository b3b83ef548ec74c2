"""What happened in a run, step by step, and what that comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Steps whose speed is the present one.
_RECENT = 10


@dataclass
class TrainingLog:
    """What happened, step by step.

    Attributes:
        losses: by term, and their weighted sum as ``total``; one number a step.
        learning_rates: one number a step.
        seconds: the time of each step.
        tokens: live ones that each step read, over all processes; 0 where the objective does not say.
        flops: that each step's losses needed, as ``core/flops.py`` counts.
        judged: what rows that are held out showed, and after which ``step``.
        peak: FLOP/s of all devices together, in the precision of the run; None where it is not known.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    learning_rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)
    judged: list[dict[str, float]] = field(default_factory=list)
    peak: float | None = None

    @property
    def steps(self) -> list[int]:
        """The number of each step."""
        return list(range(1, len(self.seconds) + 1))

    def add(
        self, losses: Mapping[str, float], *, rate: float, seconds: float, work: Mapping[str, float]
    ) -> None:
        """Enter a step: its losses, learning rate and time, and the ``tokens`` and ``flops`` of it."""
        self.learning_rates.append(rate)
        self.seconds.append(seconds)
        self.tokens.append(round(work["tokens"]))
        self.flops.append(work["flops"])
        for name, value in losses.items():
            self.losses.setdefault(name, []).append(value)

    def speed(self, last: int | None = None) -> dict[str, float]:
        """Tokens a second while steps are taken, and the share of the devices' peak where that is known.

        Args:
            last: of so many steps; None is of all but the first, which pays for warming up.
        """
        given = slice(-last, None) if last else slice(1 if len(self.seconds) > 1 else 0, None)
        seconds, tokens = sum(self.seconds[given]), sum(self.tokens[given])
        if not tokens or not seconds:
            return {}
        found = {"tokens_per_second": tokens / seconds}
        if self.peak and sum(self.flops[given]):
            found["mfu"] = sum(self.flops[given]) / seconds / self.peak
        return found

    def now(self) -> dict[str, float]:
        """The newest step, for a person who watches: the loss, its terms if several, and the speed."""
        losses = {name: values[-1] for name, values in self.losses.items()}
        shown = {"loss": losses.pop("total")}
        if len(losses) > 1:
            shown |= losses
        speed = self.speed(_RECENT)
        if "tokens_per_second" in speed:
            shown["tokens/s"] = speed["tokens_per_second"]
        if "mfu" in speed:
            shown["MFU %"] = 100 * speed["mfu"]
        return shown

    def facts(self) -> dict[str, Any]:
        tail = max(1, len(self.seconds) // 10)
        facts: dict[str, Any] = {
            "steps": len(self.seconds),
            "seconds": round(sum(self.seconds), 2),
            # One step's loss is noise; the mean of the last tenth is what a run came to.
            "final_losses": {name: sum(values[-tail:]) / tail for name, values in self.losses.items()},
        }
        if sum(self.tokens):
            facts |= {"tokens": sum(self.tokens), **self.speed()}
        return {**facts, "held_out": self.judged[-1]} if self.judged else facts
