"""Several processes, each with a part of the gradients and of what AdamW remembers (FSDP).

Of the 16 bytes that a weight takes in training, 12 are spread over the processes (as in ZeRO's second stage,
Rajbhandari et al. 2020), block by block. The weights themselves stand whole in each: encoders are small, and
what is held out is judged, and copies are written, from weights as they are everywhere else.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from distilbert.torch.encoder import Block
from distilbert.torch.processes import Together


class Sharded(Together):
    """Several processes, by PyTorch's ``fully_shard``; accelerate has told that they are to be such."""

    in_step = True

    def prepare(self, learner: Any, optimiser: Any) -> tuple[nn.Module, Any]:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor import DTensor, distribute_tensor

        replica: nn.Module = learner.replica()
        mesh = init_device_mesh(self.device.type, (self.count,))
        # Between forward and backward the weights stay whole: that a part of a block is asked outside of it,
        # as a loss of its relations does, then finds them so.
        for module in replica.modules():
            if isinstance(module, Block):
                fully_shard(module, mesh=mesh, reshard_after_forward=False)
        fully_shard(replica, mesh=mesh, reshard_after_forward=False)
        parts = dict(replica.named_parameters())
        self._pairs = [(whole, parts[name]) for name, whole in learner.named_parameters()]
        part_of = {id(whole): part for whole, part in self._pairs}
        groups = [
            {**group, "params": [part_of[id(whole)] for whole in group["params"]]}
            for group in optimiser.param_groups
        ]
        self._optimiser = torch.optim.AdamW(groups)
        for whole, memory in optimiser.state.items():
            part = part_of[id(whole)]
            assert isinstance(part, DTensor)
            self._optimiser.state[part] = {
                what: distribute_tensor(x, part.device_mesh, part.placements) if x.dim() else x
                for what, x in memory.items()
            }
        return replica, self._optimiser

    def unsynchronised(self, learner: Any) -> AbstractContextManager[Any]:
        return _accumulating(learner)

    def backward(self, loss: Tensor) -> None:
        # The gradients of processes are averaged.
        (loss * self.count).backward()

    def clip(self, learner: nn.Module, norm: float) -> float:
        return float(_whole(nn.utils.clip_grad_norm_(learner.parameters(), norm)))

    def refresh(self) -> None:
        with torch.no_grad():
            for whole, part in self._pairs:
                whole.copy_(_whole(part))

    def memory(self, optimiser: Any) -> Mapping[Tensor, Mapping[str, Tensor]]:
        found = {}
        for whole, part in self._pairs:
            memory = {what: _whole(x) for what, x in self._optimiser.state.get(part, {}).items()}
            if self.is_first:
                found[whole] = {what: x.cpu() for what, x in memory.items()}
        return found


@contextmanager
def _accumulating(learner: Any) -> Iterator[None]:
    learner.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        learner.set_requires_gradient_sync(True)


def _whole(x: Tensor) -> Tensor:
    """All processes' parts of a tensor, put together."""
    from torch.distributed.tensor import DTensor

    return x.full_tensor() if isinstance(x, DTensor) else x
