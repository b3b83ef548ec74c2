"""The training loop that every job shares: what to learn is an objective, how is a recipe."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Training
from distilbert.errors import ConfigError, TrainingError
from distilbert.torch.attention import SelfAttention
from distilbert.torch.device import autocast
from distilbert.torch.pretrained import PreTrainedModel

#: Saves the model as it stands after so many steps and says where.
Checkpoint = Callable[[int], Path]


@dataclass(frozen=True)
class MicroBatch:
    """What is in memory at once: tensors by name, and for each loss term its count of rows."""

    tensors: dict[str, Tensor]
    counts: dict[str, int]


class Objective(Protocol):
    """What is to be learnt."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each loss term; a term of weight 0 is left out and costs nothing."""

    def steps(self) -> Iterator[Sequence[MicroBatch]]:
        """Without end: the micro-batches of one optimiser step after another."""

    def loss_sums(self, batch: MicroBatch) -> dict[str, Tensor]:
        """Each loss term, summed over its rows of the batch."""


@dataclass
class TrainingLog:
    """What happened, step by step.

    Attributes:
        steps: the number of each step.
        losses: by term, and their weighted sum as ``total``; one number a step.
        learning_rates: one number a step.
        seconds: the time of each step.
    """

    steps: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    learning_rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        tail = max(1, len(self.steps) // 10)
        return {
            "steps": len(self.steps),
            "seconds": round(sum(self.seconds), 2),
            # One step's loss is noise; the mean of the last tenth is what a run came to.
            "final_losses": {name: sum(values[-tail:]) / tail for name, values in self.losses.items()},
        }


def train(
    model: PreTrainedModel,
    objective: Objective,
    recipe: Training,
    *,
    total_steps: int,
    stage: str,
    new_weights: Collection[str] = (),
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
    stop_after: int | None = None,
) -> TrainingLog:
    """Train ``model`` in place and leave it in eval mode.

    Args:
        model: its parameters with ``requires_grad`` learn.
        objective: gives the batches and the losses.
        recipe: optimiser, schedule and precision.
        total_steps: the schedule's length.
        stage: the name under which progress is reported.
        new_weights: keys of parameters that were drawn anew and may learn faster.
        progress: told of every step.
        checkpoint: called every ``recipe.checkpoint_every`` steps, when the next step has shown that the
            weights give finite losses.
        stop_after: leave the schedule after so many steps, to measure their speed.

    Raises:
        ConfigError: no term of the loss has a weight.
        TrainingError: a loss or a gradient is not finite, or the losses of the finished model are not.
    """
    log = TrainingLog()
    optimiser = _optimiser(model, recipe, new_weights)
    factor = _triangle(recipe, total_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    weights = {name: weight for name, weight in objective.weights.items() if weight}
    if not weights:
        raise ConfigError(
            "At least one term of a loss must have a weight.",
            received=", ".join(f"{name} 0" for name in objective.weights),
            remedy="Give one of them a weight in the recipe, or name a teacher.",
        )
    saved: Path | None = None
    model.train()
    if recipe.dropout is not None:
        set_dropout(model, recipe.dropout)
    progress(stage, 0, total_steps, {})
    steps = objective.steps()
    for step in range(1, min(total_steps, stop_after or total_steps) + 1):
        started = time.perf_counter()
        batches = next(steps)
        terms = _accumulate(model, objective, weights, batches, recipe)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        losses = {name: float(value) for name, value in terms.items()}
        losses["total"] = sum(weights[name] * value for name, value in losses.items())
        if not (math.isfinite(losses["total"]) and math.isfinite(float(norm))):
            raise _not_finite(f"at step {step}", losses, float(norm), recipe, saved)
        if checkpoint and step > 1 and (step - 1) % recipe.checkpoint_every == 0:
            saved = checkpoint(step - 1)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)

        log.steps.append(step)
        log.learning_rates.append(recipe.learning_rate * factor(step - 1))
        log.seconds.append(time.perf_counter() - started)
        for name, value in losses.items():
            log.losses.setdefault(name, []).append(value)
        progress(stage, step, total_steps, {"loss": losses["total"]})
    model.eval()
    # The last step's weights have had no step after them that would have shown what they give.
    with torch.no_grad(), autocast(model.device, recipe.precision):
        last = {name: float(value) for name, value in objective.loss_sums(batches[0]).items()}
    if not all(map(math.isfinite, last.values())):
        raise _not_finite(f"after step {step}", last, None, recipe, saved)
    return log


def set_dropout(model: nn.Module, rate: float) -> None:
    """Give every dropout of a model this rate; its configuration, which is saved, stays as it is."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        elif isinstance(module, SelfAttention):
            module.dropout = rate


def _accumulate(
    model: PreTrainedModel,
    objective: Objective,
    weights: Mapping[str, float],
    batches: Sequence[MicroBatch],
    recipe: Training,
) -> dict[str, Tensor]:
    """One step's gradients, and its mean loss terms.

    Each term is divided once, by its count over the whole step: the same gradient however the step's
    rows are split into micro-batches.
    """
    counts = {name: sum(batch.counts[name] for batch in batches) for name in weights}
    terms = {name: torch.zeros((), device=model.device) for name in weights}
    for batch in batches:
        with autocast(model.device, recipe.precision):
            sums = objective.loss_sums(batch)
        means = {name: sums[name] / max(1, counts[name]) for name in weights}
        torch.stack([weights[name] * mean for name, mean in means.items()]).sum().backward()
        for name, mean in means.items():
            terms[name] += mean.detach()
    return terms


def _optimiser(model: PreTrainedModel, recipe: Training, new_weights: Collection[str]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); the manifest's roles say what decays."""
    decays = {parameter.key for parameter in model.manifest if parameter.role.decays}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name in decays, name in new_weights].append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": recipe.weight_decay if decaying else 0.0,
                "lr": recipe.learning_rate * (recipe.new_weights_rate if new else 1.0),
            }
            for (decaying, new), parameters in groups.items()
        ],
        lr=recipe.learning_rate,
        betas=recipe.adam_betas,
        eps=recipe.adam_eps,
        fused=True,
    )


def _triangle(recipe: Training, total_steps: int) -> Callable[[int], float]:
    """Linear warm-up to the recipe's rate and linear decay to zero, which comes after the last step."""
    warmup = round(recipe.warmup_share * total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return (total_steps - step) / max(1, total_steps - warmup)

    return factor


def _not_finite(
    when: str, losses: Mapping[str, float], norm: float | None, recipe: Training, saved: Path | None
) -> TrainingError:
    listed = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    kept = f"The last good checkpoint is {saved}" if saved else "No checkpoint was kept yet"
    return TrainingError(
        "Losses and gradients must stay finite.",
        received=f"{when}: {listed}" + ("" if norm is None else f"; gradient norm {norm:.4g}"),
        remedy=f"{kept}. Lower --learning-rate"
        + ("" if recipe.precision == "fp32" else ", or add --precision fp32")
        + ".",
    )
