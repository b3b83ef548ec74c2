"""Where a model runs and in which precision it multiplies."""

from contextlib import AbstractContextManager
from typing import Any

import keras

from distilbert.errors import ConfigError
from distilbert.keras.tensors import tf

#: PyTorch's names for what TensorFlow calls otherwise.
_NAMES = {"cuda": "GPU"}


def pick_device(name: str = "auto") -> str:
    """The name in TensorFlow of a device: "auto" is a GPU where there is one.

    Raises:
        ConfigError: no such device on this machine, or Keras computes with something else.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            "Of Keras' backends, the one that runs are computed with is TensorFlow.",
            received=f"KERAS_BACKEND={keras.backend.backend()}",
            remedy="Leave KERAS_BACKEND out, or choose --backend torch or jax.",
        )
    found = {device.device_type for device in tf.config.list_logical_devices()}
    kind = _NAMES.get(name, name.upper())
    if name == "auto":
        kind = "GPU" if "GPU" in found else "CPU"
    if kind not in found:
        raise ConfigError(
            "The device must be one of this machine: cpu or gpu.",
            received=f"{name:.80}, and TensorFlow sees {', '.join(sorted(found))}",
            remedy="Choose --device cpu, or auto.",
        )
    return f"/device:{kind}:0"


def on(device: str) -> AbstractContextManager[Any]:
    """What is made and computed inside is on the device."""
    return tf.device(device)


def device_of(model: Any) -> str:
    """That a model's parameters lie on."""
    return str(model.variables[0].value.device)


def has_bf16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16 numbers fast; that of processors TensorFlow does not tell."""
    if "GPU" not in device:
        return False
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return tuple(details.get("compute_capability", (0, 0))) >= (8, 0)


def computes_in_bf16(device: str, precision: str) -> bool:
    """Whether a recipe's ``precision`` comes to bfloat16 on a device."""
    return precision == "bf16" or (precision == "auto" and has_bf16(device))


def policy_of(device: str, precision: str) -> str:
    """The policy by which a model computes at a recipe's ``precision``; parameters are in fp32."""
    return "mixed_bfloat16" if computes_in_bf16(device, precision) else "float32"
