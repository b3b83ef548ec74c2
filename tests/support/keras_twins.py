"""A model of the Keras wing with the weights of one of PyTorch's, and the other way round."""

import os
from typing import Any

import numpy as np
from jax_twins import ATOL, difference, numbers

__all__ = ["ATOL", "difference", "gradients", "numbers", "twin_of"]

# Read when TensorFlow is loaded: it would speak of its own plans.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def twin_of(model: Any, **settings: Any) -> Any:
    """The class of the same name in the Keras wing, with the same weights."""
    import distilbert.keras as wing

    twin = getattr(wing, type(model).__name__)(model.config, _do_init=False, **settings)
    twin.assign(model.arrays())
    return twin


def gradients(model: Any, slopes: list[Any]) -> dict[str, np.ndarray]:
    """The gradients of a twin's trainable variables, by key, as files hold parameters."""
    import tensorflow as tf

    from distilbert.keras.loading import places, variable

    learnt = zip(model.trainable_variables, slopes, strict=True)
    by_path = {variable.path: tf.convert_to_tensor(slope) for variable, slope in learnt}
    found = {}
    for key, place in places(model.manifest).items():
        slope = by_path.get(variable(model, place).path)
        if slope is not None:
            found[key] = slope.numpy().T if place.turned else slope.numpy()
    return found
