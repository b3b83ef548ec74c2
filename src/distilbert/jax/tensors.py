"""Between numpy arrays and JAX's."""

from typing import Any

import jax.numpy as jnp
import numpy as np


def as_tensor(array: "np.ndarray[Any, Any]") -> Any:
    """A numpy array as one of JAX's: integers of 32 bits, as JAX has them unless it is told otherwise."""
    return jnp.asarray(array, dtype=jnp.int32 if array.dtype == np.int64 else None)
