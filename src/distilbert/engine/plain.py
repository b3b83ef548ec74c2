"""A model's parts in the standard's operators, in the patterns that runtimes know how to fuse."""

import math
from types import SimpleNamespace
from typing import Any

from distilbert.engine.nodes import Nodes
from distilbert.engine.onnx_file import FLOAT

#: Added to the score of what must not be attended to. Its exponential beside that of any live score is zero
#: in fp32, and it is small enough for half precision to hold.
MASKED = -1e4


class Plain:
    """Standard operators only: what every runtime reads, and OpenVINO fuses by itself.

    Args:
        nodes: to add to.
        epsilon: of LayerNorms.
    """

    def __init__(self, nodes: Nodes, *, epsilon: float) -> None:
        self.nodes = nodes
        self._epsilon = epsilon

    def mask(self, attention_mask: str) -> str:
        """What ``attend`` takes: numbers to add to scores, [B, 1, 1, S]."""
        add = self.nodes.add
        live = add("Unsqueeze", self.as_numbers(attention_mask), self.nodes.whole(1, 2))
        return add("Mul", add("Sub", self.nodes.number(1.0), live), self.nodes.number(MASKED))

    def as_numbers(self, whole: str) -> str:
        """Whole numbers as fp32."""
        return self.nodes.add("Cast", whole, to=FLOAT)

    def embed(self, input_ids: str, token_type_ids: str | None, table: SimpleNamespace) -> str:
        """The states that the first block reads, [B, S, D]."""
        words = self.nodes.array(table.word_embeddings.weight, "words")
        return self.embedded(self.nodes.add("Gather", words, input_ids), input_ids, token_type_ids, table)

    def embedded(self, x: str, input_ids: str, token_type_ids: str | None, table: SimpleNamespace) -> str:
        """Words with what is added to them, normalised."""
        add, nodes = self.nodes.add, self.nodes
        positions = nodes.array(table.position_embeddings.weight, "positions")
        length = add("Slice", add("Shape", input_ids), nodes.whole(1), nodes.whole(2))
        x = add("Add", x, add("Slice", positions, nodes.whole(0), length, nodes.whole(0)))
        if token_type_ids is not None:
            types = nodes.array(table.token_type_embeddings.weight, "token types")
            x = add("Add", x, add("Gather", types, token_type_ids))
        return self.norm(x, table.LayerNorm, "embeddings")

    def attend(
        self,
        x: str,
        mask: str,
        weights: SimpleNamespace,
        name: str,
        *,
        heads: int,
        width: int,
        query: str = "",
    ) -> str:
        """Self-attention [B, S, N * H] without its last product; of ``query`` alone [B, 1, N * H], if given.

        Args:
            x: the states.
            mask: of ``mask``.
            weights: of queries, keys and values.
            name: of the layer.
            heads: that the layer has.
            width: of a head.
            query: states that attend, in the place of all.
        """
        add, nodes = self.nodes.add, self.nodes
        # The scale is in the weights of queries: one product less, on none of the scores.
        scale = 1 / math.sqrt(width)
        q, k, v = weights.q_lin, weights.k_lin, weights.v_lin
        scaled = SimpleNamespace(weight=q.weight * scale, bias=q.bias * scale)
        # Three products: OpenVINO makes nothing of one and a split but one more pass over its result.
        products = [
            self.bias(self.product(given, part, f"{name}.{which}"), part.bias, f"{name}.{which}")
            for which, given, part in (("query", query or x, scaled), ("key", x, k), ("value", x, v))
        ]
        q_BNSH, k_BNHS, v_BNSH = (
            add("Transpose", add("Reshape", product, nodes.whole(0, 0, heads, width)), perm=perm)
            for product, perm in zip(products, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        scores_BNSS = add("Add", add("MatMul", q_BNSH, k_BNHS), mask)
        context_BNSH = add("MatMul", add("Softmax", scores_BNSS, axis=-1), v_BNSH)
        context_BSNH = add("Transpose", context_BNSH, perm=[0, 2, 1, 3])
        return add("Reshape", context_BSNH, nodes.whole(0, 0, heads * width))

    def product(self, x: str, weights: SimpleNamespace, name: str) -> str:
        """``x`` times a kernel, without its bias, which whatever follows adds."""
        return self.nodes.add("MatMul", x, self.nodes.array(weights.weight.T, f"{name}.weight"))

    def add_and_norm(self, x: str, skip: str, bias: Any, norm: SimpleNamespace, name: str) -> str:
        """The sum of a product, its bias and the states before, normalised."""
        return self.norm(self.nodes.add("Add", self.bias(x, bias, name), skip), norm, name)

    def bias(self, x: str, bias: Any, name: str) -> str:
        return self.nodes.add("Add", x, self.nodes.array(bias, f"{name}.bias"))

    def norm(self, x: str, weights: SimpleNamespace, name: str) -> str:
        """LayerNorm over the last axis."""
        scale = self.nodes.array(weights.weight, f"{name}.norm.weight")
        shift = self.nodes.array(weights.bias, f"{name}.norm.bias")
        return self.nodes.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=self._epsilon)

    def activate(self, x: str, bias: Any, activation: str, name: str) -> str:
        """The activation of a product and its bias."""
        return self._activated(self.bias(x, bias, name), activation)

    def _activated(self, x: str, activation: str) -> str:
        add, number = self.nodes.add, self.nodes.number
        if activation == "gelu":
            share = add("Add", add("Erf", add("Div", x, number(math.sqrt(2.0)))), number(1.0))
            return add("Mul", add("Mul", x, share), number(0.5))
        if activation in ("gelu_new", "gelu_pytorch_tanh"):
            cube = add("Mul", add("Pow", x, number(3.0)), number(0.044715))
            inner = add("Mul", add("Add", x, cube), number(math.sqrt(2.0 / math.pi)))
            share = add("Add", add("Tanh", inner), number(1.0))
            return add("Mul", add("Mul", x, share), number(0.5))
        if activation == "quick_gelu":
            return add("Mul", x, add("Sigmoid", add("Mul", x, number(1.702))))
        if activation in ("silu", "swish"):
            return add("Mul", x, add("Sigmoid", x))
        return add({"relu": "Relu", "tanh": "Tanh"}[activation], x)
