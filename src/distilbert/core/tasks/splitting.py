"""Some of a table's examples to judge by, where no others were given: by chance, yet of each label its share."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from distilbert.core.tasks.examples import Examples
from distilbert.errors import DataError

logger = logging.getLogger(__name__)

#: What is held out where nobody said how much, and the least that says anything.
USUAL_SHARE = 0.1
_FEW = 20

#: What must not stand on both sides: questions of one context, and the same texts.
_TOGETHER = (("context",), ("text", "text_b"), ("words",), ("question", "choices"))


def split(
    examples: Examples, *, share: float | None, seed: int, by: str | None = None
) -> tuple[Examples, Examples | None]:
    """Examples to learn from, and others to judge by.

    Examples of the same text, or questions about the same context, stay on one side, so that nothing is judged
    that was learnt.

    Args:
        examples: with their answers.
        share: that is held out; None is a tenth, where that is enough to say something, else nothing.
        seed: decides which.
        by: the column of which each value keeps its share; None where values are not repeated.

    Raises:
        DataError: a share that leaves one side without examples.
    """
    if share is None:
        share = USUAL_SHARE if len(examples) * USUAL_SHARE >= _FEW else 0.0
    if not share:
        return examples, None
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for rows in _units(examples):
        strata[repr(examples.columns[by][rows[0]]) if by else ""].append(rows)
    rng = np.random.default_rng((seed, len(examples)))
    held: list[int] = []
    alone: list[int] = []
    owed = 0.0
    for name in sorted(strata):
        units = strata[name]
        size = sum(map(len, units))
        if len(units) == 1:
            alone += units[0][:1]
            continue
        # What is rounded off one label is owed by the next one, so that many small ones have their share too.
        wanted = share * size + owed
        taken = 0
        for i in rng.permutation(len(units))[:-1]:
            if taken + len(units[i]) / 2 > wanted:
                break
            held += units[i]
            taken += len(units[i])
        owed = wanted - taken
    if not held or len(held) == len(examples):
        raise DataError(
            "A share of examples that is held out must leave some on both sides.",
            received=f"a share of {share:g} of {len(examples)} examples, {examples.source}",
            remedy="Give a table to judge by (--eval), another --eval-share, or 0 to judge by nothing.",
        )
    if by and alone:
        _say_alone(examples, by, alone)
    chosen = set(held)
    rest = [i for i in range(len(examples)) if i not in chosen]
    return examples.take(rest), examples.take(sorted(held), source=f"a part of {examples.source}")


def _units(examples: Examples) -> list[list[int]]:
    """Rows that must not be parted, in the order of their first."""
    names = next((names for names in _TOGETHER if names[0] in examples.columns), ())
    units: dict[str, list[int]] = defaultdict(list)
    for i, values in enumerate(examples.rows(*names)):
        units[repr(values) if names else str(i)].append(i)
    return list(units.values())


def _say_alone(examples: Examples, by: str, alone: Sequence[int]) -> None:
    shown: list[Any] = [f"{examples.columns[by][i]} ({examples.at(i)})" for i in alone[:3]]
    more = f", and {len(alone) - 3} more" if len(alone) > 3 else ""
    logger.warning(
        "Of some labels there is one example, which is learnt from and not judged by: %s%s.",
        ", ".join(shown),
        more,
    )
