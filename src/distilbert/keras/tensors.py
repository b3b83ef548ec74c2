"""TensorFlow, and tensors of it: what runs are computed with, whatever Keras itself has."""

from typing import Any

import numpy as np

try:
    import tensorflow as tf  # Keras itself may compute with another
except ImportError:
    from distilbert.errors import MissingExtraError

    wanted = "What is computed with TensorFlow"
    raise MissingExtraError.of("keras", wanted=wanted, missing="tensorflow") from None


__all__ = ["as_tensor", "tf"]


def as_tensor(array: "np.ndarray[Any, Any]") -> Any:
    """A numpy array as a tensor: integers of 32 bits, as the published models take them."""
    return tf.constant(array, dtype=tf.int32 if array.dtype == np.int64 else None)
