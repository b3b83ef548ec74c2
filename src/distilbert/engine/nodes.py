"""A graph under construction: values are names, and each call adds what makes one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from distilbert.engine.onnx_file import Array, Graph, Node

#: What parts of a model are called; the layers between are numbered.
EMBEDDINGS, HEAD = "embeddings", "head"


def layer_part(layer: int) -> str:
    """What a layer is called among a model's parts."""
    return f"layer{layer}"


class Nodes:
    """Nodes in the order in which they are computed, with the arrays that they read.

    Args:
        name: of the graph.

    Attributes:
        part: of the model, that nodes are added to; their names begin with it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.part = ""
        self._nodes: list[Node] = []
        self._arrays: dict[str, Array] = {}

    def add(self, op: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """The name of what an operator gives, or the names, where that are several.

        Args:
            op: the operator.
            inputs: names of values; an empty one is an input that is left out.
            domain: of the operator; none is the standard's.
            outputs: how many it gives.
            attributes: of the operator.
        """
        name = f"{self.part}/{op}_{len(self._nodes)}"
        names = (name,) if outputs == 1 else tuple(f"{name}.{i}" for i in range(outputs))
        self._nodes.append(Node(op, inputs, names, domain, attributes))
        return names[0] if outputs == 1 else names

    def array(self, values: Any, name: str, *, dtype: Any = np.float32) -> str:
        """The name of an array that does not change; what has one name is there once."""
        if name not in self._arrays:
            self._arrays[name] = np.ascontiguousarray(values, dtype).reshape(np.shape(values))
        return name

    def number(self, value: float) -> str:
        """The name of a number."""
        return self.array(value, f"number_{value!r}")

    def whole(self, *numbers: int) -> str:
        """The name of an array of whole numbers, such as a shape."""
        return self.array(numbers, "whole_" + "_".join(map(str, numbers)), dtype=np.int64)

    def graph(
        self,
        inputs: Mapping[str, Sequence[str | int]],
        outputs: Mapping[str, tuple[str, Sequence[str | int]]],
    ) -> Graph:
        """What was added, as a whole.

        Args:
            inputs: the axes of each input, by name.
            outputs: the value and the axes of each output, by the name it is to have.
        """
        names = {value: name for name, (value, _) in outputs.items()}

        def named(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(names.get(value, value) for value in values)

        nodes = [replace(n, inputs=named(n.inputs), outputs=named(n.outputs)) for n in self._nodes]
        axes = {name: axes for name, (_, axes) in outputs.items()}
        return Graph(self._name, nodes, self._arrays, inputs, axes)
