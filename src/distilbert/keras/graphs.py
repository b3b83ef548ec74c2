"""Functions as graphs of TensorFlow's, each of them for rows of any number and length."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distilbert.keras.device import device_of, on
from distilbert.keras.modules import Tensor
from distilbert.keras.pretrained import PreTrainedModel
from distilbert.keras.tensors import tf

#: Arrays by name.
Given = Mapping[str, Any]


class Graphs:
    """A function of arrays by name, as graphs.

    A graph holds what its model was while it was made, so that there is another one for each attention, type
    and rate of dropout that the model has had.

    Args:
        function: takes mappings of tensors by name.
        model: that it computes with, on whose device it is.
    """

    def __init__(self, function: Callable[..., Any], model: PreTrainedModel) -> None:
        self._function, self._model = function, model
        self._made: dict[Any, Any] = {}

    def __call__(self, *given: Given) -> Any:
        """What the function gives."""
        arrays = [{name: np.asarray(x) for name, x in one.items()} for one in given]
        kinds = tuple(tuple((name, x.ndim, x.dtype.str) for name, x in one.items()) for one in arrays)
        kind = (kinds, form_of(self._model))
        with on(device_of(self._model)):
            if kind not in self._made:
                specs = [
                    {n: tf.TensorSpec([None] * x.ndim, x.dtype) for n, x in one.items()} for one in arrays
                ]
                self._made[kind] = tf.function(self._function, input_signature=specs)
            return self._made[kind](*[{n: tf.constant(x) for n, x in one.items()} for one in arrays])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._made)


def form_of(model: PreTrainedModel) -> tuple[Any, ...]:
    """What of a model a graph of it holds for good, beside its shape."""
    return (model.compute_dtype, *[(type(layer).__name__, name, rate) for layer, name, rate in rates(model)])


def rates(model: PreTrainedModel) -> list[tuple[Any, str, float]]:
    """Every rate of dropout: of which layer, under which name, and how much."""
    return [
        (layer, name, getattr(layer, name))
        for layer in model._flatten_layers(include_self=True, recursive=True)
        for name in ("dropout", "attended_dropout")
        if isinstance(getattr(layer, name, None), float | int)
    ]


def key_of(*numbers: int) -> Tensor:
    """What is dropped by, of these numbers alone."""
    return np.random.SeedSequence(numbers).generate_state(2).astype(np.int64)
