"""How steps are taken here: the gradient of an objective's losses, AdamW; ``core/training`` has the loop.

Two functions are compiled for each shape of a batch: the gradient of its losses, and (once) what AdamW makes
of a step's. What is drawn comes from the recipe's seed, the step and the part of it alone, so that a run that
goes on draws what it would have drawn.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from distilbert.core.layer_rates import rate_factor
from distilbert.core.recipe import Training
from distilbert.core.training.course import (
    WORK,
    Course,
    MicroBatch,
    terms_of,
)
from distilbert.core.training.lone import judge, refuse_compiling
from distilbert.jax.modules import Array
from distilbert.jax.pretrained import PreTrainedModel

#: By term of the loss, or by what is judged: a sum over rows.
Sums = dict[str, Array]

#: What stands before the names of arrays that learn beside the model.
_EXTRA = "extra."


class Objective:
    """What is to be learnt, and what it costs. Abstract.

    Attributes:
        model: who learns it.
        extra: what learns with it and is not kept, when the run is done; by name.
        weights: of each loss term; a term of weight 0 is left out and costs nothing.
        frozen: keys of parameters that do not learn.
        still: arrays that its losses read and that do not learn, in whatever tree.
    """

    model: Any
    extra: dict[str, Array]
    weights: Mapping[str, float]
    frozen: Collection[str]
    still: Any

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        """Without end, after the first ``done``: of each step one process's share, in micro-batches."""
        raise NotImplementedError

    def losses(
        self,
        model: Any,
        extra: Mapping[str, Array],
        still: Any,
        given: Mapping[str, Array],
        scales: Mapping[str, Array],
        key: Array | None,
    ) -> tuple[Array, Sums]:
        """The sum of the terms that have a scale, each times it; and each term's own sum over its rows.

        In pure JAX: it is compiled with what the objective holds besides, which may not change.
        """
        raise NotImplementedError

    def judged(self, share: slice) -> Iterable[tuple[Sums, Mapping[str, int]]]:
        """Of what is not learnt from: sums of what it shows, and what divides them."""
        raise NotImplementedError

    @cached_property
    def slopes(self) -> Any:
        """Of what learns: each term's sum over a batch, and the gradient of their weighted sum, compiled."""
        return jax.jit(partial(_slopes_of, self), static_argnames=("form",))


