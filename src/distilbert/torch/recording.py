"""Whether a graph is being made of a call, and what such a call may still ask."""

import warnings

import torch
from torch import Tensor


def is_recording() -> bool:
    """Whether a call is compiled, exported or traced: then no value may decide anything."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]


def may_differentiate() -> bool:
    """Whether gradients may be asked of a call; a trace is compared with one that records none."""
    return torch.is_grad_enabled() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]


def sizes(x: Tensor) -> tuple[int, ...]:
    """A tensor's shape, to be compared with another.

    A trace is of one shape, so comparing it decides nothing; but its numbers are tensors there, and PyTorch
    warns of each that is looked at.
    """
    if not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return tuple(x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        return tuple(int(size) for size in x.shape)
