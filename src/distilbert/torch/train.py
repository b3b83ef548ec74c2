"""The training loop that every job shares: what to learn is an objective, how is a recipe."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core.layer_rates import rate_factor
from distilbert.core.perplexity import perplexities
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Training
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, TrainingError
from distilbert.torch.compiling import compiled
from distilbert.torch.device import autocast, peak_flops
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.processes import Alone, added
from distilbert.torch.randomness import random_state
from distilbert.torch.selecting import Selection
from distilbert.torch.tracking import Watch, unwatched

#: By term of the loss, or by what is judged: a sum over rows, without a gradient.
Sums = dict[str, Tensor]

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class MicroBatch:
    """What is in memory at once.

    Attributes:
        given: by name.
        counts: for each loss term, its rows.
        tokens: live ones; 0 where that is not known.
        flops: that its losses need, as ``core/flops.py`` counts; 0 where that is not known.
    """

    given: dict[str, Any]
    counts: dict[str, float]
    tokens: int = 0
    flops: float = 0.0


class Objective(Protocol):
    """What is to be learnt."""

    @property
    def model(self) -> PreTrainedModel:
        """Who learns it."""

    @property
    def extra(self) -> nn.Module:
        """What learns with it and is not kept, when the run is done."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each loss term; a term of weight 0 is left out and costs nothing."""

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        """Without end, after the first ``done``: of each step one process's share, in micro-batches."""

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        """The sum of the terms that have a scale, each times it; and each term's own sum over its rows."""

    def judged(self, share: slice) -> Iterable[tuple[Sums, Mapping[str, int]]]:
        """Of one process's share of what is not learnt from: sums of what it shows, and what divides them."""


@dataclass
class Course:
    """A run as it stands between two steps: what the next one starts from."""

    model: PreTrainedModel
    extra: nn.Module
    optimiser: torch.optim.Optimizer
    log: TrainingLog
    selection: Selection | None = None

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.log.seconds)


class Keeper(Protocol):
    """Keeps a run as it stands, so that another process can go on with it."""

    def restore(self, course: Course) -> None:
        """Bring a run to where its newest copy stood, if there is one."""

    def keep(self, course: Course, randomness: Mapping[str, Tensor]) -> Path:
        """Keep a copy, and say where. ``randomness`` is what the next step draws from."""


