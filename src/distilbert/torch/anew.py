"""Values that are computed again for the gradient, in the place of being kept until then."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

Function = Callable[[Tensor], Tensor]


class _Anew:
    """Stands where autograd would keep an array."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


def applied_anew(first: Function, then: Function, x: Tensor) -> Tensor:
    """``then(first(x))``, of which autograd keeps no ``first(x)``: it is computed again out of ``x``.

    For a function of each number alone, whose gradient keeps its input anyhow. The widest states of a
    feed-forward network are then held once and not twice, for the price of one more activation; gradients
    are the same to the bit.
    """
    between = first(x)
    place, size = between.data_ptr(), between.numel()

    def keep(kept: Tensor) -> Any:
        # As it is, or as rows of the same numbers.
        return _Anew(kept.shape) if kept.data_ptr() == place and kept.numel() == size else kept

    def give(kept: Any) -> Tensor:
        return first(x).view(kept.shape) if isinstance(kept, _Anew) else kept

    with saved_tensors_hooks(keep, give):
        return then(between)
