"""Some of a table's examples to judge by, where no others were given: by chance, of each label its share."""

import logging
from collections import Counter, defaultdict

import numpy as np

from distilbert.core.tasks.examples import Examples
from distilbert.errors import DataError

logger = logging.getLogger(__name__)

#: What is held out where nobody said how much, and the least that says anything.
USUAL_SHARE = 0.1
_FEW = 20

#: What must not stand on both sides: questions about one context, and the same texts.
_TOGETHER = (("context",), ("text", "text_b"), ("words",), ("question", "choices"))

#: Parts of a scale, each of which keeps its share.
_FIFTHS = (0.2, 0.4, 0.6, 0.8)


def split(examples: Examples, *, share: float | None, seed: int) -> tuple[Examples, Examples | None]:
    """Examples to learn from, and others to judge by.

    Each label keeps its share, and so does each fifth of a scale; of examples with several labels, the rarest
    one of each counts. Examples of the same text, or questions about the same context, stay on one side, so
    that nothing is judged that was learnt.

    Args:
        examples: with their answers.
        share: that is held out; None is a tenth, where that is enough to say something, else nothing.
        seed: decides which.

    Raises:
        DataError: a share that leaves one side without examples.
    """
    if share is None:
        share = USUAL_SHARE if len(examples) * USUAL_SHARE >= _FEW else 0.0
    if not share:
        return examples, None
    of = _strata(examples)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for rows in _units(examples):
        strata[of[rows[0]]].append(rows)
    rng = np.random.default_rng((seed, len(examples)))
    held: set[int] = set()
    owed = 0.0
    for name in sorted(strata):
        units = strata[name]
        # What is rounded off one label is owed by the next: many small ones have their share together.
        wanted = share * sum(map(len, units)) + owed
        taken = 0
        for i in rng.permutation(len(units))[:-1]:  # one is always learnt from
            if taken + len(units[i]) / 2 > wanted:
                break
            held.update(units[i])
            taken += len(units[i])
        owed = wanted - taken
    if not held:
        raise DataError(
            "A share of examples that is held out must leave some on both sides.",
            received=f"a share of {share:g} of {len(examples)} examples, {examples.source}",
            remedy="Give a table to judge by (--eval), another --eval-share, or 0 to judge by nothing.",
        )
    _say_alone(examples, {name: units[0] for name, units in strata.items() if len(units) == 1})
    rest = [i for i in range(len(examples)) if i not in held]
    return examples.take(rest), examples.take(sorted(held), source=f"a part of {examples.source}")


def _strata(examples: Examples) -> list[str]:
    """Of each example the name of what is to keep its share."""
    columns = examples.columns
    if examples.task == "sequence-classification":
        return [str(label) for label in columns["label"]]
    if examples.task == "multi-label-classification":
        counts = Counter(label for labels in columns["labels"] for label in labels)
        return [min(labels, key=lambda one: (counts[one], one), default="") for labels in columns["labels"]]
    if examples.task in ("regression", "sentence-embedding") and columns["score"][0] is not None:
        scores = np.array(columns["score"], np.float64)
        return [str(fifth) for fifth in np.digitize(scores, np.quantile(scores, _FIFTHS))]
    return [""] * len(examples)


def _units(examples: Examples) -> list[list[int]]:
    """Rows that must not be parted, in the order of their first."""
    names = next((names for names in _TOGETHER if names[0] in examples.columns), ())
    units: dict[str, list[int]] = defaultdict(list)
    for i, values in enumerate(examples.rows(*names)):
        units[repr(values) if names else str(i)].append(i)
    return list(units.values())


def _say_alone(examples: Examples, alone: dict[str, list[int]]) -> None:
    if "label" not in examples.columns or not alone:
        return
    shown = [f"{name} ({examples.at(rows[0])})" for name, rows in sorted(alone.items())[:3]]
    logger.warning(
        "%d labels have one example, which is learnt from and not judged by: %s.",
        len(alone),
        ", ".join(shown) + (", and others" if len(alone) > 3 else ""),
    )
