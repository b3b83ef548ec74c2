"""The encoder: embeddings, blocks, and ``DistilBertModel``.

A DistilBERT is a BERT with half the layers, no token types and no pooler. GELU is the erf form, LayerNorm's
epsilon is ``LAYER_NORM_EPS``, and each block adds first and normalises after (post-LN). The same blocks
make a BERT (``bert.py``). Shape letters stand in ``attention.py``.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilbert.core.config import DistilBertConfig, EncoderConfig
from distilbert.core.outputs import BaseModelOutput
from distilbert.errors import DataError
from distilbert.torch.attention import Mask, attention
from distilbert.torch.pretrained import PreTrainedModel

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activation(config: EncoderConfig) -> Any:
    """The configuration's activation as a function of a tensor."""
    return config.activation if callable(config.activation) else ACTIVATIONS[config.activation]


class Embeddings(nn.Module):
    """Words and positions, and for a BERT token types, added and normalised."""

    def __init__(self, config: EncoderConfig, *, type_vocab_size: int = 0) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.dim)
        if type_vocab_size:
            self.token_type_embeddings = nn.Embedding(type_vocab_size, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids_BS: Tensor | None,
        inputs_embeds_BSD: Tensor | None,
        token_type_ids_BS: Tensor | None = None,
    ) -> Tensor:
        if (input_ids_BS is None) == (inputs_embeds_BSD is None):
            raise DataError(
                "A model reads either input_ids or inputs_embeds.",
                received="neither" if input_ids_BS is None else "both",
                remedy="Give exactly one of them.",
            )
        x_BSD = self._words(input_ids_BS) if input_ids_BS is not None else inputs_embeds_BSD
        assert x_BSD is not None
        positions = self.position_embeddings.num_embeddings
        if x_BSD.shape[1] > positions:
            raise DataError(
                "A text must not be longer than the model's position table.",
                received=f"{x_BSD.shape[1]} tokens, with {positions} positions",
                remedy=f"Cut the text to {positions} tokens: max_length={positions}.",
            )
        x_BSD = x_BSD + self.position_embeddings.weight[: x_BSD.shape[1]]
        if hasattr(self, "token_type_embeddings"):
            if token_type_ids_BS is None:
                x_BSD = x_BSD + self.token_type_embeddings.weight[0]
            else:
                x_BSD = x_BSD + self.token_type_embeddings(token_type_ids_BS)
        return self.dropout(self.LayerNorm(x_BSD))

    def _words(self, input_ids_BS: Tensor) -> Tensor:
        words = self.word_embeddings
        # On a GPU this check would wait for the device; there the kernel itself asserts.
        if input_ids_BS.device.type == "cpu" and input_ids_BS.numel() and not torch.compiler.is_compiling():
            low, high = int(input_ids_BS.min()), int(input_ids_BS.max())
            if low < 0 or high >= words.num_embeddings:
                raise DataError(
                    f"Every id must be in the vocabulary, 0 to {words.num_embeddings - 1}.",
                    received=f"the id {low if low < 0 else high}",
                    remedy="Use the tokenizer that was saved with the model.",
                )
        return words(input_ids_BS)


class FeedForward(nn.Module):
    """Wider and back, with an activation between."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.lin1 = nn.Linear(config.dim, config.hidden_dim)
        self.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.activation = activation(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BSD: Tensor) -> Tensor:
        return self.dropout(self.lin2(self.activation(self.lin1(x_BSD))))


class Block(nn.Module):
    """Attention and feed-forward, each added to its input and normalised.

    A BERT drops some of what its attention gives; a DistilBERT does not.
    """

    def __init__(self, config: EncoderConfig, *, attended_dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = attention(config)
        self.attended_dropout = nn.Dropout(attended_dropout)
        self.sa_layer_norm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)
        self.ffn = FeedForward(config)
        self.output_layer_norm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)

    def forward(
        self,
        x_BSD: Tensor,
        mask: Mask | None,
        *,
        head_mask_N: Tensor | None = None,
        with_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        attended_BSD, weights_BNSS = self.attention(
            x_BSD, mask, head_mask_N=head_mask_N, with_weights=with_weights
        )
        x_BSD = self.sa_layer_norm(x_BSD + self.attended_dropout(attended_BSD))
        return self.output_layer_norm(x_BSD + self.ffn(x_BSD)), weights_BNSS


class Transformer(nn.Module):
    """The blocks, one after the other."""

    def __init__(self, config: EncoderConfig, *, attended_dropout: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            Block(config, attended_dropout=attended_dropout) for _ in range(config.n_layers)
        )

    def forward(
        self,
        x_BSD: Tensor,
        mask: Mask | None,
        *,
        head_mask_LN: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        states, attentions = [x_BSD], []
        for i, block in enumerate(self.layer):
            head_mask_N = None if head_mask_LN is None else head_mask_LN[i]
            x_BSD, weights_BNSS = block(x_BSD, mask, head_mask_N=head_mask_N, with_weights=output_attentions)
            states.append(x_BSD)
            attentions.append(weights_BNSS)
        if mask is not None:
            kept = states if output_hidden_states else states[-1:]
            states[-len(kept) :] = [mask.zero_padding(state_BSD) for state_BSD in kept]
        return BaseModelOutput(
            last_hidden_state=states[-1],
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


class DistilBertModel(PreTrainedModel):
    """The encoder without a head (Sanh et al. 2019).

    Args:
        config: its sizes. ``config.attn_implementation`` is "sdpa" (default) or "eager".

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = Transformer(config)
        self.initialise()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """
        Args:
            input_ids: [B, S].
            attention_mask: [B, S], 1 for live tokens and 0 for padding; None means all are live.
            head_mask: [N] or [L, N], a factor for each head's contribution.
            inputs_embeds: [B, S, D], in the place of ``input_ids``.
            output_attentions: return the weights of every block, [B, N, S, S] each.
            output_hidden_states: return the states before, between and after the blocks.
            return_dict: False gives a plain tuple.

        Returns:
            ``last_hidden_state`` [B, S, D], zero where there is padding, and what was asked for.

        Raises:
            DataError: shapes or ids that do not fit the model.
        """
        x_BSD = self.embeddings(input_ids, inputs_embeds)
        output = self.transformer(
            x_BSD,
            Mask.of(attention_mask, x_BSD),
            head_mask_LN=head_mask_per_layer(head_mask, self.config),
            output_attentions=chosen(output_attentions, self.config.output_attentions),
            output_hidden_states=chosen(output_hidden_states, self.config.output_hidden_states),
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()


def chosen(asked: bool | None, usual: bool) -> bool:
    """What a call asks for, or where it leaves that open, what the configuration says."""
    return usual if asked is None else asked


def head_mask_per_layer(head_mask: Tensor | None, config: EncoderConfig) -> Tensor | None:
    """A head mask [N] or [L, N] as [L, N].

    Raises:
        DataError: it has another shape.
    """
    if head_mask is None:
        return None
    wanted = (config.n_layers, config.n_heads)
    if tuple(head_mask.shape) not in (wanted, wanted[1:]):
        raise DataError(
            "head_mask must have one number a head, or one a layer and head.",
            received=f"head_mask {list(head_mask.shape)} for {wanted[0]} layers of {wanted[1]} heads",
            remedy=f"Give it the shape [{wanted[1]}] or [{wanted[0]}, {wanted[1]}].",
        )
    return head_mask.expand(wanted)
