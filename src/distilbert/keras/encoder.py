"""The encoder: blocks one after the other, and what every base model does with them.

A DistilBERT is a BERT with half the layers, no token types and no pooler. GELU is the erf form, LayerNorm's
epsilon is ``LAYER_NORM_EPS``, and each block adds first and normalises after (post-LN). The same blocks
make both (``distilbert.py``, ``bert.py``). Shape letters stand in ``layout.py``.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
from keras import ops

from distilbert.core.config import EncoderConfig
from distilbert.core.outputs import BaseModelOutput
from distilbert.core.parameters import kept_heads
from distilbert.keras.attention import SelfAttention
from distilbert.keras.batch import Batch, read
from distilbert.keras.embeddings import Embeddings
from distilbert.keras.implementations import attention, attention_class
from distilbert.keras.layout import Layout
from distilbert.keras.modules import Composed, Policy, Tensor, dropped, keys, linear, norm
from distilbert.keras.pretrained import PreTrainedModel


def _quick_gelu(x: Tensor) -> Tensor:
    return x * ops.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": partial(ops.gelu, approximate=False),
    "gelu_new": partial(ops.gelu, approximate=True),
    "gelu_pytorch_tanh": partial(ops.gelu, approximate=True),
    "quick_gelu": _quick_gelu,
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}


def activation(config: EncoderConfig) -> Any:
    """The configuration's activation as a function of a tensor."""
    return config.activation if callable(config.activation) else ACTIVATIONS[config.activation]


