"""Keras' own layers, made hollow: zeros stand in them until their numbers are set, once, afterwards.

A model's initial weights are drawn by the roles that the manifest gives them (``pretrained.py``), and a
folder's are read; drawing others first would be time for nothing.
"""

from typing import Any

import keras
import numpy as np

Tensor = Any

#: What says in which types a layer computes and keeps its parameters: a policy of Keras', its name, or None
#: for the one that is set for all.
Policy = Any

#: The step from one key to the next that is made of it: odd, and far from any small number.
_STEP = 2654435769


class Composed:
    """A layer made of others, which bear the names of its attributes and are built with it. Abstract."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, keras.layers.Layer) and not value.built:
            value.name = name
        super().__setattr__(name, value)

    def build(self, input_shape: Any = None) -> None:
        """Make the parameters of its parts; their shapes are known from the start."""
        for part in self._flatten_layers(include_self=False, recursive=False):  # type: ignore[attr-defined]  # the layer's that it is joined to
            part.build(getattr(part, "reads", None))


def linear(inputs: int, outputs: int, policy: Policy) -> Any:
    """A kernel [in, out] and a bias."""
    layer = keras.layers.Dense(outputs, kernel_initializer="zeros", dtype=policy)
    layer.reads = (None, inputs)
    return layer


def table(rows: int, width: int, policy: Policy) -> Any:
    """A row for each number."""
    return keras.layers.Embedding(rows, width, embeddings_initializer="zeros", dtype=policy)


def norm(width: int, eps: float, policy: Policy) -> Any:
    """Over the last axis, its statistics in fp32 at least."""
    layer = keras.layers.LayerNormalization(epsilon=eps, dtype=policy)
    layer.reads = (None, width)
    return layer


def reshaped(layer: Any, **arrays: "np.ndarray[Any, Any]") -> None:
    """Give a linear map other numbers, ``kernel`` or ``bias``, of another number of inputs or outputs.

    Keras has no way to do so once a layer is built; where its own layers do, as for adapters, it is this one.
    """
    for name, array in arrays.items():
        held = "_kernel" if name == "kernel" else name
        old = getattr(layer, held)
        layer._untrack_variable(old)
        layer._tracker.unlock()
        new = layer.add_weight(shape=array.shape, initializer="zeros", name=name)
        new._path = old.path
        new.assign(array)
        setattr(layer, held, new)
        layer._tracker.lock()
    inputs, layer.units = layer.kernel.shape
    layer.reads, layer.input_spec = (None, inputs), keras.InputSpec(min_ndim=2, axes={-1: inputs})


class _Drawn(keras.random.SeedGenerator):
    """A seed that was drawn already, in the place of what draws one.

    What is computed again in backward must be dropped as it was before; a generator would have moved on.
    """

    _initial_seed = 0  # Keras asks whether there is one

    def __init__(self, key: Tensor) -> None:
        self.key = key

    def next(self, ordered: bool = True) -> Tensor:
        """The seed."""
        return self.key


def dropped(x: Tensor, rate: float, key: Tensor | None) -> Tensor:
    """Some of the numbers taken out and the others made larger; all of them stay where there is no key."""
    return x if key is None or not rate else keras.random.dropout(x, rate, seed=_Drawn(key))


def keys(key: Tensor | None, count: int) -> list[Tensor | None]:
    """So many keys out of one; none out of none."""
    if key is None:
        return [None] * count
    kind = keras.backend.standardize_dtype(key.dtype)
    steps = [(i + 1) * _STEP % 2**31 for i in range(count)]
    return [key + keras.ops.convert_to_tensor([step, 0], dtype=kind) for step in steps]
