"""Whether a graph is being made of a call, and what such a call may still ask."""

from typing import Any

import keras
import numpy as np


def is_array(x: Any) -> bool:
    """Whether something is an array: numpy's, the backend's, or one that stands for an input of a model."""
    return isinstance(x, np.ndarray | keras.KerasTensor) or bool(keras.ops.is_tensor(x))


def is_recording(x: Any) -> bool:
    """Whether an array is traced: then no value may decide anything."""
    if isinstance(x, np.ndarray):
        return False
    if isinstance(x, keras.KerasTensor):
        return True
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.is_symbolic_tensor(x))
    if keras.backend.backend() == "jax":
        import jax

        return isinstance(x, jax.core.Tracer)
    import torch

    return torch.compiler.is_compiling() or x.device.type == "meta"


def has_values(x: Any) -> bool:
    """Whether looking at an array's numbers costs nothing: it is in the memory of the host."""
    if isinstance(x, np.ndarray):
        return True
    if is_recording(x):
        return False
    where = {str(device) for device in x.devices()} if hasattr(x, "devices") else {str(x.device)}
    return all("cpu" in place.lower() for place in where)


def numbers(x: Any) -> "np.ndarray[Any, Any]":
    """An array of the host, which has values, as numpy's."""
    return x if isinstance(x, np.ndarray) else keras.ops.convert_to_numpy(x)


def replicas() -> int:
    """How many models share a step, which Keras adds the gradients of: TensorFlow's strategies say."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def kind(x: Any) -> str:
    """The name of an array's type."""
    return str(x.dtype) if isinstance(x, np.ndarray) else keras.backend.standardize_dtype(x.dtype)


def shape_of(x: Any) -> tuple[Any, ...]:
    """Lengths of an array's axes, None where one is not known before it is computed."""
    return tuple(x.shape)


def is_whole(x: Any) -> bool:
    """Whether an array holds whole numbers."""
    return kind(x).startswith(("int", "uint"))


def is_floating(x: Any) -> bool:
    """Whether an array holds real numbers with a fraction, bfloat16 among them."""
    return kind(x).startswith(("float", "bfloat"))


def is_real(x: Any) -> bool:
    """Whether an array holds no complex numbers."""
    return not kind(x).startswith("complex")