def train(
    objective: Objective,
    recipe: Training,
    *,
    total_steps: int,
    stage: str,
    new_weights: Collection[str] = (),
    progress: Progress = silent,
    keeper: Keeper | None = None,
    stop_after: int | None = None,
    processes: Alone | None = None,
    watch: Watch = unwatched,
    selection: Selection | None = None,
) -> TrainingLog:
    """Train the objective's model in place and leave it in eval mode.

    Args:
        objective: gives the batches and the losses; of its model what requires a gradient learns.
        recipe: optimiser, schedule and precision.
        total_steps: the schedule's length.
        stage: the name under which progress is reported.
        new_weights: keys of parameters that were drawn anew and may learn faster.
        progress: told of every step.
        keeper: is asked every ``recipe.checkpoint_every`` steps, when the next step has shown that the
            weights give finite losses.
        stop_after: leave the schedule after so many steps, to measure their speed.
        processes: those that learn together.
        watch: told of every step and every look, too, with all there is to say.
        selection: looks in between, keeps the best weights, and may end the run early.

    Raises:
        ConfigError: no term of the loss has a weight.
        TrainingError: a loss or a gradient is not finite, or the losses of the finished model are not.
    """
    model = objective.model
    processes = processes or Alone(model.device)
    weights = _weights(objective)
    selection = None if stop_after else selection
    own = _optimiser(objective, recipe, new_weights)
    course = Course(model, objective.extra, own, TrainingLog(), selection)
    log, saved = course.log, None
    if keeper is not None:
        keeper.restore(course)
    learner, optimiser = _ready(objective, recipe, course, processes)
    with compiled(learner, processes.device, wanted=recipe.compile):
        factor = _triangle(recipe, total_steps)
        base_rates = [group["lr"] for group in optimiser.param_groups]
        if not course.done and getattr(recipe, "judge_every", None) and not stop_after:
            judge(objective, recipe, log, 0, processes)
            watch(log)
        progress(stage, course.done, total_steps, {})
        first = course.done + 1
        steps = objective.steps(course.done, processes.share)
        batches: list[MicroBatch] | None = None
        for step in range(first, min(total_steps, stop_after or total_steps) + 1):
            started = time.perf_counter()
            randomness = random_state(model.device)
            batches = next(steps)
            means, work = _accumulate(learner, weights, batches, recipe, processes)
            norm = processes.clip(learner, recipe.max_grad_norm)
            losses = {**means, "total": sum(weights[name] * mean for name, mean in means.items())}
            if not all(map(math.isfinite, (*losses.values(), norm))):
                raise _not_finite(f"at step {step}", losses, norm, recipe, saved)
            if keeper is not None and step > first and (step - 1) % recipe.checkpoint_every == 0:
                processes.refresh()
                saved = keeper.keep(course, randomness)
            for group, rate in zip(optimiser.param_groups, base_rates, strict=True):
                group["lr"] = rate * factor(step - 1)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

            log.add(
                losses,
                rate=recipe.learning_rate * factor(step - 1),
                seconds=time.perf_counter() - started,
                work=work,
            )
            goes_on = bool(stop_after) or _look(objective, recipe, course, total_steps, processes)
            watch(log)
            progress(stage, step, total_steps, log.now())
            if not goes_on:
                break
        processes.refresh()
        for each in (model, learner):
            each.eval()
        if batches is not None:
            # The last step's weights have had no step after them that would have shown what they give.
            with torch.no_grad():
                last, _ = _accumulate(learner, weights, batches[:1], recipe, processes)
            if not all(map(math.isfinite, last.values())):
                raise _not_finite(f"after step {course.done}", last, None, recipe, saved)
        if selection is not None:
            selection.put_back()
    return log


def _weights(objective: Objective) -> dict[str, float]:
    weights = {name: weight for name, weight in objective.weights.items() if weight}
    if not weights:
        raise ConfigError(
            "At least one term of a loss must have a weight.",
            received=", ".join(f"{name} 0" for name in objective.weights),
            remedy="Give one of them a weight in the recipe, or name a teacher.",
        )
    return weights


