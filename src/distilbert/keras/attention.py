"""Self-attention, one class an implementation; which one is chosen at construction (``implementations.py``).

The shape letters stand in ``layout.py``.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import ml_dtypes
import numpy as np
from keras import ops

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import kept_heads
from distilbert.errors import ConfigError
from distilbert.keras.layout import Layout
from distilbert.keras.modules import Composed, Policy, Tensor, dropped, linear, reshaped
from distilbert.keras.recording import kind


class SelfAttention(Composed, keras.layers.Layer):
    """What the implementations share: four projections, and heads side by side in the width. Abstract.

    Args:
        config: of the model.
        layer: the number of the block it stands in, which says which heads were pruned.
        policy: types to compute and to keep parameters in.

    Attributes:
        heads: the numbers of its heads, those of a model none of whose heads were pruned.
        n_heads, dim, attention_head_size: the peer's names for what it is made of.
    """

    #: Its published name.
    implementation: ClassVar[str]
    #: Whether it can drop attention weights in training.
    drops: ClassVar[bool] = True

    def __init__(self, config: EncoderConfig, *, layer: int, policy: Policy) -> None:
        super().__init__(dtype=policy)
        self.heads = tuple(kept_heads(config, layer))
        self.attention_head_size = config.dim // config.n_heads
        inside = self.dim
        self.dropout = config.attention_dropout
        self.q_lin = linear(config.dim, inside, policy)
        self.k_lin = linear(config.dim, inside, policy)
        self.v_lin = linear(config.dim, inside, policy)
        self.out_lin = linear(inside, config.dim, policy)

    @property
    def n_heads(self) -> int:
        return len(self.heads)

    @property
    def dim(self) -> int:
        return self.n_heads * self.attention_head_size

    def become(self, kind: type["SelfAttention"]) -> None:
        """Another implementation, in place, over the same projections."""
        object.__setattr__(self, "__class__", kind)  # nothing that Keras should keep account of

    def keep(self, heads: Sequence[int]) -> None:
        """Let go of the other heads; these are some of its own, by their numbers in the unpruned model."""
        size = self.attention_head_size
        kept = np.concatenate([np.arange(size) + size * self.heads.index(head) for head in heads])
        for layer in (self.q_lin, self.k_lin, self.v_lin):
            kernel, bias = map(ops.convert_to_numpy, (layer.kernel, layer.bias))
            reshaped(layer, kernel=kernel[:, kept], bias=bias[kept])
        reshaped(self.out_lin, kernel=ops.convert_to_numpy(self.out_lin.kernel)[kept])
        self.heads = tuple(heads)

    def call(
        self,
        x_BSD: Tensor,
        layout: Layout,
        columns: Tensor | None,
        *,
        head_mask_N: Tensor | None = None,
        key: Tensor | None = None,
        with_weights: bool = False,
        first_only: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """
        Args:
            x_BSD: the states.
            layout: how the tokens lie.
            columns: the layout's, made once for all blocks.
            head_mask_N: a factor for each head of the unpruned model.
            key: to drop attention weights by; None drops none.
            with_weights: return the weights too.
            first_only: of each row, attend from its first live token only.

        Returns:
            The attended states like ``x_BSD`` ([B, D] of first tokens only), and the attention weights
            [B, N, S, S] where asked for.
        """
        q_BSNH = self._split(self.q_lin(layout.first(x_BSD)[:, None] if first_only else x_BSD))
        k_BSNH, v_BSNH = self._split(self.k_lin(x_BSD)), self._split(self.v_lin(x_BSD))
        # Only the eager form has weights to show, so a call that asks for them runs it, as peers do.
        attend = self.attend_eagerly if with_weights else self.attend
        own = self._own(columns, first_only=first_only)
        context_BSNH, weights_BNSS = attend(q_BSNH, k_BSNH, v_BSNH, own, key)
        if head_mask_N is not None:
            head_mask_N = ops.take(ops.cast(head_mask_N, context_BSNH.dtype), np.array(self.heads))
            context_BSNH = context_BSNH * head_mask_N[:, None]
            if weights_BNSS is not None:
                # The weights that are shown are those that are used.
                weights_BNSS = weights_BNSS * head_mask_N[:, None, None]
        attended = self.out_lin(ops.reshape(context_BSNH, (*ops.shape(context_BSNH)[:2], self.dim)))
        return attended[:, 0] if first_only else attended, weights_BNSS if with_weights else None

    def attend(
        self, q_BSNH: Tensor, k_BSNH: Tensor, v_BSNH: Tensor, columns: Tensor | None, key: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The context [B, S, N, H], and the weights where the implementation has them."""
        raise NotImplementedError

    def attend_eagerly(
        self, q_BSNH: Tensor, k_BSNH: Tensor, v_BSNH: Tensor, columns: Tensor | None, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        # Sums of products, and the softmax over them, in fp32 at least.
        wide = keras.backend.result_type(kind(q_BSNH), "float32")
        scaled = ops.cast(q_BSNH, wide) / math.sqrt(self.attention_head_size)
        scores_BNSS = ops.einsum("bqnh,bknh->bnqk", scaled, ops.cast(k_BSNH, wide))
        if columns is not None and kind(columns) == "bool":
            scores_BNSS = ops.where(columns, scores_BNSS, float(ml_dtypes.finfo(wide).min))
        elif columns is not None:
            scores_BNSS = scores_BNSS + ops.cast(columns, wide)
        weights_BNSS = ops.cast(ops.softmax(scores_BNSS, axis=-1), v_BSNH.dtype)
        weights_BNSS = dropped(weights_BNSS, self.dropout, key)
        return ops.einsum("bnqk,bknh->bqnh", weights_BNSS, v_BSNH), weights_BNSS

    def refuse_dropout(self) -> None:
        """For kernels that drop nothing.

        Raises:
            ConfigError: its rate is above zero.
        """
        if self.dropout and not self.drops:
            raise ConfigError(
                f"{self.implementation} drops no attention weights while training.",
                received=f"attention_dropout={self.dropout:g}",
                remedy="Set it to 0, or choose eager: model.set_attention('eager').",
            )

    def _own(self, columns: Any, *, first_only: bool) -> Tensor | None:
        """Of a mask, what its own heads and the queries that are asked read."""
        if columns is None:
            return None
        if columns.shape[1] > 1 and self.n_heads < columns.shape[1]:
            columns = ops.take(columns, np.array(self.heads), axis=1)
        return columns[:, :, :1] if first_only else columns

    def _split(self, x: Tensor) -> Tensor:
        return ops.reshape(x, (*ops.shape(x)[:-1], self.n_heads, self.attention_head_size))


class EagerAttention(SelfAttention):
    """Scores, softmax and context, each in sight."""

    implementation = "eager"
    attend = SelfAttention.attend_eagerly


class DotProductAttention(SelfAttention):
    """Keras' ``dot_product_attention``: on JAX and PyTorch their own kernels, whose softmax is in fp32."""

    implementation = "dot_product_attention"
    drops = False

    def attend(
        self, q_BSNH: Tensor, k_BSNH: Tensor, v_BSNH: Tensor, columns: Tensor | None, key: Tensor | None
    ) -> tuple[Tensor, None]:
        given = {} if columns is None else {"mask" if kind(columns) == "bool" else "bias": columns}
        return ops.dot_product_attention(q_BSNH, k_BSNH, v_BSNH, **given), None
