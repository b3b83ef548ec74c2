"""How steps are taken here: the gradient of an objective's losses, AdamW; ``core/training`` has the loop."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from copy import copy, deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from distilbert.core.layer_rates import rate_factor
from distilbert.core.perplexity import perplexities
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Training
from distilbert.core.training.course import (
    WORK,
    Course,
    Keeper,
    Lesson,
    MicroBatch,
    Watch,
    terms_of,
    unwatched,
)
from distilbert.core.training.loop import learn
from distilbert.core.training_log import TrainingLog
from distilbert.torch.compiling import compiled
from distilbert.torch.device import autocast, peak_flops
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.processes import Alone, added
from distilbert.torch.randomness import random_state
from distilbert.torch.selecting import Selection

#: By term of the loss, or by what is judged: a sum over rows, without a gradient.
Sums = dict[str, Tensor]


class Objective(Lesson, Protocol):
    """What is to be learnt, and what it costs."""

    @property
    def model(self) -> PreTrainedModel:
        """Who learns it."""

    @property
    def extra(self) -> nn.Module:
        """What learns with it and is not kept, when the run is done."""

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        """The sum of the terms that have a scale, each times it; and each term's own sum over its rows."""

    def judged(self, share: slice) -> Iterable[tuple[Sums, Mapping[str, int]]]:
        """Of one process's share of what is not learnt from: sums of what it shows, and what divides them."""


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
    processes = processes or Alone(objective.model.device)
    weights = terms_of(objective)
    selection = None if stop_after else selection
    own = _optimiser(objective, recipe, new_weights)
    course = Course(objective.model, objective.extra, own, TrainingLog(), selection)
    if keeper is not None:
        keeper.restore(course)
    learner, optimiser = _ready(objective, recipe, course, processes)
    with compiled(learner, processes.device, wanted=recipe.compile):
        learn(
            objective,
            recipe,
            _Steps(objective, recipe, learner, optimiser, processes, weights),
            course,
            total_steps=total_steps,
            stage=stage,
            progress=progress,
            keeper=keeper,
            stop_after=stop_after,
            watch=watch,
        )
    return course.log


class _Steps:
    """Steps of a model and an optimiser that have been prepared."""

    def __init__(
        self,
        objective: Objective,
        recipe: Training,
        learner: nn.Module,
        optimiser: torch.optim.Optimizer,
        processes: Alone,
        weights: Mapping[str, float],
    ) -> None:
        self.share = processes.share
        self._objective, self._recipe, self._weights = objective, recipe, weights
        self._learner, self._optimiser, self._processes = learner, optimiser, processes
        self._base_rates = [group["lr"] for group in optimiser.param_groups]

    def randomness(self) -> Mapping[str, Tensor]:
        return random_state(self._objective.model.device)

    def accumulate(self, batches: list[MicroBatch]) -> tuple[dict[str, float], dict[str, float]]:
        return _accumulate(self._learner, self._weights, batches, self._recipe, self._processes)

    def clip(self) -> float:
        return self._processes.clip(self._learner, self._recipe.max_grad_norm)

    def update(self, factor: float) -> None:
        for group, rate in zip(self._optimiser.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * factor
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)

    def refresh(self) -> None:
        self._processes.refresh()

    def judge(self, course: Course) -> None:
        judge(self._objective, self._recipe, course.log, course.done, self._processes)

    def look(self, course: Course, total_steps: int) -> bool:
        return course.selection.look(course.log, course.done, total_steps, self._processes)

    def finish(self) -> None:
        for each in (self._objective.model, self._learner):
            each.eval()

    def check(self, batches: list[MicroBatch]) -> Mapping[str, float]:
        with torch.no_grad():
            return self.accumulate(batches)[0]


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
    work = {name: sum(getattr(batch, name) for batch in batches) for name in WORK}
    totals = added(processes, {**own, **work}, [*weights, *WORK])
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
    return means, {name: totals[name] for name in WORK}


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
