"""Where a model runs and in which precision it multiplies."""

from contextlib import AbstractContextManager

import torch

from distilbert.core.flops import peak
from distilbert.core.machine import cpu_vendor, multiplies_bf16_fast
from distilbert.errors import ConfigError


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name; "auto" is a CUDA GPU where there is one and the CPU elsewhere.

    Raises:
        ConfigError: no such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(f"{device.type} computes nothing here")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "The device must be one of this machine: cpu, or a GPU as cuda or mps.",
            received=f"{name} ({str(error).splitlines()[0]})",
            remedy="Choose --device cpu, or auto.",
        ) from None
    return device


def is_fast_in_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 numbers faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return multiplies_bf16_fast(torch.cpu.get_capabilities(), vendor=cpu_vendor())
    return False


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The context in which a model computes at a recipe's ``precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16(device, precision))


def peak_flops(device: torch.device, precision: str) -> float | None:
    """FLOP/s of a device at its peak; None where that is not known, or another precision is computed in."""
    if device.type != "cuda" or not computes_in_bf16(device, precision):
        return None
    return peak(torch.cuda.get_device_name(device))


def computes_in_bf16(device: torch.device, precision: str) -> bool:
    """Whether a recipe's ``precision`` comes to bfloat16 on a device."""
    return precision == "bf16" or (precision == "auto" and is_fast_in_bf16(device))
