"""What dropout draws from, noted and put back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """What dropout will draw from next."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Have dropout draw what it would have drawn then."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everything drawn inside comes from the seed; the caller's generator is afterwards as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
