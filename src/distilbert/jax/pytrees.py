"""Model outputs as trees, for what maps over their arrays: compilation, gradients, export."""

from typing import Any

import jax

from distilbert.core.outputs import ModelOutput


def _register(kind: type[ModelOutput]) -> None:
    def flatten(output: ModelOutput) -> tuple[tuple[Any, ...], tuple[str, ...]]:
        return tuple(output.values()), tuple(output.keys())

    def flatten_with_keys(output: ModelOutput) -> tuple[list[Any], tuple[str, ...]]:
        return [(jax.tree_util.DictKey(name), value) for name, value in output.items()], tuple(output)

    def unflatten(names: tuple[str, ...], values: Any) -> ModelOutput:
        output = kind()
        # As they come: a tree may hold anything in the place of arrays, None too.
        dict.update(output, zip(names, values, strict=True))
        return output

    if jax.tree_util.all_leaves([kind()]):  # the Keras wing may have done so, where it computes with JAX
        jax.tree_util.register_pytree_with_keys(kind, flatten_with_keys, unflatten, flatten)
    jax.export.register_pytree_node_serialization(
        kind,
        serialized_name=f"{kind.__module__}.{kind.__name__}",
        serialize_auxdata=lambda names: ",".join(names).encode(),
        deserialize_auxdata=lambda data: tuple(data.decode().split(",")) if data else (),
    )


for _kind in ModelOutput.__subclasses__():
    _register(_kind)
