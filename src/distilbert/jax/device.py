"""Where a model runs and in which precision it multiplies."""

from typing import Any

import jax
import jax.numpy as jnp

from distilbert.errors import ConfigError

#: PyTorch's names for what JAX calls otherwise.
_NAMES = {"cuda": "gpu"}


def pick_device(name: str = "auto") -> Any:
    """The device of this name: a platform of JAX's; "auto" is the one that JAX takes.

    Raises:
        ConfigError: no such device on this machine.
    """
    try:
        return jax.devices(None if name == "auto" else _NAMES.get(name, name))[0]
    except RuntimeError as error:
        raise ConfigError(
            "The device must be one of this machine: cpu, gpu or tpu.",
            received=f"{name} ({str(error).splitlines()[0]:.200})",
            remedy="Choose --device cpu, or auto.",
        ) from None


def has_bf16(device: Any) -> bool:
    """Whether the hardware multiplies bfloat16 numbers fast; that of processors XLA does not tell."""
    if device.platform == "gpu":
        return float(getattr(device, "compute_capability", None) or 0) >= 8
    return device.platform == "tpu"


def computes_in_bf16(device: Any, precision: str) -> bool:
    """Whether a recipe's ``precision`` comes to bfloat16 on a device."""
    return precision == "bf16" or (precision == "auto" and has_bf16(device))


def dtype_of(device: Any, precision: str) -> Any:
    """The type in which a model computes at a recipe's ``precision``."""
    return jnp.bfloat16 if computes_in_bf16(device, precision) else jnp.float32
