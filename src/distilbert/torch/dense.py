"""What stands on pooled vectors, so that it learns: ``core/pooling.py``'s dense layers and normalising."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distilbert.core.pooling import Dense, Normalize
from distilbert.core.sentence_folders import SentenceModules
from distilbert.torch.tensors import as_array, as_tensor

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Identity": lambda x: x,
    "Tanh": torch.tanh,
    "ReLU": F.relu,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "Sigmoid": torch.sigmoid,
}


class DenseLayers(nn.Module):
    """A folder's modules after the pooling.

    Args:
        modules: as they are read.
        width: of the pooled vectors.
        wanted: of the vectors that are to come out; where it is another, a layer is added that has it.
    """

    def __init__(self, modules: SentenceModules, *, width: int, wanted: int | None = None) -> None:
        super().__init__()
        layers = [module for module in modules.after if isinstance(module, Dense)]
        self.width = len(layers[-1].weight) if layers else width
        after = list(modules.after)
        is_new = wanted is not None and wanted != (modules.kept_width or self.width)
        if wanted is not None and is_new:
            # Normalising stays what comes last.
            last = len(after) - bool(after and isinstance(after[-1], Normalize))
            new = nn.Linear(self.width, wanted, bias=False)
            nn.init.orthogonal_(new.weight)
            after.insert(last, Dense(as_array(new.weight.detach()), None, "Identity"))
            more = {name: value for name, value in modules.more.items() if name != "truncate_dim"}
            modules = replace(modules, more=more)
        self._modules_read = replace(modules, after=tuple(after))
        #: The name of the new layer's weight, or none.
        self.newest = f"linear.{len(layers)}.weight" if is_new else ""
        self.linear = nn.ModuleList(map(_linear, (m for m in after if isinstance(m, Dense))))

    def forward(self, x_BD: Tensor) -> Tensor:
        """Pooled vectors to those that the folder gives."""
        layers: Iterator[Any] = iter(self.linear)
        for module in self._modules_read.after:
            if isinstance(module, Dense):
                x_BD = _ACTIVATIONS[module.activation](next(layers)(x_BD))
            else:
                x_BD = F.normalize(x_BD.float(), dim=-1, eps=1e-12)
        return x_BD[:, : self._modules_read.kept_width]

    def learning(self) -> SentenceModules:
        """The folder's modules, whose dense layers always have the weights of the moment."""
        return _Learning(**vars(self.learnt()), layers=self)

    def learnt(self) -> SentenceModules:
        """The folder's modules with the weights as they are now."""
        layers: Iterator[Any] = iter(self.linear)
        after = []
        for module in self._modules_read.after:
            if isinstance(module, Dense):
                linear = next(layers)
                bias = None if linear.bias is None else as_array(linear.bias.detach())
                module = replace(module, weight=as_array(linear.weight.detach()), bias=bias)
            after.append(module)
        return replace(self._modules_read, after=tuple(after))


@dataclass(frozen=True)
class _Learning(SentenceModules):
    layers: DenseLayers | None = None

    def finish(self, x_BD: Any) -> Any:
        assert self.layers is not None
        return self.layers.learnt().finish(x_BD)


def _linear(module: Dense) -> nn.Linear:
    out, width = module.weight.shape
    linear = nn.Linear(width, out, bias=module.bias is not None)
    with torch.no_grad():
        linear.weight.copy_(as_tensor(module.weight))
        if module.bias is not None:
            linear.bias.copy_(as_tensor(module.bias))
    return linear
