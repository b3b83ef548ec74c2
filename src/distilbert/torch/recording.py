"""Whether a graph is being made of a call."""

import torch


def is_recording() -> bool:
    """Whether a call is compiled, exported or traced: then no value may decide anything."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
