"""Self-attention, one class an implementation; which one is chosen at construction (``implementations.py``).

Each works on padded rows and on texts laid end to end (``layout.py``, where the shape letters stand).
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import kept_heads
from distilbert.errors import ConfigError
from distilbert.torch.layout import Layout, Packed
from distilbert.torch.recording import sizes


class SelfAttention(nn.Module):
    """What the implementations share: four projections, and heads side by side in the width. Abstract.

    Args:
        config: of the model.
        layer: the number of the block it stands in, which says which heads were pruned.

    Attributes:
        heads: the numbers of its heads, those of a model none of whose heads were pruned.
        n_heads, dim, attention_head_size, pruned_heads: the peer's names for what it is made of.
    """

    #: Its published name.
    implementation: ClassVar[str]
    #: Whether it has attention weights to show, itself or through the eager form.
    has_weights: ClassVar[bool] = False
    #: Whether it takes a mask of one number for each pair of tokens.
    takes_pair_masks: ClassVar[bool] = False

    def __init__(self, config: EncoderConfig, *, layer: int) -> None:
        super().__init__()
        self.heads = kept_heads(config, layer)
        self.attention_head_size = config.dim // config.n_heads
        inside = self.dim
        self.dropout = nn.Dropout(config.attention_dropout)
        self.q_lin = nn.Linear(config.dim, inside)
        self.k_lin = nn.Linear(config.dim, inside)
        self.v_lin = nn.Linear(config.dim, inside)
        self.out_lin = nn.Linear(inside, config.dim)
        self._unpruned = config.n_heads
        self.set_up()

    @property
    def n_heads(self) -> int:
        return len(self.heads)

    @property
    def dim(self) -> int:
        return self.n_heads * self.attention_head_size

    @property
    def pruned_heads(self) -> set[int]:
        return set(range(self._unpruned)) - set(self.heads)

    def set_up(self) -> None:
        """Find what this implementation computes with."""

    def become(self, kind: type["SelfAttention"]) -> None:
        """Another implementation, in place: what wraps its projections, its hooks and its mode stay."""
        self.__class__ = kind
        self.set_up()

    def keep(self, heads: Sequence[int]) -> None:
        """Let go of the other heads; these are some of its own, by their numbers in the unpruned model."""
        size = self.attention_head_size
        starts = [self.heads.index(head) * size for head in heads]
        kept = torch.cat([torch.arange(start, start + size) for start in starts])
        for projection in (self.q_lin, self.k_lin, self.v_lin):
            _keep(projection, kept, axis=0)
        _keep(self.out_lin, kept, axis=1)
        self.heads = list(heads)

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        *,
        head_mask_N: Tensor | None = None,
        with_weights: bool = False,
        first_only: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """
        Args:
            x: [B, S, D] or [T, D], as the layout says.
            layout: how the tokens lie.
            head_mask_N: a factor for each head of the unpruned model.
            with_weights: return the weights too; the layout is then padded.
            first_only: of each text, attend from its first token only.

        Returns:
            The attended states like ``x`` ([B, D] of first tokens only), and the attention weights
            [B, N, S, S] where asked for.
        """
        q = self._split(self.q_lin(layout.first(x) if first_only else x))
        k, v = self._split(self.k_lin(x)), self._split(self.v_lin(x))
        weights_BNSS = None
        if isinstance(layout, Packed):
            context = self.attend_packed(q, k, v, layout, first_only=first_only)
        else:
            # [B, S, N, H], or of first tokens [B, N, H], to [B, N, S, H]
            q_BNSH = q[:, :, None] if first_only else q.transpose(1, 2)
            # Only the eager form has weights to show, so a call that asks for them runs it, as peers do.
            attend = self.attend_eagerly if with_weights else self.attend
            columns = self._own(layout.columns, first_only=first_only)
            context_BNSH, weights_BNSS = attend(q_BNSH, k.transpose(1, 2), v.transpose(1, 2), columns)
            context = context_BNSH[:, :, 0] if first_only else context_BNSH.transpose(1, 2)
        if head_mask_N is not None:
            head_mask_N = head_mask_N[self.heads].to(context.dtype)
            if with_weights and weights_BNSS is not None:
                # The weights that are shown are those that are used, as whoever differentiates them expects.
                weights_BNSS = weights_BNSS * head_mask_N[:, None, None]
                context = (weights_BNSS @ v.transpose(1, 2)).transpose(1, 2)
            else:
                context = context * head_mask_N[:, None]
        return self.out_lin(context.flatten(-2)), weights_BNSS if with_weights else None

    def attend(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, columns: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The context [B, N, S, H], and the weights where the implementation has them."""
        raise NotImplementedError

    def attend_packed(
        self, q_TNH: Tensor, k_TNH: Tensor, v_TNH: Tensor, layout: Packed, *, first_only: bool
    ) -> Tensor:
        """The context [T, N, H] of texts that each attend to themselves: those of one length together.

        Splitting gives backward one concatenation, where a slice for each text would give it as many
        arrays of zeros as there are texts.
        """
        runs = layout.runs
        tokens = [count * length for count, length in runs]
        queries = [count for count, _ in runs] if first_only else tokens
        contexts = []
        for (count, _), q, k, v in zip(
            runs, q_TNH.split(queries), k_TNH.split(tokens), v_TNH.split(tokens), strict=True
        ):
            q_BNSH, k_BNSH, v_BNSH = (x.unflatten(0, (count, -1)).transpose(1, 2) for x in (q, k, v))
            context_BNSH, _ = self.attend(q_BNSH, k_BNSH, v_BNSH, None)
            contexts.append(context_BNSH.transpose(1, 2).flatten(0, 1))
        return torch.cat(contexts)

    def attend_eagerly(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, columns: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        scores_BNSS = (q_BNSH / math.sqrt(self.attention_head_size)) @ k_BNSH.transpose(-1, -2)
        if columns is not None and columns.dtype == torch.bool:
            scores_BNSS = scores_BNSS.masked_fill(~columns, torch.finfo(scores_BNSS.dtype).min)
        elif columns is not None:
            scores_BNSS = scores_BNSS + columns
        at_least_fp32 = torch.promote_types(scores_BNSS.dtype, torch.float32)
        weights_BNSS = torch.softmax(scores_BNSS, dim=-1, dtype=at_least_fp32).to(v_BNSH.dtype)
        weights_BNSS = self.dropout(weights_BNSS)
        return weights_BNSS @ v_BNSH, weights_BNSS

    @property
    def dropout_now(self) -> float:
        """The share of attention weights that this call drops."""
        return self.dropout.p if self.dropout.training else 0.0

    def refuse_dropout(self) -> None:
        """For kernels that drop nothing.

        Raises:
            ConfigError: in training, with a rate above zero.
        """
        if self.dropout_now:
            raise ConfigError(
                f"{self.implementation} drops no attention weights while training.",
                received=f"attention_dropout={self.dropout_now:g}",
                remedy="Set it to 0, or choose sdpa: model.set_attention('sdpa').",
            )

    def _own(self, columns: Tensor | None, *, first_only: bool) -> Tensor | None:
        """Of a mask, what its own heads and the queries that are asked read."""
        if columns is None:
            return None
        if self.pruned_heads and sizes(columns)[1] > 1:
            columns = columns[:, self.heads]
        return columns[:, :, :1] if first_only else columns

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1))


