"""Whether a graph is being made of a call, and what such a call may still ask."""

from typing import Any

import jax
import numpy as np

#: What a call may hold: arrays of JAX's, traced ones included, and of numpy's.
ARRAYS = (jax.Array, np.ndarray)


def is_recording(*trees: Any) -> bool:
    """Whether any of these is traced: then no value may decide anything."""
    return any(isinstance(leaf, jax.core.Tracer) for tree in trees for leaf in jax.tree.leaves(tree))


def has_values(x: Any) -> bool:
    """Whether looking at an array's numbers costs nothing: it is in the memory of the host."""
    if isinstance(x, np.ndarray):
        return True
    return not is_recording(x) and all(device.platform == "cpu" for device in x.devices())


def is_at_hand(x: Any) -> bool:
    """Whether an array is a whole one somewhere: not traced, and not in parts on several devices."""
    return isinstance(x, np.ndarray) or (not is_recording(x) and len(x.devices()) == 1)


def is_whole(x: Any) -> bool:
    """Whether an array holds whole numbers."""
    return np.issubdtype(x.dtype, np.integer)


def is_floating(x: Any) -> bool:
    """Whether an array holds real numbers with a fraction, bfloat16 among them."""
    return bool(jax.numpy.issubdtype(x.dtype, jax.numpy.floating))
