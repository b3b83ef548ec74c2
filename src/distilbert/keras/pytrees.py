"""Model outputs as trees, for what of Keras maps over their arrays: models made of models."""

from collections.abc import Iterable
from typing import Any

import keras
import optree

from distilbert.core.outputs import ModelOutput


def _register(kind: type[ModelOutput]) -> None:
    def flatten(output: Any) -> tuple[list[Any], tuple[str, ...]]:
        names = tuple(sorted(output))  # as Keras takes plain dictionaries apart, which ``call`` gives
        return [output[name] for name in names], names

    def unflatten(names: Any, values: Iterable[Any]) -> ModelOutput:
        return kind(zip(names, values, strict=True))

    optree.register_pytree_node(kind, flatten, unflatten, namespace="keras")
    if keras.backend.backend() == "jax":
        _register_with_jax(kind)


def _register_with_jax(kind: type[ModelOutput]) -> None:
    import jax

    def flatten(output: ModelOutput) -> tuple[tuple[Any, ...], tuple[str, ...]]:
        return tuple(output.values()), tuple(output)

    def unflatten(names: tuple[str, ...], values: Iterable[Any]) -> ModelOutput:
        output = kind()
        # As they come: a tree may hold anything in the place of arrays, None too.
        dict.update(output, zip(names, values, strict=True))
        return output

    if jax.tree_util.all_leaves([kind()]):  # the JAX wing may have done so
        jax.tree_util.register_pytree_node(kind, flatten, unflatten)


for _kind in ModelOutput.__subclasses__():
    _register(_kind)