class FeedForward(Composed, keras.layers.Layer):
    """Wider and back, with an activation between."""

    def __init__(self, config: EncoderConfig, *, policy: Policy) -> None:
        super().__init__(dtype=policy)
        self.lin1 = linear(config.dim, config.hidden_dim, policy)
        self.lin2 = linear(config.hidden_dim, config.dim, policy)
        self.activation = activation(config)
        self.dropout = config.dropout

    def call(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        return dropped(self.lin2(self.activation(self.lin1(x))), self.dropout, key)


class Block(Composed, keras.layers.Layer):
    """Attention and feed-forward, each added to its input and normalised.

    A BERT drops some of what its attention gives; a DistilBERT does not.
    """

    def __init__(
        self, config: EncoderConfig, *, layer: int, policy: Policy, attended_dropout: float = 0.0
    ) -> None:
        super().__init__(dtype=policy, name=f"layer_{layer}")
        self.attended_dropout = attended_dropout
        self.attention = attention(config, layer=layer, policy=policy)
        self.sa_layer_norm = norm(config.dim, config.layer_norm_eps, policy)
        self.ffn = FeedForward(config, policy=policy)
        self.output_layer_norm = norm(config.dim, config.layer_norm_eps, policy)

    def call(
        self,
        x: Tensor,
        layout: Layout,
        columns: Tensor | None,
        *,
        head_mask_N: Tensor | None = None,
        key: Tensor | None = None,
        with_weights: bool = False,
        first_only: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        of_attention, of_attended, of_feed_forward = keys(key, 3)
        attended, weights_BNSS = self.attention(
            x,
            layout=layout,
            columns=columns,
            head_mask_N=head_mask_N,
            key=of_attention,
            with_weights=with_weights,
            first_only=first_only,
        )
        attended = dropped(attended, self.attended_dropout, of_attended)
        x = self.sa_layer_norm((layout.first(x) if first_only else x) + attended)
        return self.output_layer_norm(x + self.ffn(x, key=of_feed_forward)), weights_BNSS


class Transformer(Composed, keras.layers.Layer):
    """The blocks, one after the other."""

    def __init__(self, config: EncoderConfig, *, policy: Policy, attended_dropout: float = 0.0) -> None:
        super().__init__(dtype=policy)
        self.layer = [
            Block(config, layer=i, policy=policy, attended_dropout=attended_dropout)
            for i in range(config.n_layers)
        ]
        #: In training, keep no activations within blocks, and compute them again in backward.
        self.recompute = False

    def call(
        self,
        x: Tensor,
        layout: Layout,
        *,
        head_mask_LN: Tensor | None = None,
        key: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        first_only: bool = False,
    ) -> BaseModelOutput:
        """
        Returns:
            States as the layout says; with ``first_only`` the last ones are those of first tokens alone.
        """
        states, attentions = [x], []
        columns, last = layout.columns, len(self.layer) - 1
        # What is computed again has a gradient for what it is given, and none for a mask that it closes over.
        recompute = self.recompute and head_mask_LN is None and not output_attentions
        for i, (block, own) in enumerate(zip(self.layer, keys(key, len(self.layer)), strict=True)):
            run = partial(
                _run,
                block,
                layout=layout,
                columns=columns,
                head_mask_N=None if head_mask_LN is None else head_mask_LN[i],
                key=own,
                with_weights=output_attentions,
                first_only=first_only and i == last,
            )
            x, weights_BNSS = (keras.remat(partial(_states, run))(x), None) if recompute else run(x)
            states.append(x)
            attentions.append(weights_BNSS)
        return BaseModelOutput(
            last_hidden_state=x,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


def _states(run: Callable[..., tuple[Tensor, Tensor | None]], x: Tensor) -> Tensor:
    return run(x)[0]


def _run(block: Block, x: Tensor, **given: Any) -> tuple[Tensor, Tensor | None]:
    return block(x, **given)


class Encoder(PreTrainedModel):
    """A base model: embeddings and blocks. Abstract.

    A final class makes both in ``_make`` and names its configuration's class.
    """

    embeddings: Embeddings
    transformer: Transformer
    output_class = BaseModelOutput

    @property
    def encoder(self) -> "Encoder":
        return self

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
        *,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            input_ids: [B, S], of the backend or numpy. Or a dictionary of these arguments, or a list of those
                that come first, as ``fit`` and ``predict`` give them.
            attention_mask: [B, S], 1 for live tokens and 0 for padding; None means all are live. Or
                [B, 1 or N, S, S], True where a token may attend, or numbers to add to the scores.
            head_mask: [N] or [L, N], a factor for each head's contribution.
            inputs_embeds: [B, S, D], in the place of ``input_ids``.
            output_attentions: return the weights of every block, [B, N, S, S] each.
            output_hidden_states: return the states before, between and after the blocks.
            return_dict: False gives a plain tuple.
            training: drop.
            position_ids: [B, S] or [S]; None counts the columns from 0.
            token_type_ids: [B, S], of a BERT: 0 for the first text and 1 for the second; None means all
                0. A DistilBERT has none: zeros pass, with a warning.

        Returns:
            ``last_hidden_state`` [B, S, D], zero where there is padding, and what was asked for.

        Raises:
            ConfigError: the attention cannot do what is asked of it.
            DataError: shapes or values that do not fit the model.
        """
        return self._answer(
            input_ids, training, attention_mask=attention_mask, head_mask=head_mask,
            inputs_embeds=inputs_embeds, output_attentions=output_attentions,
            output_hidden_states=output_hidden_states, return_dict=return_dict, position_ids=position_ids,
            token_type_ids=token_type_ids,
        )  # fmt: skip

    def batch(self, inputs: Mapping[str, Any], *, first_only: bool = False) -> Batch:
        """What a call is given, laid out."""
        return read(self.config, inputs, first_only=first_only)

    def _compute(
        self,
        batch: Batch,
        head_mask: Tensor | None,
        key: Tensor | None,
        labels: Any = None,
        *,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        encoded = self.encode(batch, head_mask, key, output_attentions, output_hidden_states)
        return BaseModelOutput(
            last_hidden_state=batch.layout.restore(encoded.last_hidden_state),
            hidden_states=restored(encoded.hidden_states, batch.layout),
            attentions=encoded.attentions,
        )

    def encode(
        self,
        batch: Batch,
        head_mask: Any = None,
        key: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """The states as the batch lies: what heads stand on."""
        of_embeddings, of_blocks = keys(key, 2)
        layers, heads = self.config.n_layers, self.config.n_heads
        return self.transformer(
            self.embeddings(
                batch.input_ids,
                inputs_embeds=batch.inputs_embeds,
                position_ids=batch.position_ids,
                token_type_ids=batch.token_type_ids,
                key=of_embeddings,
            ),
            layout=batch.layout,
            head_mask_LN=None if head_mask is None else ops.broadcast_to(head_mask, (layers, heads)),
            key=of_blocks,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            first_only=batch.first_only and not output_hidden_states,
        )

    @property
    def _attentions(self) -> list[SelfAttention]:
        return [block.attention for block in self.transformer.layer]

    def _prune(self) -> None:
        """Let go of the heads that the configuration says are pruned."""
        for i, one in enumerate(self._attentions):
            kept = tuple(kept_heads(self.config, i))
            if kept != one.heads:
                one.keep(kept)

    def _set_attention(self, implementation: str) -> None:
        kind = attention_class(implementation)
        self.config.attn_implementation = implementation
        for one in self._attentions:
            one.become(kind)


def restored(states: tuple[Tensor, ...] | None, layout: Layout) -> tuple[Tensor, ...] | None:
    """Hidden states with zeros at padding."""
    return None if states is None else tuple(layout.restore(state) for state in states)
