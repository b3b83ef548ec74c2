"""How steps are taken here: the gradient of an objective's losses, AdamW; ``core/training`` has the loop.

Two functions are graphs of TensorFlow's: the gradient of a batch's losses, and what AdamW makes of a step's.
What is drawn comes from the recipe's seed, the step and the part of it alone, so that a run that goes on
draws what it would have drawn.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from distilbert.core.layer_rates import rate_factor
from distilbert.core.recipe import Training
from distilbert.core.training.course import (
    WORK,
    Course,
    MicroBatch,
    terms_of,
)
from distilbert.core.training.lone import judge, refuse_compiling
from distilbert.keras.device import device_of, on
from distilbert.keras.graphs import Graphs, key_of, rates
from distilbert.keras.loading import places, variable
from distilbert.keras.modules import Tensor
from distilbert.keras.pretrained import PreTrainedModel
from distilbert.keras.tensors import tf

#: By term of the loss, or by what is judged: a sum over rows.
Sums = dict[str, Tensor]

#: What stands before the names of arrays that learn beside the model.
_EXTRA = "extra."


class Objective:
    """What is to be learnt, and what it costs. Abstract.

    Attributes:
        model: who learns it.
        extra: variables that learn with it and are not kept, when the run is done; by name.
        weights: of each loss term; a term of weight 0 is left out and costs nothing.
        frozen: keys of parameters that do not learn.
    """

    model: Any
    extra: dict[str, Any]
    weights: Mapping[str, float]
    frozen: Collection[str]

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        """Without end, after the first ``done``: of each step one process's share, in micro-batches."""
        raise NotImplementedError

    def losses(
        self, given: Mapping[str, Tensor], scales: Mapping[str, Tensor], key: Tensor | None
    ) -> tuple[Tensor, Sums]:
        """The sum of the terms that have a scale, each times it; and each term's own sum over its rows.

        A graph is made of it, with what the objective holds besides, which may not change.
        """
        raise NotImplementedError

    def judged(self, share: slice) -> Iterable[tuple[Sums, Mapping[str, int]]]:
        """Of what is not learnt from: sums of what it shows, and what divides them."""
        raise NotImplementedError

    @cached_property
    def learning(self) -> dict[str, Any]:
        """The variables that learn, by key, those beside the model among them."""
        own = {key: variable(self.model, place) for key, place in places(self.model.manifest).items()}
        learning = {key: held for key, held in own.items() if held.trainable and key not in self.frozen}
        return {
            **{key: held.value for key, held in learning.items()},
            **{_EXTRA + name: held for name, held in self.extra.items()},
        }

    @cached_property
    def slopes(self) -> Graphs:
        """Of what learns: each term's sum over a batch, and the gradient of their weighted sum."""
        return Graphs(partial(_slopes_of, self), self.model)


