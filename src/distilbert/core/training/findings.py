"""What is likely wrong with any run, before hours go into it: a sentence and a remedy each."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from distilbert.core.checkpoint import file_names
from distilbert.core.parameters import Parameter
from distilbert.core.recipe import Training
from distilbert.core.training_log import TrainingLog

#: Peak rates outside of these do not train encoders of any published recipe; Adam's are 1e-5 to 2e-3.
_LEAST_RATE, _MOST_RATE = 2e-6, 5e-3

#: Of a text's tokens, what may be unknown without a word.
_UNKNOWN = 0.05

#: A gradient of a norm below this, for each unit of the terms' weights, is rounding; or may be, of bf16.
_NO_GRADIENT, _NO_GRADIENT_BF16 = 1e-5, 1e-3

#: Fewer steps than these say nothing about where a loss goes.
_FEW_STEPS = 40


@dataclass(frozen=True)
class Finding:
    """Something that is likely wrong."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


def of_rate(recipe: Training) -> Iterator[Finding]:
    """A learning rate that is far off."""
    rate = recipe.learning_rate
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        yield Finding(
            f"A peak learning rate of {rate:g} is {'far above' if rate > _MOST_RATE else 'far below'} what "
            "encoders learn at.",
            "Choose one from 1e-5 to 1e-3: --learning-rate 2e-4",
        )


def of_unknown(unknown: int, tokens: int) -> Iterator[Finding]:
    """A text that is not of the vocabulary."""
    if tokens and unknown / tokens > _UNKNOWN:
        yield Finding(
            f"{unknown / tokens:.0%} of the text's tokens are unknown to the vocabulary.",
            "Check that the model is of the text's language and casing, and that the tokenizer's files are "
            "the model's own.",
        )


def of_ruined(name: str, ruined: Sequence[str], parameters: Sequence[Parameter]) -> Iterator[Finding]:
    """Parameters of a model, by their keys, that hold what is no number."""
    if ruined:
        first = file_names(ruined[:1], parameters)[0]
        yield Finding(
            f"{len(ruined)} of {name}'s parameters hold what is no number, {first} first.",
            "Its folder comes from a run that failed: use the last good checkpoint, or train it again.",
        )


def of_step(
    step: Callable[[str], tuple[float, Mapping[str, float]]],
    recipe: Training,
    weights: Mapping[str, float],
    *,
    rough: bool,
    remedy: str,
) -> Iterator[Finding]:
    """A loss that is no number, or that nothing follows from.

    Args:
        step: a run's first one, at a precision: the norm of its gradient, and its terms' sums, the loss as
            ``total``.
        recipe: of the run.
        weights: of its terms.
        rough: whether the recipe's precision comes to bfloat16.
        remedy: what a run of this kind does about a loss without a gradient.
    """
    norm, sums = step(recipe.precision)
    if not math.isfinite(sums["total"]):
        wrong = ", ".join(
            name for name, value in sums.items() if not math.isfinite(value) and name != "total"
        )
        yield Finding(
            f"The loss is no number before anything is learnt: {wrong or 'the sum of its terms'}.",
            "Compute in single precision, --precision fp32; if that does not help, a model is ruined.",
        )
        return
    least = sum(weights.values())
    if norm < _NO_GRADIENT_BF16 * least and rough:
        # So little may be rounding, and may be all that there is to learn: single precision tells.
        norm, _ = step("fp32")
    if norm < _NO_GRADIENT * least:
        yield Finding("There is nothing to learn: the loss has no gradient.", remedy)


def of_course(log: TrainingLog) -> Iterator[Finding]:
    """A loss that has not fallen by more than its noise, from the first fifth of a run to its last."""
    total = log.losses.get("total", [])
    size = len(total) // 5
    if len(total) < _FEW_STEPS:
        return
    first, last = total[:size], total[-size:]
    noise = math.sqrt((statistics.variance(first) + statistics.variance(last)) / size)
    if statistics.mean(last) > statistics.mean(first) - 2 * noise:
        yield Finding(
            f"The loss has not fallen: {statistics.mean(first):.4g} in the first fifth of the steps and "
            f"{statistics.mean(last):.4g} in the last.",
            "Check that the labels or the text say something, and try another --learning-rate.",
        )
