"""A model's parts in ONNX Runtime's own fused operators.

Its optimiser finds them in graphs that certain exporters have written, and in no others: so they are written
as what they are. Only those are used that compute what the standard operators do: BiasGelu is the erf form,
FastGelu the one with a hyperbolic tangent.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from distilbert.engine.onnx_file import INT32, MICROSOFT
from distilbert.engine.plain import MASKED, Plain


class Fused(Plain):
    """One node where ONNX Runtime has one; what it has none for is plain."""

    def mask(self, attention_mask: str) -> str:
        """What ``attend`` takes: 1 for live tokens and 0 for padding, as int32."""
        return self._int32(attention_mask)

    def embed(self, input_ids: str, token_type_ids: str | None, table: SimpleNamespace) -> str:
        nodes = self.nodes
        types, rows = "", ""
        if token_type_ids is not None:
            types = self._int32(token_type_ids)
            rows = nodes.array(table.token_type_embeddings.weight, "token types")
        x, _ = nodes.add(
            "EmbedLayerNormalization",
            self._int32(input_ids),
            types,
            nodes.array(table.word_embeddings.weight, "words"),
            nodes.array(table.position_embeddings.weight, "positions"),
            rows,
            nodes.array(table.LayerNorm.weight, "embeddings.norm.weight"),
            nodes.array(table.LayerNorm.bias, "embeddings.norm.bias"),
            domain=MICROSOFT,
            outputs=2,
            epsilon=self._epsilon,
        )
        return x

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
        nodes = self.nodes
        parts = [weights.q_lin, weights.k_lin, weights.v_lin]
        bias = nodes.array(np.concatenate([part.bias for part in parts]), f"{name}.qkv.bias")
        shared: dict[str, Any] = {"domain": MICROSOFT, "num_heads": heads, "mask_filter_value": MASKED}
        if query:
            # Attention proper has as many queries as keys.
            asked = self.product(query, weights.q_lin, f"{name}.query")
            both = SimpleNamespace(weight=np.concatenate([part.weight for part in parts[1:]]))
            keys, values = nodes.add("Split", self.product(x, both, f"{name}.kv"), axis=-1, outputs=2)
            return nodes.add("MultiHeadAttention", asked, keys, values, bias, mask, **shared)
        merged = np.concatenate([part.weight.T for part in parts], axis=1)
        return self._attention(x, merged, bias, mask, f"{name}.qkv", [heads * width] * 3, **shared)

    def _attention(
        self, x: str, merged: Any, bias: str, mask: str, name: str, sizes: list[int], **shared: Any
    ) -> Any:
        """Attention proper, with its products; the kernel is that of queries, keys and values."""
        weight = self.nodes.array(merged, f"{name}.weight")
        return self.nodes.add("Attention", x, weight, bias, mask, qkv_hidden_sizes=sizes, **shared)

    def add_and_norm(self, x: str, skip: str, bias: Any, norm: SimpleNamespace, name: str) -> str:
        nodes = self.nodes
        return nodes.add(
            "SkipLayerNormalization",
            x,
            skip,
            nodes.array(norm.weight, f"{name}.norm.weight"),
            nodes.array(norm.bias, f"{name}.norm.bias"),
            nodes.array(bias, f"{name}.bias"),
            domain=MICROSOFT,
            epsilon=self._epsilon,
        )

    def activate(self, x: str, bias: Any, activation: str, name: str) -> str:
        nodes = self.nodes
        fused = {"gelu": "BiasGelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu"}
        if activation in fused:
            return nodes.add(fused[activation], x, nodes.array(bias, f"{name}.bias"), domain=MICROSOFT)
        return super().activate(x, bias, activation, name)

    def _int32(self, whole: str) -> str:
        return self.nodes.add("Cast", whole, to=INT32)