def _keep(linear: nn.Linear, kept: Tensor, *, axis: int) -> None:
    """Let a linear map have these of its rows (axis 0, its bias too) or columns (axis 1) alone."""
    with torch.no_grad():
        kept = kept.to(linear.weight.device)
        weight = linear.weight.index_select(axis, kept)
        linear.weight = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
        if axis == 0:
            bias = linear.bias.index_select(0, kept)
            linear.bias = nn.Parameter(bias, requires_grad=linear.bias.requires_grad)
    linear.out_features, linear.in_features = weight.shape


class EagerAttention(SelfAttention):
    """Scores, softmax and context, each in sight."""

    implementation = "eager"
    has_weights = True
    takes_pair_masks = True
    attend = SelfAttention.attend_eagerly


class SdpaAttention(SelfAttention):
    """PyTorch's fused ``scaled_dot_product_attention``, whose softmax is in fp32 inside."""

    implementation = "sdpa"
    has_weights = True
    takes_pair_masks = True

    def attend(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, columns: Tensor | None
    ) -> tuple[Tensor, None]:
        if columns is not None and columns.dtype != torch.bool:
            # Of a wider type its lowest number would be infinite here, and a row of them no number.
            lowest = max(torch.finfo(q_BNSH.dtype).min, torch.finfo(columns.dtype).min)
            columns = columns.clamp(min=lowest).to(q_BNSH.dtype)
        context_BNSH = F.scaled_dot_product_attention(
            q_BNSH, k_BNSH, v_BNSH, attn_mask=columns, dropout_p=self.dropout_now
        )
        return context_BNSH, None