def _ready(
    objective: Objective, recipe: Training, course: Course, processes: Alone
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """What learns and its optimiser, shared among the processes, in training."""
    peak = peak_flops(objective.model.device, recipe.precision)
    course.log.peak = None if peak is None else peak * processes.count
    if recipe.dropout is not None:
        set_dropout(objective.model, recipe.dropout)
    stand_in = next(objective.steps(0, slice(0, None, 1)))[0] if processes.in_step else None
    learner, optimiser = processes.prepare(_Learner(objective, stand_in), course.optimiser)
    return learner.train(), optimiser


def parts(rows: Rows, share: slice, *, size: int) -> list[Rows]:
    """One process's share of a step's rows, in parts of at most ``size``; as many parts in every process.

    Where there are fewer rows than processes, some have none.
    """
    largest = -(-len(rows) // (share.step or 1))
    own = rows[share]
    return np.array_split(own, -(-largest // size)) if len(own) else []


def set_dropout(model: nn.Module, rate: float) -> None:
    """Give every dropout of a model this rate; its configuration, which is saved, stays as it is."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate


class _Learner(nn.Module):
    """An objective as a module, whose call several processes can be wrapped around.

    Args:
        objective: whose losses it computes.
        stand_in: what is computed, and counts nothing, where there is no batch.
    """

    def __init__(self, objective: Objective, stand_in: MicroBatch | None = None) -> None:
        super().__init__()
        self.model, self.extra = objective.model, objective.extra
        self._objective, self._stand_in = objective, stand_in

    def replica(self) -> "_Learner":
        """The same, with weights of its own."""
        objective: Any = copy(self._objective)
        objective.model, objective.extra = deepcopy(self.model), deepcopy(self.extra)
        return _Learner(objective, self._stand_in)

    def forward(self, batch: MicroBatch | None, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        """The objective's losses; without a batch, of nothing, so that the other processes need not wait."""
        if batch is None and self._stand_in is not None:
            return 0.0 * self._objective.losses(self._stand_in, scales)[0], {}
        if batch is None:
            return torch.stack([(0.0 * p).sum() for p in self.parameters() if p.requires_grad]).sum(), {}
        return self._objective.losses(batch, scales)


def _accumulate(
    learner: nn.Module,
    weights: Mapping[str, float],
    batches: list[MicroBatch],
    recipe: Training,
    processes: Alone,
) -> tuple[dict[str, float], dict[str, float]]:
    """One step's gradients, its mean loss terms, and the tokens and FLOPs of it.

    Each term is divided once, by its count over the whole step and all processes: the same gradient
    however the step's rows are split.
    """
    own: dict[str, float] = {name: sum(batch.counts[name] for batch in batches) for name in weights}
    work = {name: sum(getattr(batch, name) for batch in batches) for name in _WORK}
    totals = added(processes, {**own, **work}, [*weights, *_WORK])
    counts = {name: max(1.0, totals[name]) for name in weights}
    scales = {name: weight / counts[name] for name, weight in weights.items()}
    sums: dict[str, Any] = defaultdict(float)
    given: list[MicroBatch | None] = [*batches] or [None]
    for i, batch in enumerate(given):
        is_last = i + 1 == len(given)
        with nullcontext() if is_last else processes.unsynchronised(learner):
            with autocast(processes.device, recipe.precision):
                loss, found = learner(batch, scales)
            if torch.is_grad_enabled():
                processes.backward(loss)
        for name, value in found.items():
            sums[name] = sums[name] + value.detach()
    means = {name: total / counts[name] for name, total in added(processes, sums, weights).items()}
    return means, {name: totals[name] for name in _WORK}


#: What a step's parts say of the work that is in them.
_WORK = ("tokens", "flops")


def _look(objective: Objective, recipe: Training, course: Course, total_steps: int, processes: Alone) -> bool:
    """Judge, where it is time to; whether there is use in going on."""
    step, every = course.done, getattr(recipe, "judge_every", None)
    if every and (step % every == 0 or step == total_steps):
        processes.refresh()
        judge(objective, recipe, course.log, step, processes)
    if course.selection is None or not course.selection.is_due(step, total_steps):
        return True
    processes.refresh()
    return course.selection.look(course.log, step, total_steps, processes)


def judge(objective: Objective, recipe: Training, log: TrainingLog, step: int, processes: Alone) -> None:
    """Enter what the rows that are held out show."""
    model = objective.model.eval()
    sums: dict[str, Any] = defaultdict(float)
    with torch.no_grad(), autocast(processes.device, recipe.precision):
        for found, counts in objective.judged(processes.share):
            for name, value in found.items():
                sums[name] = sums[name] + value
                sums[f"{name} of"] += counts[name]
    model.train()
    # Of fewer rows than processes some have none, and have nothing to name.
    names = processes.everyones(name for name in sums if not name.endswith(" of"))
    totals = added(processes, sums, [*names, *(f"{name} of" for name in names)])
    if names:
        means = {name: totals[name] / (totals[f"{name} of"] or 1.0) for name in names}
        log.judged.append({"step": step, **means, **perplexities(means)})


def _optimiser(objective: Objective, recipe: Training, new_weights: Collection[str]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); the manifest's roles say what decays."""
    model = objective.model
    decays = {parameter.key for parameter in model.manifest if parameter.role.decays}
    layer_decay = getattr(recipe, "layer_rate_decay", 1.0)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in (*model.named_parameters(), *objective.extra.named_parameters(prefix="extra")):
        if parameter.requires_grad:
            factor = rate_factor(name, model.config, decay=layer_decay)
            if name in new_weights:
                factor *= recipe.new_weights_rate
            groups[name in decays, factor].append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": recipe.weight_decay if decaying else 0.0,
                "lr": recipe.learning_rate * factor,
            }
            for (decaying, factor), parameters in groups.items()
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
