"""Self-attention, one class an implementation; which one is chosen at construction.

Shape letters, in all wings: B batch, S sequence, T selected tokens, D width, F feed-forward width,
N heads, H head width, V vocabulary, L layers, C classes.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilbert.core.config import EncoderConfig
from distilbert.errors import ConfigError, DataError


class Mask:
    """Which tokens of a padded batch are live.

    Attributes:
        live_BS: True for live tokens.
        columns_B11S: True for the columns that a row of the batch may attend to: its live ones, or all
            where it has none, so that no softmax is over nothing.
    """

    def __init__(self, live_BS: Tensor) -> None:
        self.live_BS = live_BS
        lifeless_B1 = ~live_BS.any(dim=1, keepdim=True)
        self.columns_B11S = (live_BS | lifeless_B1)[:, None, None, :]

    @classmethod
    def of(cls, attention_mask: Tensor | None, x_BSD: Tensor) -> "Mask | None":
        """The mask of an attention mask [B, S] of zeros and ones over a batch; None means all are live.

        Raises:
            DataError: it has another shape than the batch.
        """
        if attention_mask is None:
            return None
        if attention_mask.shape != x_BSD.shape[:2]:
            raise DataError(
                "attention_mask must have the shape of the batch.",
                received=f"attention_mask {list(attention_mask.shape)} for a batch {list(x_BSD.shape[:2])}",
                remedy="Give one number a token: 1 for live ones, 0 for padding.",
            )
        return cls(attention_mask != 0)

    def zero_padding(self, x_BSD: Tensor) -> Tensor:
        return x_BSD.masked_fill(~self.live_BS[:, :, None], 0.0)

    @property
    def first_live_B(self) -> Tensor:
        return self.live_BS.int().argmax(dim=1)


class SelfAttention(nn.Module):
    """What the implementations share: four projections, and heads side by side in the width."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.dropout = config.attention_dropout
        self.q_lin = nn.Linear(config.dim, config.dim)
        self.k_lin = nn.Linear(config.dim, config.dim)
        self.v_lin = nn.Linear(config.dim, config.dim)
        self.out_lin = nn.Linear(config.dim, config.dim)

    def forward(
        self,
        x_BSD: Tensor,
        mask: Mask | None,
        *,
        head_mask_N: Tensor | None = None,
        with_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """
        Returns:
            The attended states [B, S, D], and the attention weights [B, N, S, S] where asked for.
        """
        q_BNSH = self._split(self.q_lin(x_BSD))
        k_BNSH = self._split(self.k_lin(x_BSD))
        v_BNSH = self._split(self.v_lin(x_BSD))
        # Only the eager form has weights to show, so a call that asks for them runs it, as peers do.
        attend = self.attend_eagerly if with_weights else self.attend
        context_BNSH, weights_BNSS = attend(q_BNSH, k_BNSH, v_BNSH, mask)
        if head_mask_N is not None:
            context_BNSH = context_BNSH * head_mask_N[:, None, None]
            if weights_BNSS is not None:
                weights_BNSS = weights_BNSS * head_mask_N[:, None, None]
        context_BSD = context_BNSH.transpose(1, 2).flatten(2)
        return self.out_lin(context_BSD), weights_BNSS if with_weights else None

    def attend(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, mask: Mask | None
    ) -> tuple[Tensor, Tensor | None]:
        """The context [B, N, S, H], and the weights where the implementation has them."""
        raise NotImplementedError

    def attend_eagerly(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, mask: Mask | None
    ) -> tuple[Tensor, Tensor]:
        scores_BNSS = (q_BNSH / math.sqrt(q_BNSH.shape[-1])) @ k_BNSH.transpose(-1, -2)
        if mask is not None:
            lowest = torch.finfo(scores_BNSS.dtype).min
            scores_BNSS = scores_BNSS.masked_fill(~mask.columns_B11S, lowest)
        at_least_fp32 = torch.promote_types(scores_BNSS.dtype, torch.float32)
        weights_BNSS = torch.softmax(scores_BNSS, dim=-1, dtype=at_least_fp32).to(v_BNSH.dtype)
        weights_BNSS = F.dropout(weights_BNSS, self.dropout, self.training)
        return weights_BNSS @ v_BNSH, weights_BNSS

    def _split(self, x_BSD: Tensor) -> Tensor:
        return x_BSD.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class EagerAttention(SelfAttention):
    """Scores, softmax and context, each in sight."""

    attend = SelfAttention.attend_eagerly


class SdpaAttention(SelfAttention):
    """PyTorch's fused ``scaled_dot_product_attention``, whose softmax is in fp32 inside."""

    def attend(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, mask: Mask | None
    ) -> tuple[Tensor, None]:
        columns_B11S = None if mask is None else mask.columns_B11S
        dropout = self.dropout if self.training else 0.0
        context_BNSH = F.scaled_dot_product_attention(
            q_BNSH, k_BNSH, v_BNSH, attn_mask=columns_B11S, dropout_p=dropout
        )
        return context_BNSH, None


IMPLEMENTATIONS: dict[str, type[SelfAttention]] = {"eager": EagerAttention, "sdpa": SdpaAttention}


def attention(config: EncoderConfig) -> SelfAttention:
    """The self-attention of one block, of the implementation that the configuration names.

    Raises:
        ConfigError: there is no such implementation.
    """
    implementation = config.attn_implementation
    if not isinstance(implementation, str) or implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"attn_implementation must be one of {', '.join(IMPLEMENTATIONS)}.",
            received=f"attn_implementation={implementation!r}",
            remedy="Choose sdpa unless you have a reason.",
        )
    return IMPLEMENTATIONS[implementation](config)