class Learner:
    """What learns, with AdamW (Loshchilov and Hutter 2019); the manifest's roles say what decays.

    Keras' own AdamW has one rate for all, and adds its epsilon elsewhere than PyTorch's, whose steps these
    are.

    Args:
        objective: whose model learns; with a recipe's ``dropout`` it has that rate from now on.
        recipe: of the run.
        course: says how many steps were taken.
        new_weights: keys that learn faster.

    Raises:
        ConfigError: no term of the loss has a weight, or what is asked for is done in PyTorch alone.
    """

    share = slice(0, None, 1)

    def __init__(
        self, objective: Objective, recipe: Training, course: Course, new_weights: Collection[str] = ()
    ) -> None:
        refuse_compiling(recipe, wing="Keras")
        model = objective.model
        if recipe.dropout is not None:
            set_dropout(model, recipe.dropout)
        self._objective, self._recipe, self._course = objective, recipe, course
        self._weights, self._drops = terms_of(objective), drops(model)
        if self._drops:
            model.encoder._attentions[0].refuse_dropout()
        self._device = device_of(model)
        self._decays = {parameter.key: parameter.role.decays for parameter in model.manifest}
        decay = getattr(recipe, "layer_rate_decay", 1.0)
        faster = dict.fromkeys(new_weights, recipe.new_weights_rate)
        #: Of each array that learns, what the run's rate is multiplied with.
        self.rates = {
            name: rate_factor(name, model.config, decay=decay) * faster.get(name, 1.0)
            for name in objective.learning
        }
        with on(self._device):
            #: Means of each gradient, and of its squares.
            self.memory = {
                f"{what}.{name}": tf.Variable(tf.zeros_like(held), trainable=False)
                for name, held in objective.learning.items()
                for what in ("mean", "square")
            }
        self._updated = tf.function(self._update)
        self._slopes: list[Tensor] = []

    def arrays(self) -> dict[str, "np.ndarray[Any, Any]"]:
        """All that the next step starts from, but the model's own numbers."""
        extra = {_EXTRA + name: held for name, held in self._objective.extra.items()}
        return {name: held.numpy() for name, held in {**extra, **self.memory}.items()}

    def restore(self, arrays: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
        """Go on from these, and from the model's own numbers."""
        for name, held in self._objective.extra.items():
            held.assign(arrays[_EXTRA + name])
        for name, held in self.memory.items():
            held.assign(arrays[name].reshape(held.shape))

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
        self._slopes = []
        for i, batch in enumerate(batches):
            drawn = {"key": key_of(self._recipe.seed, self._course.done, i)} if drops else {}
            found, slopes = self._objective.slopes(batch.given, scales, drawn)
            with on(self._device):
                self._slopes = [a + b for a, b in zip(self._slopes, slopes, strict=True)] if i else slopes
            for name, value in found.items():
                sums[name] += float(value)
        work = {name: sum(getattr(batch, name) for batch in batches) for name in WORK}
        return {name: sums[name] / counts[name] for name in self._weights}, work

    def clip(self) -> float:
        with on(self._device):
            self._norm = tf.linalg.global_norm(self._slopes)
        return float(self._norm)

    def update(self, factor: float) -> None:
        first, second = self._recipe.adam_betas
        step = self._course.done + 1
        numbers = (self._recipe.learning_rate * factor, 1 - first**step, (1 - second**step) ** 0.5)
        with on(self._device):
            self._updated(self._slopes, self._norm, *(tf.constant(x, tf.float32) for x in numbers))
        self._slopes = []

    def _update(
        self, slopes: list[Tensor], norm: Tensor, rate: Tensor, of_mean: Tensor, of_root: Tensor
    ) -> None:
        """One step: the gradient scaled down to the greatest norm, AdamW's direction, and its length.

        ``of_mean`` and ``of_root`` say how much of what is remembered is there already.
        """
        recipe = self._recipe
        first, second = recipe.adam_betas
        # As PyTorch scales: the norm never divides by nothing.
        share = tf.minimum(1.0, recipe.max_grad_norm / (norm + 1e-6))
        for (name, held), slope in zip(self._objective.learning.items(), slopes, strict=True):
            slope, own = slope * share, rate * self.rates[name]
            mean, square = self.memory[f"mean.{name}"], self.memory[f"square.{name}"]
            mean.assign(first * mean + (1 - first) * slope)
            square.assign(second * square + (1 - second) * tf.square(slope))
            kept = 1 - own * recipe.weight_decay if self._decays.get(name, False) else 1.0
            way = mean / of_mean / (tf.sqrt(square) / of_root + recipe.adam_eps)
            held.assign(held * kept - own * way)

    def refresh(self) -> None:
        pass  # the model's own variables are what learns

    def judge(self, course: Course) -> None:
        judge(self._objective, course.log, course.done)

    def look(self, course: Course, total_steps: int) -> bool:
        return course.selection.look(course.log, course.done, total_steps)

    def finish(self) -> None:
        pass  # only what is given a key drops anything

    def check(self, batches: list[MicroBatch]) -> Mapping[str, float]:
        return self._accumulate(batches, drops=False)[0]


def drops(model: PreTrainedModel) -> bool:
    """Whether anything of a model has a rate of dropout."""
    return any(rate for _, _, rate in rates(model))


def set_dropout(model: PreTrainedModel, rate: float) -> None:
    """Give every dropout of a model this rate; its configuration, which is saved, stays as it is."""
    for layer, name, _ in rates(model):
        setattr(layer, name, rate)


def _slopes_of(
    objective: Objective,
    given: Mapping[str, Tensor],
    scales: Mapping[str, Tensor],
    drawn: Mapping[str, Tensor],
) -> tuple[Sums, list[Tensor]]:
    """Each term's sum over a batch, and the gradient of their weighted sum by all that learns."""
    learning = list(objective.learning.values())
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(learning)
        total, sums = objective.losses(given, scales, drawn.get("key"))
    slopes = tape.gradient(total, learning, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return sums, [tf.convert_to_tensor(slope) for slope in slopes]  # of a table, whole
