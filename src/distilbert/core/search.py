"""Where a search looks for a better recipe: which fields vary, and between what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from distilbert.core.recipe import Finetuning
from distilbert.errors import ConfigError

#: Fields whose size matters by its ratios: between 1e-5 and 1e-3 lie as many tries below 1e-4 as above.
_BY_RATIO = ("learning_rate", "weight_decay", "new_weights_rate", "adam_eps")

#: What is not searched: it decides by what recipes are compared, and not how good they are.
_FIXED = ("seed", "eval_share", "looks_per_epoch", "look_examples", "best_by", "checkpoint_every", "steps")

_RANGE = re.compile(r"(.+?)\.\.(.+)")


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones, or drawn evenly by their ratios."""

    low: float
    high: float
    whole: bool = False
    by_ratio: bool = False


#: By field, a range, or the values that it may have.
Space = dict[str, Range | tuple[Any, ...]]

#: What matters most, about where encoders of these sizes are fine-tuned (Devlin et al. 2019, appendix A.3;
#: Mosbach et al. 2021 for longer runs).
USUAL: dict[str, Any] = {
    "learning_rate": (1e-5, 3e-4),
    "batch_size": [16, 32, 64],
    "epochs": [2.0, 3.0, 5.0],
    "warmup_share": (0.0, 0.2),
}


def space_of(given: Mapping[str, Any]) -> Space:
    """A search's space, each field looked at.

    Args:
        given: by field, a pair (low, high) as a tuple, or a list of values.

    Raises:
        ConfigError: a field that there is not or that is not searched, an empty range, or a value that the
            field's rule refuses.
    """
    names = [field.name for field in fields(Finetuning) if field.name not in _FIXED]
    space: Space = {}
    for name, values in given.items():
        if name not in names:
            raise ConfigError(
                f"A search varies {', '.join(names)}.",
                received=f"{name!r:.60}",
                remedy="Correct the name, or set it in the recipe.",
            )
        if isinstance(values, Range):
            values = (values.low, values.high)
        is_range = isinstance(values, tuple) and len(values) == 2 and all(map(_is_number, values))
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            _refuse(name, values)
        for value in values:
            Finetuning(**{name: value})
        if not is_range:
            space[name] = tuple(values)
            continue
        low, high = values
        whole = all(isinstance(value, int) for value in values)
        by_ratio = name in _BY_RATIO and low > 0
        if low >= high:
            _refuse(name, values)
        space[name] = Range(low, high, whole, by_ratio)
    if not space:
        raise ConfigError(
            "A search varies at least one field.",
            received="none",
            remedy="Name one, such as learning_rate=1e-5..1e-3.",
        )
    return space


def draw(space: Space, *, trials: int, seed: int) -> list[dict[str, Any]]:
    """What each trial changes of a recipe: the first one nothing, the others what chance says.

    Args:
        space: to draw from.
        trials: how many.
        seed: decides all of them; of two searches that differ in ``trials`` alone, the one has the other's.
    """
    changes: list[dict[str, Any]] = [{}]
    for trial in range(1, trials):
        rng = np.random.default_rng((seed, trial))
        changes.append({name: _drawn(values, rng) for name, values in space.items()})
    return changes


def _drawn(values: Range | tuple[Any, ...], rng: np.random.Generator) -> Any:
    if not isinstance(values, Range):
        return values[int(rng.integers(len(values)))]
    if values.whole:
        return int(rng.integers(int(values.low), int(values.high) + 1))
    if values.by_ratio:
        drawn = float(np.exp(rng.uniform(np.log(values.low), np.log(values.high))))
    else:
        drawn = float(rng.uniform(values.low, values.high))
    # Three digits can be read and copied, and are finer than any difference that shows.
    return min(max(float(f"{drawn:.3g}"), values.low), values.high)


def spelled(words: Sequence[str]) -> dict[str, Any]:
    """A space as it is typed: ``learning_rate=1e-5..1e-3`` is a range, ``batch_size=16,32`` are values.

    Raises:
        ConfigError: a word is none of these.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not name or not equals or not text:
            raise ConfigError(
                "What is searched is written as a field with a range or with values.",
                received=word,
                remedy="Write learning_rate=1e-5..1e-3, or batch_size=16,32.",
            )
        if found := _RANGE.fullmatch(text):
            given[name] = tuple(_value(end) for end in found.groups())
        else:
            given[name] = [_value(each) for each in text.split(",")]
    return given


def described(space: Space) -> dict[str, str]:
    """The space in words, by field."""
    return {
        name: f"{values.low:g} to {values.high:g}" + (", by ratio" if values.by_ratio else "")
        if isinstance(values, Range)
        else ", ".join(f"{value:g}" if _is_number(value) else str(value) for value in values)
        for name, values in space.items()
    }


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(name: str, values: Any) -> None:
    raise ConfigError(
        "A field is searched in a range from low to high, or among values.",
        received=f"{name}={values!r:.60}",
        remedy="Give a pair (low, high), or a list of values.",
    )
