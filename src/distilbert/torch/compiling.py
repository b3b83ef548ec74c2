"""Feed-forwards that are compiled while a model trains.

Texts lie end to end in training, so that each step has other lengths, and attention is a kernel or a loop
over these: a graph of a whole model would be another one at nearly every step. A feed-forward sees the number
of tokens alone, which a graph can leave open. It is two thirds of a block's arithmetic, and has the widest
arrays, over which a compiler makes one pass instead of several.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from distilbert.errors import ConfigError
from distilbert.torch.encoder import FeedForward


@contextmanager
def compiled(learner: nn.Module, device: torch.device, *, wanted: bool) -> Iterator[None]:
    """While this lasts, the learner's feed-forwards run compiled, where that is wanted.

    Raises:
        ConfigError: on a processor without a C++ compiler, or on a device that nothing is compiled for.
    """
    if not wanted:
        yield
        return
    _require_compiler(device)
    chosen = [module for module in learner.modules() if isinstance(module, FeedForward)]
    for module in chosen:
        module.compile(dynamic=True)
    try:
        yield
    finally:
        for module in chosen:
            module._compiled_call_impl = None


def _require_compiler(device: torch.device) -> None:
    if device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise ConfigError(
            "Compiling for a processor needs a C++ compiler.",
            received="no g++, and no other in CXX",
            remedy="Install one, or leave out --compile (compile=True).",
        )
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(
            "A model is compiled for cpu and cuda.",
            received=device.type,
            remedy="Leave out --compile (compile=True).",
        )
