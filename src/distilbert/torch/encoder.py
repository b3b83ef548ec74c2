"""The encoder: blocks one after the other, and what every base model does with them.

A DistilBERT is a BERT with half the layers, no token types and no pooler. GELU is the erf form, LayerNorm's
epsilon is ``LAYER_NORM_EPS``, and each block adds first and normalises after (post-LN). The same blocks
make both (``distilbert.py``, ``bert.py``). Shape letters stand in ``layout.py``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from distilbert.core import calls, rules
from distilbert.core.config import EncoderConfig
from distilbert.core.outputs import BaseModelOutput
from distilbert.core.parameters import kept_heads
from distilbert.errors import ConfigError
from distilbert.torch.anew import applied_anew
from distilbert.torch.attention import SelfAttention
from distilbert.torch.batch import Batch, Reading, read, refuse_others
from distilbert.torch.embeddings import Embeddings
from distilbert.torch.implementations import attention, attention_class
from distilbert.torch.layout import Layout, Padded
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.recording import is_recording, may_differentiate, sizes


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


# Named functions all, so that a model can be pickled.
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activation(config: EncoderConfig) -> Any:
    """The configuration's activation as a function of a tensor."""
    return config.activation if callable(config.activation) else ACTIVATIONS[config.activation]


class FeedForward(nn.Module):
    """Wider and back, with an activation between."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.lin1 = nn.Linear(config.dim, config.hidden_dim)
        self.lin2 = nn.Linear(config.hidden_dim, config.dim)
        self.activation = activation(config)
        self.dropout = nn.Dropout(config.dropout)
        self.chunk = config.chunk_size_feed_forward
        #: What is activated is not kept for the gradient; where whole blocks are not, nothing is gained.
        self.anew = True

    def forward(self, x: Tensor) -> Tensor:
        if self.chunk and x.dim() > 1 and not is_recording():  # pieces of a length are that length's graph
            return torch.cat([self._feed(part) for part in x.split(self.chunk, dim=-2)], dim=-2)
        return self._feed(x)

    def _feed(self, x: Tensor) -> Tensor:
        wide = self.lin1(x)
        if self.anew and wide.requires_grad and not is_recording():
            return self.dropout(applied_anew(self.activation, self.lin2, wide))
        return self.dropout(self.lin2(self.activation(wide)))


class Block(nn.Module):
    """Attention and feed-forward, each added to its input and normalised.

    A BERT drops some of what its attention gives; a DistilBERT does not.
    """

    def __init__(self, config: EncoderConfig, *, layer: int, attended_dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = attention(config, layer=layer)
        self.attended_dropout = nn.Dropout(attended_dropout)
        self.sa_layer_norm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)
        self.ffn = FeedForward(config)
        self.output_layer_norm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        head_mask_N: Tensor | None = None,
        with_weights: bool = False,
        first_only: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        attended, weights_BNSS = self.attention(
            x, layout, head_mask_N=head_mask_N, with_weights=with_weights, first_only=first_only
        )
        x = self.sa_layer_norm((layout.first(x) if first_only else x) + self.attended_dropout(attended))
        del attended  # not to be held beside the widest states
        return self.output_layer_norm(x + self.ffn(x)), weights_BNSS


class Transformer(nn.Module):
    """The blocks, one after the other."""

    def __init__(self, config: EncoderConfig, *, attended_dropout: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            Block(config, layer=i, attended_dropout=attended_dropout) for i in range(config.n_layers)
        )
        #: Calls a block in training so that its activations are computed again in backward, or None.
        self.recompute: Callable[..., Any] | None = None

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        *,
        head_mask_LN: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        first_only: bool = False,
    ) -> BaseModelOutput:
        """
        Returns:
            States as the layout says; with ``first_only`` the last ones are those of first tokens alone.
        """
        # What is shown is then what the next block reads, so that it can be differentiated.
        on_the_way = output_hidden_states and may_differentiate()
        if on_the_way:
            x = layout.in_place_restored(x)
        states, attentions = [x], []
        last = len(self.layer) - 1
        for i, block in enumerate(self.layer):
            head_mask_N = None if head_mask_LN is None else head_mask_LN[i]
            run = self.recompute or _run if self.training else _run
            x, weights_BNSS = run(block, x, layout, head_mask_N, output_attentions, first_only and i == last)
            if on_the_way:
                x = layout.in_place_restored(x)
            if output_hidden_states:
                states.append(x)
            attentions.append(weights_BNSS)
        return BaseModelOutput(
            last_hidden_state=x,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


def _run(block: nn.Module, *given: Any) -> Any:
    return block(*given)


class Encoder(PreTrainedModel):
    """A base model: embeddings and blocks. Abstract.

    A final class makes both in its constructor and names its configuration's class.

    Attributes:
        packing: take padding out of what it is given, and put it back into what it gives.
    """

    packing = True
    embeddings: Embeddings
    transformer: Transformer

    @property
    def encoder(self) -> "Encoder":
        return self

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            input_ids: [B, S], or a ``PackedBatch``, which takes the place of all other inputs.
            attention_mask: [B, S], 1 for live tokens and 0 for padding; None means all are live. Or
                [B, 1 or N, S, S], True where a token may attend, or numbers to add to the scores.
            head_mask: [N] or [L, N], a factor for each head's contribution.
            inputs_embeds: [B, S, D], in the place of ``input_ids``.
            output_attentions: return the weights of every block, [B, N, S, S] each.
            output_hidden_states: return the states before, between and after the blocks.
            return_dict: False gives a plain tuple.
            position_ids: [B, S] or [S]; None counts the columns from 0.
            token_type_ids: [B, S], of a BERT: 0 for the first text and 1 for the second; None means all
                0. A DistilBERT has none: zeros pass, with a warning.

        Returns:
            ``last_hidden_state`` [B, S, D], zero where there is padding, and what was asked for. For a
            packed batch the states lie end to end, [T, D], text after text.

        Raises:
            ConfigError: the attention cannot do what is asked of it.
            DataError: shapes or values that do not fit the model.
        """
        refuse_others(head_mask=head_mask)
        attentions = chosen(output_attentions, self.config.output_attentions)
        hidden_states = chosen(output_hidden_states, self.config.output_hidden_states)
        batch = input_ids if isinstance(input_ids, Batch) else None
        if batch is None:
            batch = self.batch(
                input_ids,
                attention_mask,
                inputs_embeds,
                position_ids,
                token_type_ids,
                output_attentions=attentions,
                output_hidden_states=hidden_states,
            )
        output: BaseModelOutput = self.transformer(
            self.embeddings(batch),
            batch.layout,
            head_mask_LN=head_mask_per_layer(head_mask, self.config),
            output_attentions=attentions,
            output_hidden_states=hidden_states,
            first_only=batch.first_only and not hidden_states,
        )
        if batch is not input_ids:
            output = BaseModelOutput(
                last_hidden_state=batch.layout.restore(output.last_hidden_state),
                hidden_states=restored(output.hidden_states, batch.layout),
                attentions=output.attentions,
            )
        return output if chosen(return_dict, self.config.use_return_dict) else output.to_tuple()

    def batch(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        first_only: bool = False,
    ) -> Batch:
        """What ``forward`` is given, checked and laid out; ``forward`` takes it in the place of it all."""
        kind = type(self._attentions[0])
        if output_attentions and not kind.has_weights:
            raise ConfigError(
                f"{kind.implementation} has no attention weights to show.",
                received="output_attentions=True",
                remedy="Choose sdpa or eager: model.set_attention('sdpa').",
            )
        # States that were put back into rows are copies, which nothing was computed from.
        packing = self.packing and not (output_hidden_states and may_differentiate())
        return read(
            self.config,
            Reading(packing, kind.takes_pair_masks, output_attentions, first_only),
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            device=self.device,
        )

    @property
    def _attentions(self) -> list[SelfAttention]:
        return [block.attention for block in self.transformer.layer]  # type: ignore[misc]

    def _set_attention(self, implementation: str, packing: bool | None) -> None:
        kind = attention_class(implementation)
        packing = None if packing is None else rules.flag("packing", packing)
        # What one of them refuses leaves the model as it was.
        with torch.device("meta"):
            kind(self.config, layer=0)
        self.config.attn_implementation = implementation
        if packing is not None:
            self.packing = packing
        for one in self._attentions:
            one.become(kind)

    def _prune(self) -> None:
        """Let go of the heads that the configuration says are pruned."""
        for i, one in enumerate(self._attentions):
            kept = kept_heads(self.config, i)
            if kept != one.heads:
                one.keep(kept)

    def _set_recomputing(self, how: dict[str, Any] | None) -> None:
        self.transformer.recompute = None if how is None else partial(checkpoint, **how)
        for block in self.transformer.layer:
            block.ffn.anew = how is None  # type: ignore[union-attr]  # modules have no types of their own


def restored(states: tuple[Tensor, ...] | None, layout: Layout) -> tuple[Tensor, ...] | None:
    """Hidden states in the shape of the batch that they came from."""
    if states is None or (isinstance(layout, Padded) and may_differentiate()):  # they are, from the start
        return states
    return tuple(layout.restore(state) for state in states)


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
    kind = str(head_mask.dtype).removeprefix("torch.")
    calls.refuse_head_mask(config, kind, sizes(head_mask), real=not head_mask.is_complex())
    return head_mask.expand(config.n_layers, config.n_heads)
