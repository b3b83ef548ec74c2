"""A model's parts with products in whole numbers, in ONNX Runtime's operators.

A weight has 8 bits, and a scale for each of its columns; what it is multiplied with is taken to 8 bits as it
comes, with the scale of its batch. So nothing has to be known of texts beforehand, and the company of a text
changes its answer a little. Heads, norms and softmax stay in fp32.
"""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import numpy as np

from distilbert.engine.fused import Fused
from distilbert.engine.nodes import HEAD, Nodes
from distilbert.engine.onnx_file import FLOAT, MICROSOFT, Array
from distilbert.engine.plain import Plain

#: The largest whole number of a weight: of processors that add products of 8 bits up in 32, and of others,
#: whose sums of two products would not fit 16.
MOST, MOST_WITHOUT_DOT_PRODUCTS = 127, 63


class Integers(Fused):
    """One node where ONNX Runtime has one for whole numbers.

    Args:
        nodes: to add to.
        epsilon: of LayerNorms.
        exact: parts of the model that stay in fp32, as ``Nodes.part`` names them.
        most: the largest whole number of a weight.
    """

    def __init__(
        self, nodes: Nodes, *, epsilon: float, exact: Collection[str] = (), most: int = MOST
    ) -> None:
        super().__init__(nodes, epsilon=epsilon)
        self._exact, self._most = {HEAD, *exact}, most

    def embed(self, input_ids: str, token_type_ids: str | None, table: SimpleNamespace) -> str:
        if self.nodes.part in self._exact:
            return super().embed(input_ids, token_type_ids, table)
        return _embedded(self, input_ids, token_type_ids, table)

    def _attention(
        self, x: str, merged: Array, bias: str, mask: str, name: str, sizes: list[int], **shared: Any
    ) -> Any:
        if self.nodes.part in self._exact:
            return super()._attention(x, merged, bias, mask, name, sizes, **shared)
        weight, scale, zero = self._weight(merged, name)
        given, given_scale, given_zero = self.nodes.add("DynamicQuantizeLinear", x, outputs=3)
        return self.nodes.add(
            "QAttention", given, weight, bias, given_scale, scale, mask, given_zero, zero, **shared
        )

    def product(self, x: str, weights: SimpleNamespace, name: str) -> str:
        if self.nodes.part in self._exact:
            return super().product(x, weights, name)
        return self._product(x, weights.weight.T, name)

    def _product(self, x: str, kernel: Array, name: str) -> str:
        weight, scale, zero = self._weight(kernel, name)
        return self.nodes.add("DynamicQuantizeMatMul", x, weight, scale, zero, domain=MICROSOFT)

    def _weight(self, kernel: Array, name: str) -> tuple[str, str, str]:
        """A kernel's whole numbers, the scales of its columns, and the number that stands for zero."""
        whole, scale = whole_numbers(kernel, self._most)
        nodes = self.nodes
        return (
            nodes.array(whole, f"{name}.weight", dtype=np.int8),
            nodes.array(scale, f"{name}.scale"),
            nodes.array(np.zeros_like(scale), f"{name}.zero", dtype=np.int8),
        )


class WholeWords(Plain):
    """Standard operators over a table of words in whole numbers.

    A runtime that takes products to 8 bits by itself would hold the table in fp32.
    """

    def embed(self, input_ids: str, token_type_ids: str | None, table: SimpleNamespace) -> str:
        return _embedded(self, input_ids, token_type_ids, table)


def _embedded(form: Plain, input_ids: str, token_type_ids: str | None, table: SimpleNamespace) -> str:
    add, nodes = form.nodes.add, form.nodes
    # A scale for each word: one for all would have to fit the largest.
    whole, scale = whole_numbers(table.word_embeddings.weight.T, MOST)
    table8 = nodes.array(whole.T, "words.whole", dtype=np.int8)
    words = add("Cast", add("Gather", table8, input_ids), to=FLOAT)
    scales = add("Gather", nodes.array(scale[:, None], "words.scale"), input_ids)
    return form.embedded(add("Mul", words, scales), input_ids, token_type_ids, table)


def whole_numbers(kernel: Array, most: int) -> tuple[Array, Array]:
    """A kernel [in, out] as whole numbers, and what those of each column are multiplied by, [out]."""
    greatest = np.abs(kernel).max(axis=0)
    scale = np.where(greatest > 0, greatest, 1.0).astype(np.float32) / np.float32(most)
    return np.rint(kernel / scale).astype(np.int8), scale
