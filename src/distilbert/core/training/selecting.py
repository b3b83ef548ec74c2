"""The best weights of a run, by looks at examples to judge by, and when there is no use in going on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distilbert.core.training_log import TrainingLog


@dataclass
class Looks:
    """Looks, and the weights at the best of them. Abstract: a wing says how weights are kept.

    Attributes:
        model: what learns.
        judge: says what it comes to, as it stands: figures by name.
        every: steps between two looks.
        metric: the figure that decides.
        lowest: whether the least is the best.
        patience: so many looks in a row without a better one end the run; 0 is never.
        weights: what had been learnt at the best look, by name.
        stopped_early: whether that was enough before all steps were taken.
    """

    model: Any
    judge: Callable[[], Mapping[str, float]]
    every: int
    metric: str
    lowest: bool = False
    patience: int = 0
    weights: dict[str, Any] = field(default_factory=dict)
    stopped_early: bool = False

    def is_due(self, step: int, total_steps: int) -> bool:
        return step % self.every == 0 or step == total_steps

    def entered(self, found: Mapping[str, float], log: TrainingLog, step: int, total_steps: int) -> bool:
        """Enter what a look showed after a step of so many; whether there is use in going on."""
        before = self.best(log)
        log.judged.append({"step": step, **found})
        if before is None or self._is_better(found[self.metric], before[self.metric]):
            self.weights = self.learnt()
        self.stopped_early = step < total_steps and self._is_enough(log)
        return not self.stopped_early

    def learnt(self) -> dict[str, Any]:
        """A copy of what has been learnt, by name."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Give the model the weights that it had at the best look."""
        raise NotImplementedError

    def seen(self) -> Mapping[str, float]:
        """What the model comes to now; it is afterwards in training as before."""
        raise NotImplementedError

    def best(self, log: TrainingLog) -> dict[str, float] | None:
        """The best look so far, the first one of several that are alike."""
        looks = [look for look in log.judged if self.metric in look]
        if not looks:
            return None
        return (min if self.lowest else max)(looks, key=lambda look: look[self.metric])

    def facts(self, log: TrainingLog) -> dict[str, Any]:
        """Which look was the best one, and whether it ended the run early."""
        best = self.best(log)
        if best is None:
            return {}
        return {
            "kept": {"step": best["step"], self.metric: best[self.metric]},
            "stopped_early": self.stopped_early,
        }

    def _is_better(self, value: float, than: float) -> bool:
        return value < than if self.lowest else value > than

    def _is_enough(self, log: TrainingLog) -> bool:
        looks = [look for look in log.judged if self.metric in look]
        best = self.best(log)
        return bool(self.patience and best and looks.index(best) < len(looks) - self.patience)
