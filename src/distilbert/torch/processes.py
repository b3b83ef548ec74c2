"""One process, or several that learn together: what the training loop asks of either.

Several are started by ``torchrun`` or ``accelerate launch``. Each has the whole model (DDP), or a part of
its gradients and of what AdamW remembers (FSDP, ``sharded.py``).
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from distilbert.errors import MissingExtraError


class Alone:
    """This process, and no other.

    Attributes:
        device: that it computes on.
        count: how many processes there are.
        rank: its number among them; the first one, 0, is who writes and who is heard.
    """

    count = 1
    rank = 0
    #: Whether all of them must compute in every part of a step, those too that have nothing to do.
    in_step = False

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Of any rows, those that are its own."""
        return slice(self.rank, None, self.count)

    def prepare(self, learner: nn.Module, optimiser: Any) -> tuple[nn.Module, Any]:
        """Both, so that every backward adds up all processes' gradients."""
        return learner, optimiser

    def refresh(self) -> None:
        """Give the model that was prepared the weights that have been learnt since."""

    def memory(self, optimiser: Any) -> Mapping[Tensor, Mapping[str, Tensor]]:
        """What the optimiser, as it was before it was prepared, remembers of each of its parameters."""
        return optimiser.state

    def unsynchronised(self, learner: nn.Module) -> AbstractContextManager[Any]:
        """In which a backward adds to this process's gradient alone, to be added up by a later one."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of all processes' losses, summed."""
        loss.backward()

    def clip(self, learner: nn.Module, norm: float) -> float:
        """Scale the gradient down to a norm; the norm that it had."""
        return float(nn.utils.clip_grad_norm_(learner.parameters(), norm))

    def total(self, numbers: Tensor) -> Tensor:
        """The sum over all processes."""
        return numbers

    def everyones(self, names: Iterable[str]) -> list[str]:
        """The names that any of them has, in one order."""
        return sorted(set(names))

    def gathered(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each process's tensors, one below the other: [processes, ...]."""
        return {name: state[None] for name, state in states.items()}

    def agreed(self, number: int) -> int:
        """The first process's number, which is everyone's."""
        return int(added(self, {"number": number if self.is_first else 0}, ["number"])["number"])

    def wait(self) -> None:
        """Until all others are here."""


class Together(Alone):
    """Several processes, by accelerate.

    Raises:
        MissingExtraError: accelerate is not installed.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            from accelerate import Accelerator
            from accelerate.utils import DistributedDataParallelKwargs
        except ImportError:
            raise MissingExtraError.of(
                "train", wanted="Training in several processes", missing="accelerate"
            ) from None
        # A part of a batch in which nothing is scored leaves parameters without a gradient.
        ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Precision is the recipe's; the loop's own autocast sees to it.
        self._accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[ddp])
        super().__init__(self._accelerator.device)
        self.count, self.rank = self._accelerator.num_processes, self._accelerator.process_index

    def prepare(self, learner: nn.Module, optimiser: Any) -> tuple[nn.Module, Any]:
        return self._accelerator.prepare(learner, optimiser)

    def unsynchronised(self, learner: nn.Module) -> AbstractContextManager[Any]:
        return self._accelerator.no_sync(learner)

    def backward(self, loss: Tensor) -> None:
        # The gradients of processes are averaged.
        self._accelerator.backward(loss * self.count)

    def clip(self, learner: nn.Module, norm: float) -> float:
        return float(self._accelerator.clip_grad_norm_(learner.parameters(), norm))

    def total(self, numbers: Tensor) -> Tensor:
        return self._accelerator.reduce(numbers, "sum")

    def everyones(self, names: Iterable[str]) -> list[str]:
        from accelerate.utils import gather_object

        return sorted(set(gather_object(list(names))))

    def gathered(self, states: Mapping[str, Tensor]) -> dict[str, Tensor]:
        moved = {name: state.to(self.device)[None] for name, state in states.items()}
        return {name: self._accelerator.gather(state).cpu() for name, state in moved.items()}

    def wait(self) -> None:
        self._accelerator.wait_for_everyone()


def processes(device: torch.device) -> Alone:
    """Those that this process was started with."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Alone(device)
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1"):
        from distilbert.torch.sharded import Sharded

        return Sharded(device)
    return Together(device)


def of_everyone(rows: Tensor) -> Tensor:
    """The rows of all processes that learn together, those of the first one first, without a gradient.

    Each may have another number of them.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows.detach()
    count = torch.distributed.get_world_size()
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(count)]
    torch.distributed.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    most = max(map(int, sizes))
    whole = rows.new_zeros((most, *rows.shape[1:]))
    whole[: len(rows)] = rows.detach()
    found = [torch.empty_like(whole) for _ in range(count)]
    torch.distributed.all_gather(found, whole)
    return torch.cat([some[: int(size)] for some, size in zip(found, sizes, strict=True)])


def added(processes: Alone, sums: dict[str, Any], names: Iterable[str]) -> dict[str, float]:
    """Numbers by name, each summed over all processes; a name that a process lacks is 0 there."""
    names = list(names)
    numbers = [torch.as_tensor(sums.get(name, 0.0), dtype=torch.float64).cpu() for name in names]
    if not numbers:
        return {}
    # Not float64 on the device: some have none.
    totals = processes.total(torch.stack(numbers).to(processes.device, torch.float32))
    return dict(zip(names, totals.tolist(), strict=True))
