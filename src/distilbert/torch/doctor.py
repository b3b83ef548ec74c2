"""What is likely wrong with any run here, as far as a model or a step of it must be looked at."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from distilbert.core.recipe import Training
from distilbert.core.training.course import MicroBatch
from distilbert.core.training.findings import Finding, of_rate, of_ruined, of_step
from distilbert.torch.device import autocast, computes_in_bf16
from distilbert.torch.randomness import seeded
from distilbert.torch.train import Objective, set_dropout

#: Of what is computed, what may be padding without a word, and the steps that are looked at.
_PADDING, _STEPS = 0.3, 8


def of_weights(models: Mapping[str, nn.Module]) -> Iterator[Finding]:
    """Weights that are no numbers; each model by what it is called."""
    for name, model in models.items():
        ruined = [key for key, weight in model.named_parameters() if not bool(weight.isfinite().all())]
        yield from of_ruined(name, ruined, getattr(model, "manifest", ()))


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
    rough = computes_in_bf16(objective.model.device, recipe.precision)

    def step(precision: str) -> tuple[float, dict[str, float]]:
        return _first_step(objective, recipe, weights, batches, precision)

    yield from of_step(step, recipe, weights, rough=rough, remedy=remedy)


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
