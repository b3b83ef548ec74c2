"""Several teachers of hidden words: who they are, and how much each is listened to."""

from collections.abc import Sequence
from pathlib import Path

from distilbert.core import rules
from distilbert.errors import ConfigError


def named(teacher: str | Path | Sequence[str | Path]) -> tuple[str | Path, ...]:
    """One teacher or several, as a list.

    Raises:
        ConfigError: none.
    """
    if isinstance(teacher, str | Path):
        return (teacher,)
    if not teacher:
        raise ConfigError(
            "A student learns from at least one teacher.", received="an empty list", remedy="Name one."
        )
    return tuple(teacher)


def shares(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """How much each teacher is listened to: as the weights are to each other, and 1 together.

    Raises:
        ConfigError: not one positive number for each.
    """
    if weights is None:
        return (1 / count,) * count
    if len(weights) != count:
        raise ConfigError(
            "Weights of teachers are one for each, in the same order.",
            received=f"{len(weights)} weights for {count} teachers",
            remedy="Give as many, or none for teachers that count alike.",
        )
    checked = [rules.number(1e-12, 1e12)("teacher_weights", weight) for weight in weights]
    return tuple(weight / sum(checked) for weight in checked)
