"""Model outputs as trees, for what maps over their tensors: export, compilation, data parallelism."""

from typing import Any

import torch
from torch.utils import _pytree

from distilbert.core.outputs import ModelOutput


def _register(kind: type[ModelOutput]) -> None:
    def flatten(output: ModelOutput) -> tuple[list[Any], list[str]]:
        return list(output.values()), list(output.keys())

    def flatten_with_keys(output: ModelOutput) -> tuple[list[Any], list[str]]:
        return [(_pytree.MappingKey(name), value) for name, value in output.items()], list(output.keys())

    def unflatten(values: Any, names: Any) -> ModelOutput:
        return kind(**dict(zip(names, values, strict=True)))

    # torch.jit.trace would take a class of its outputs for one to compile.
    torch.jit.unused(kind)
    _pytree.register_pytree_node(
        kind,
        flatten,
        unflatten,
        serialized_type_name=f"{kind.__module__}.{kind.__name__}",
        flatten_with_keys_fn=flatten_with_keys,
    )


for _kind in ModelOutput.__subclasses__():
    _register(_kind)
