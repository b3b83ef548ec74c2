"""What is likely wrong with any run, before hours go into it: a sentence and a remedy each."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from distilbert.core.checkpoint import file_names
from distilbert.core.recipe import Training
from distilbert.core.training_log import TrainingLog
from distilbert.torch.device import autocast, computes_in_bf16
from distilbert.torch.randomness import seeded
from distilbert.torch.train import MicroBatch, Objective, set_dropout

#: Peak rates outside of these do not train encoders of any published recipe; Adam's are 1e-5 to 2e-3.
_LEAST_RATE, _MOST_RATE = 2e-6, 5e-3

#: Of a text's tokens, what may be unknown without a word.
_UNKNOWN = 0.05

#: Of what is computed, what may be padding without a word, and the steps that are looked at.
_PADDING, _STEPS = 0.3, 8

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


def of_weights(models: Mapping[str, nn.Module]) -> Iterator[Finding]:
    """Weights that are no numbers; each model by what it is called."""
    for name, model in models.items():
        ruined = [key for key, weight in model.named_parameters() if not bool(weight.isfinite().all())]
        if ruined:
            first = file_names(ruined[:1], getattr(model, "manifest", ()))[0]
            yield Finding(
                f"{len(ruined)} of {name}'s parameters hold what is no number, {first} first.",
                "Its folder comes from a run that failed: use the last good checkpoint, or train it again.",
            )


def of_signal(objective: Objective, recipe: Training, *, remedy: str) -> Iterator[Finding]:
    """A loss that is no number, or that nothing follows from; the model stays as it is.

    Args:
        objective: its first step is looked at, whole and with dropout, as the run takes it.
        recipe: of the run.
        remedy: what a run of this kind does about a loss without a gradient.
    """
    weights = {name: weight for name, weight in objective.weights.items() if weight}
    batches = next(objective.steps(0, slice(0, None, 1)))
    if not weights or not batches:
        return
    norm, sums = _first_step(objective, recipe, weights, batches, recipe.precision)
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
    if norm < _NO_GRADIENT_BF16 * least and computes_in_bf16(objective.model.device, recipe.precision):
        # So little may be rounding, and may be all that there is to learn: single precision tells.
        norm, _ = _first_step(objective, recipe, weights, batches, "fp32")
    if norm < _NO_GRADIENT * least:
        yield Finding("There is nothing to learn: the loss has no gradient.", remedy)


def _first_step(
    objective: Objective,
    recipe: Training,
    weights: Mapping[str, float],
    batches: list[MicroBatch],
    precision: str,
) -> tuple[float, dict[str, float]]:
    """The norm of a step's gradient, and its terms' sums; ``total`` is the loss."""
    model = objective.model
    learning = [p for each in (model, objective.extra) for p in each.parameters() if p.requires_grad]
    counts = {name: sum(batch.counts[name] for batch in batches) for name in weights}
    scales = {name: weight / max(1, counts[name]) for name, weight in weights.items()}
    gradients: dict[int, Tensor] = {}
    sums: dict[str, float] = defaultdict(float)
    rates = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    training = model.training
    model.train()
    if recipe.dropout is not None:
        set_dropout(model, recipe.dropout)
    try:
        with seeded(recipe.seed):
            for batch in batches:
                with autocast(model.device, precision):
                    loss, found = objective.losses(batch, scales)
                for name, value in {**found, "total": loss.detach()}.items():
                    sums[name] += float(value)
                if loss.requires_grad:
                    for i, part in enumerate(torch.autograd.grad(loss, learning, allow_unused=True)):
                        if part is not None:
                            gradients[i] = gradients[i] + part if i in gradients else part
    finally:
        model.train(training)
        for module, rate in rates.items():
            module.p = rate
    return math.sqrt(sum(float(part.float().square().sum()) for part in gradients.values())), sums


def of_padding(objective: Objective) -> Iterator[Finding]:
    """Rows that are computed with much padding, where the model leaves it in."""
    if objective.model.encoder.packing:
        return
    live = places = 0
    for batches in islice(objective.steps(0, slice(0, None, 1)), _STEPS):
        for batch in batches:
            mask = _mask(batch)
            live, places = live + int(mask.sum()), places + mask.numel()
    if places and 1 - live / places > _PADDING:
        yield Finding(
            f"{1 - live / places:.0%} of what is computed is padding.",
            "Let the model take it out, set_attention(…, packing=True), or choose a lower --max-length.",
        )


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


def of_all(
    objective: Objective, recipe: Training, models: Mapping[str, nn.Module], *, remedy: str
) -> list[Finding]:
    """What every run is asked: its rate, its weights, its signal (with a ``remedy``) and its padding."""
    found = [*of_rate(recipe), *of_weights(models)]
    if not list(of_weights(models)):
        found += of_signal(objective, recipe, remedy=remedy)
    return [*found, *of_padding(objective)]


def _mask(batch: MicroBatch) -> torch.Tensor:
    mask: torch.Tensor = batch.given.get("attention_mask", torch.ones(0))
    return mask
