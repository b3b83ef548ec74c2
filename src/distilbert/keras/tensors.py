"""Between numpy arrays and TensorFlow's tensors."""

from typing import Any

import numpy as np
import tensorflow as tf


def as_tensor(array: "np.ndarray[Any, Any]") -> Any:
    """A numpy array as a tensor: integers of 32 bits, as the published models take them."""
    return tf.constant(array, dtype=tf.int32 if array.dtype == np.int64 else None)