class Learner:
    """What learns, with AdamW (Loshchilov and Hutter 2019); the manifest's roles say what decays.

    Args:
        objective: whose model learns; with a recipe's ``dropout`` it has that rate from now on.
        recipe: of the run.
        course: says how many steps were taken.
        new_weights: keys that learn faster.

    Raises:
        ConfigError: no term of the loss has a weight, attention that cannot drop is to, or what is asked for
            is done in PyTorch alone.
    """

    share = slice(0, None, 1)

    def __init__(
        self, objective: Objective, recipe: Training, course: Course, new_weights: Collection[str] = ()
    ) -> None:
        refuse_compiling(recipe, wing="JAX")
        model = objective.model
        if recipe.dropout is not None:
            set_dropout(model, recipe.dropout)
        self._objective, self._recipe, self._course = objective, recipe, course
        self._weights, self._drops = terms_of(objective), drops(model)
        if self._drops:
            model.encoder._attentions[0].refuse_dropout()
        self._key = jax.random.key(recipe.seed)
        self._form = nnx.split(model)[0]
        self._take()
        decays = {parameter.key: parameter.role.decays for parameter in model.manifest}
        decay = getattr(recipe, "layer_rate_decay", 1.0)
        faster = dict.fromkeys(new_weights, recipe.new_weights_rate)
        #: Of each array that learns, what the run's rate is multiplied with.
        self.rates = {
            name: rate_factor(name, model.config, decay=decay) * faster.get(name, 1.0)
            for name in self.learning
        }
        self._adam = optax.chain(
            optax.scale_by_adam(*recipe.adam_betas, eps=recipe.adam_eps),
            optax.add_decayed_weights(
                recipe.weight_decay, mask={name: decays.get(name, False) for name in self.learning}
            ),
        )
        self.memory: Any = jax.jit(self._adam.init)(self.learning)
        self._slopes: dict[str, Array] = {}

    def _take(self) -> None:
        """Begin from the model's numbers, and from those beside it."""
        leaves = self._objective.model._leaves()
        extra = {_EXTRA + name: array for name, array in self._objective.extra.items()}
        self.resting = {key: leaf for key, leaf in leaves.items() if key in self._objective.frozen}
        self.learning = {
            **{key: leaf for key, leaf in leaves.items() if key not in self.resting},
            **extra,
        }

    def arrays(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """All that the next step starts from, but the model's own numbers."""
        extra = {name: array for name, array in self.learning.items() if name.startswith(_EXTRA)}
        memory = {f"memory.{i:05d}": leaf for i, leaf in enumerate(jax.tree.leaves(self.memory))}
        return {name: np.asarray(array) for name, array in {**extra, **memory}.items()}

    def restore(self, arrays: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
        """Go on from these, and from the model's own numbers."""
        for name in self._objective.extra:
            self._objective.extra[name] = jnp.asarray(arrays[_EXTRA + name])
        self._take()
        leaves, form = jax.tree.flatten(self.memory)
        held = [arrays[f"memory.{i:05d}"].reshape(leaf.shape) for i, leaf in enumerate(leaves)]
        device = self._objective.model.device
        self.memory = jax.device_put(jax.tree.unflatten(form, held), device)

    def randomness(self) -> None:
        return None

    def accumulate(self, batches: list[MicroBatch]) -> tuple[dict[str, float], dict[str, float]]:
        return self._accumulate(batches, self._drops)

    def _accumulate(
        self, batches: list[MicroBatch], drops: bool
    ) -> tuple[dict[str, float], dict[str, float]]:
        counts = {name: max(1.0, sum(batch.counts[name] for batch in batches)) for name in self._weights}
        scales = {name: np.float32(weight / counts[name]) for name, weight in self._weights.items()}
        sums: dict[str, float] = defaultdict(float)
        self._slopes = {}
        of_step = jax.random.fold_in(self._key, self._course.done) if drops else None
        for i, batch in enumerate(batches):
            found, slopes = self._objective.slopes(
                self.learning,
                self.resting,
                self._objective.still,
                batch.given,
                scales,
                None if of_step is None else jax.random.fold_in(of_step, i),
                form=self._form,
            )
            self._slopes = _added(self._slopes, slopes) if self._slopes else slopes
            for name, value in jax.device_get(found).items():
                sums[name] += float(value)
        work = {name: sum(getattr(batch, name) for batch in batches) for name in WORK}
        return {name: sums[name] / counts[name] for name in self._weights}, work

    def clip(self) -> float:
        self._norm = _norm(self._slopes)
        return float(self._norm)

    def update(self, factor: float) -> None:
        self.learning, self.memory = _updated(
            self.learning,
            self._slopes,
            self.memory,
            self._norm,
            self._recipe.max_grad_norm,
            self._recipe.learning_rate * factor,
            self.rates,
            adam=self._adam,
        )
        self._slopes = {}

    def refresh(self) -> None:
        self._objective.model._assign(
            {name: leaf for name, leaf in self.learning.items() if not name.startswith(_EXTRA)}
        )
        for name in self._objective.extra:
            self._objective.extra[name] = self.learning[_EXTRA + name]

    def judge(self, course: Course) -> None:
        judge(self._objective, course.log, course.done)

    def look(self, course: Course, total_steps: int) -> bool:
        return course.selection.look(course.log, course.done, total_steps)

    def finish(self) -> None:
        self._objective.model.eval()

    def check(self, batches: list[MicroBatch]) -> Mapping[str, float]:
        return self._accumulate(batches, drops=False)[0]


def drops(model: PreTrainedModel) -> bool:
    """Whether anything of a model has a rate of dropout."""
    return any(rate for _, _, rate in _rates(model))


def set_dropout(model: PreTrainedModel, rate: float) -> None:
    """Give every dropout of a model this rate; its configuration, which is saved, stays as it is."""
    for module, name, _ in _rates(model):
        setattr(module, name, rate)


def _rates(model: PreTrainedModel) -> list[tuple[Any, str, float]]:
    return [
        (module, name, getattr(module, name))
        for _, module in nnx.iter_modules(model)
        for name in ("dropout", "attended_dropout")
        if isinstance(getattr(module, name, None), float | int)
    ]


def _slopes_of(
    objective: Objective,
    learning: Mapping[str, Array],
    resting: Mapping[str, Array],
    still: Any,
    given: Mapping[str, Array],
    scales: Mapping[str, Array],
    key: Array | None,
    *,
    form: Any,
) -> tuple[Sums, dict[str, Array]]:
    """Each term's sum over a batch, and the gradient of their weighted sum by all that learns.

    ``form`` is the model's: by it this is compiled anew where an attention or a rate has changed.
    """

    def cost(learning: Mapping[str, Array]) -> tuple[Array, Sums]:
        extra = {n.removeprefix(_EXTRA): x for n, x in learning.items() if n.startswith(_EXTRA)}
        model = objective.model.with_leaves({**learning, **resting})
        return objective.losses(model, extra, still, given, scales, key)

    (_, sums), slopes = jax.value_and_grad(cost, has_aux=True)(learning)
    return sums, slopes


@jax.jit
def _added(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    return {name: slope + other[name] for name, slope in one.items()}


@jax.jit
def _norm(slopes: Mapping[str, Array]) -> Array:
    return jnp.sqrt(sum(jnp.square(slope.astype(jnp.float32)).sum() for slope in slopes.values()))


@partial(jax.jit, static_argnames=("adam",))
def _updated(
    learning: Mapping[str, Array],
    slopes: Mapping[str, Array],
    memory: Any,
    norm: Array,
    greatest: Array,
    rate: Array,
    rates: Mapping[str, Array],
    *,
    adam: Any,
) -> tuple[dict[str, Array], Any]:
    """One step: the gradient scaled down to the greatest norm, AdamW's direction, and its length."""
    # As PyTorch scales: the norm never divides by nothing.
    share = jnp.minimum(1.0, greatest / (norm + 1e-6))
    ways, memory = adam.update({name: slope * share for name, slope in slopes.items()}, memory, learning)
    return {name: leaf - rate * rates[name] * ways[name] for name, leaf in learning.items()}, memory
