"""Self-attention, one class an implementation; which one is chosen at construction (``implementations.py``).

Each works on padded rows and on rows of several texts (``layout.py``, where the shape letters stand).
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import kept_heads
from distilbert.errors import ConfigError
from distilbert.jax.layout import Layout
from distilbert.jax.modules import Array, Kinds, dropped, linear


class SelfAttention(nnx.Module):
    """What the implementations share: four projections, and heads side by side in the width. Abstract.

    Args:
        config: of the model.
        layer: the number of the block it stands in, which says which heads were pruned.
        kinds: types to compute and to keep parameters in.

    Attributes:
        heads: the numbers of its heads, those of a model none of whose heads were pruned.
        n_heads, dim, attention_head_size: the peer's names for what it is made of.
    """

    #: Its published name.
    implementation: ClassVar[str]
    #: Whether it has attention weights to show, itself or through the eager form.
    has_weights: ClassVar[bool] = True
    #: Whether it can drop attention weights in training.
    drops: ClassVar[bool] = True

    def __init__(self, config: EncoderConfig, *, layer: int, kinds: Kinds) -> None:
        self.heads = tuple(kept_heads(config, layer))
        self.attention_head_size = config.dim // config.n_heads
        inside = self.dim
        self.dropout = config.attention_dropout
        self.q_lin = linear(config.dim, inside, kinds)
        self.k_lin = linear(config.dim, inside, kinds)
        self.v_lin = linear(config.dim, inside, kinds)
        self.out_lin = linear(inside, config.dim, kinds)

    @property
    def n_heads(self) -> int:
        return len(self.heads)

    @property
    def dim(self) -> int:
        return self.n_heads * self.attention_head_size

    def become(self, kind: type["SelfAttention"]) -> None:
        """Another implementation, in place, over the same projections."""
        object.__setattr__(self, "__class__", kind)  # no attribute of the module's, to Flax

    def keep(self, heads: Sequence[int]) -> None:
        """Let go of the other heads; these are some of its own, by their numbers in the unpruned model."""
        size = self.attention_head_size
        kept = np.concatenate([np.arange(size) + size * self.heads.index(head) for head in heads])
        for projection in (self.q_lin, self.k_lin, self.v_lin):
            projection.kernel = nnx.Param(projection.kernel[...][:, kept])
            projection.bias = nnx.Param(projection.bias[...][kept])  # type: ignore[index]  # all have one
            projection.out_features = len(kept)
        self.out_lin.kernel = nnx.Param(self.out_lin.kernel[...][kept])
        self.out_lin.in_features = len(kept)
        self.heads = tuple(heads)

    def __call__(
        self,
        x_BSD: Array,
        layout: Layout,
        columns: Array | None,
        *,
        head_mask_N: Array | None = None,
        key: Array | None = None,
        with_weights: bool = False,
        first_only: bool = False,
    ) -> tuple[Array, Array | None]:
        """
        Args:
            x_BSD: the states.
            layout: how the tokens lie.
            columns: the layout's, made once for all blocks.
            head_mask_N: a factor for each head of the unpruned model.
            key: to drop attention weights by; None drops none.
            with_weights: return the weights too.
            first_only: of each row, attend from its first live token only; the layout is then padded.

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
            head_mask_N = jnp.asarray(head_mask_N, context_BSNH.dtype)[jnp.array(self.heads)]
            context_BSNH = context_BSNH * head_mask_N[:, None]
            if weights_BNSS is not None:
                # The weights that are shown are those that are used.
                weights_BNSS = weights_BNSS * head_mask_N[:, None, None]
        rows, length, *heads = context_BSNH.shape
        attended = self.out_lin(context_BSNH.reshape(rows, length, math.prod(heads)))
        return attended[:, 0] if first_only else attended, weights_BNSS if with_weights else None

    def attend(
        self, q_BSNH: Array, k_BSNH: Array, v_BSNH: Array, columns: Array | None, key: Array | None
    ) -> tuple[Array, Array | None]:
        """The context [B, S, N, H], and the weights where the implementation has them."""
        raise NotImplementedError

    def attend_eagerly(
        self, q_BSNH: Array, k_BSNH: Array, v_BSNH: Array, columns: Array | None, key: Array | None
    ) -> tuple[Array, Array]:
        scaled = q_BSNH / math.sqrt(self.attention_head_size)
        # Sums of products, and the softmax over them, in fp32 at least.
        wide = jnp.promote_types(q_BSNH.dtype, jnp.float32)
        scores_BNSS = jnp.einsum("BQNH,BKNH->BNQK", scaled, k_BSNH, preferred_element_type=wide)
        if columns is not None and columns.dtype == jnp.bool_:
            scores_BNSS = jnp.where(columns, scores_BNSS, jnp.finfo(wide).min)
        elif columns is not None:
            scores_BNSS = scores_BNSS + columns
        weights_BNSS = jax.nn.softmax(scores_BNSS, axis=-1).astype(v_BSNH.dtype)
        weights_BNSS = dropped(weights_BNSS, self.dropout, key)
        return jnp.einsum("BNQK,BKNH->BQNH", weights_BNSS, v_BSNH), weights_BNSS

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

    def _own(self, columns: Array | None, *, first_only: bool) -> Array | None:
        """Of a mask, what its own heads and the queries that are asked read."""
        if columns is None:
            return None
        if columns.shape[1] > 1 and self.n_heads < columns.shape[1]:
            columns = columns[:, jnp.array(self.heads)]
        return columns[:, :, :1] if first_only else columns

    def _split(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.n_heads, x.shape[-1] // self.n_heads)


class EagerAttention(SelfAttention):
    """Scores, softmax and context, each in sight."""

    implementation = "eager"
    attend = SelfAttention.attend_eagerly


class DotProductAttention(SelfAttention):
    """JAX's ``dot_product_attention``, whose softmax is in fp32 inside."""

    implementation = "dot_product_attention"
    drops = False

    def attend(
        self, q_BSNH: Array, k_BSNH: Array, v_BSNH: Array, columns: Array | None, key: Array | None
    ) -> tuple[Array, None]:
        if q_BSNH.dtype == jnp.float16 and jax.default_backend() == "cpu":
            raise ConfigError(
                f"{self.implementation} computes float16 on accelerators only.",
                received="float16 on a CPU",
                remedy="Choose eager: model.set_attention('eager'); or compute in bfloat16.",
            )
        given = {} if columns is None else {"mask" if columns.dtype == jnp.bool_ else "bias": columns}
        return jax.nn.dot_product_attention(q_BSNH, k_BSNH, v_BSNH, **given), None
