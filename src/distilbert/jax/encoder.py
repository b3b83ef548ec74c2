"""The encoder: blocks one after the other, and what every base model does with them.

A DistilBERT is a BERT with half the layers, no token types and no pooler. GELU is the erf form, LayerNorm's
epsilon is ``LAYER_NORM_EPS``, and each block adds first and normalises after (post-LN). The same blocks
make both (``distilbert.py``, ``bert.py``). Shape letters stand in ``layout.py``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core import calls
from distilbert.core.config import EncoderConfig
from distilbert.core.outputs import BaseModelOutput
from distilbert.core.parameters import kept_heads
from distilbert.jax.attention import SelfAttention
from distilbert.jax.batch import Batch, read
from distilbert.jax.embeddings import Embeddings
from distilbert.jax.implementations import attention, attention_class
from distilbert.jax.layout import Layout
from distilbert.jax.modules import Array, Kinds, dropped, keys, linear, norm
from distilbert.jax.pretrained import PreTrainedModel


def _quick_gelu(x: Array) -> Array:
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_new": partial(jax.nn.gelu, approximate=True),
    "gelu_pytorch_tanh": partial(jax.nn.gelu, approximate=True),
    "quick_gelu": _quick_gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}


def activation(config: EncoderConfig) -> Any:
    """The configuration's activation as a function of an array."""
    return config.activation if callable(config.activation) else ACTIVATIONS[config.activation]


class FeedForward(nnx.Module):
    """Wider and back, with an activation between."""

    def __init__(self, config: EncoderConfig, *, kinds: Kinds) -> None:
        self.lin1 = linear(config.dim, config.hidden_dim, kinds)
        self.lin2 = linear(config.hidden_dim, config.dim, kinds)
        self.activation = activation(config)
        self.dropout = config.dropout
        self.chunk = config.chunk_size_feed_forward

    def __call__(self, x: Array, key: Array | None = None) -> Array:
        if not self.chunk or x.ndim < 3:
            return self._feed(x, key)
        parts = [x[:, start : start + self.chunk] for start in range(0, x.shape[1], self.chunk)]
        each = zip(parts, keys(key, len(parts)), strict=True)
        return jnp.concatenate([self._feed(part, own) for part, own in each], axis=1)

    def _feed(self, x: Array, key: Array | None) -> Array:
        return dropped(self.lin2(self.activation(self.lin1(x))), self.dropout, key)


class Block(nnx.Module):
    """Attention and feed-forward, each added to its input and normalised.

    A BERT drops some of what its attention gives; a DistilBERT does not.
    """

    def __init__(
        self, config: EncoderConfig, *, layer: int, kinds: Kinds, attended_dropout: float = 0.0
    ) -> None:
        self.attention = attention(config, layer=layer, kinds=kinds)
        self.attended_dropout = attended_dropout
        self.sa_layer_norm = norm(config.dim, config.layer_norm_eps, kinds)
        self.ffn = FeedForward(config, kinds=kinds)
        self.output_layer_norm = norm(config.dim, config.layer_norm_eps, kinds)

    def __call__(
        self,
        x: Array,
        layout: Layout,
        columns: Array | None,
        head_mask_N: Array | None = None,
        key: Array | None = None,
        with_weights: bool = False,
        first_only: bool = False,
    ) -> tuple[Array, Array | None]:
        of_attention, of_attended, of_feed_forward = keys(key, 3)
        attended, weights_BNSS = self.attention(
            x,
            layout,
            columns,
            head_mask_N=head_mask_N,
            key=of_attention,
            with_weights=with_weights,
            first_only=first_only,
        )
        attended = dropped(attended, self.attended_dropout, of_attended)
        x = self.sa_layer_norm((layout.first(x) if first_only else x) + attended)
        return self.output_layer_norm(x + self.ffn(x, of_feed_forward)), weights_BNSS


class Transformer(nnx.Module):
    """The blocks, one after the other."""

    def __init__(self, config: EncoderConfig, *, kinds: Kinds, attended_dropout: float = 0.0) -> None:
        self.layer = nnx.List(
            Block(config, layer=i, kinds=kinds, attended_dropout=attended_dropout)
            for i in range(config.n_layers)
        )
        #: In training, keep no activations within blocks, and compute them again in backward.
        self.recompute = False

    def __call__(
        self,
        x: Array,
        layout: Layout,
        *,
        head_mask_LN: Array | None = None,
        key: Array | None = None,
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
        run = nnx.remat(_run, static_argnums=(6, 7)) if self.recompute else _run
        for i, (block, own) in enumerate(zip(self.layer, keys(key, len(self.layer)), strict=True)):
            head_mask_N = None if head_mask_LN is None else head_mask_LN[i]
            x, weights_BNSS = run(
                block, x, layout, columns, head_mask_N, own, output_attentions, first_only and i == last
            )
            states.append(x)
            attentions.append(weights_BNSS)
        return BaseModelOutput(
            last_hidden_state=x,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


def _run(block: Block, *given: Any) -> tuple[Array, Array | None]:
    return block(*given)


class Encoder(PreTrainedModel):
    """A base model: embeddings and blocks. Abstract.

    A final class makes both in its constructor and names its configuration's class.
    """

    embeddings: Embeddings
    transformer: Transformer
    lies_as_tokens = ("last_hidden_state",)

    @property
    def encoder(self) -> "Encoder":
        return self

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Array | None = None,
        head_mask: Array | None = None,
        params: Any = None,
        dropout_rng: Any = None,
        train: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        inputs_embeds: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
    ) -> Any:
        """
        Args:
            input_ids: [B, S], of JAX or numpy; or a ``PackedBatch``, or what ``batch`` has made, which take
                the place of all other inputs.
            attention_mask: [B, S], 1 for live tokens and 0 for padding; None means all are live. Or
                [B, 1 or N, S, S], True where a token may attend, or numbers to add to the scores.
            head_mask: [N] or [L, N], a factor for each head's contribution.
            params: a tree like ``model.params``, to compute with in the place of the model's own.
            dropout_rng: the key, or the ``nnx.Rngs``, to drop by in training.
            train: drop; None drops after ``model.train()``.
            output_attentions: return the weights of every block, [B, N, S, S] each.
            output_hidden_states: return the states before, between and after the blocks.
            return_dict: False gives a plain tuple.
            inputs_embeds: [B, S, D], in the place of ``input_ids``.
            position_ids: [B, S] or [S]; None counts the columns from 0.
            token_type_ids: [B, S], of a BERT: 0 for the first text and 1 for the second; None means all
                0. A DistilBERT has none: zeros pass, with a warning.

        Returns:
            ``last_hidden_state`` [B, S, D], zero where there is padding, and what was asked for. For a
            packed batch states lie in its rows, [R, S, D].

        Raises:
            ConfigError: the attention cannot do what is asked of it, or there is no key to drop by.
            DataError: shapes or values that do not fit the model.
        """
        return self._answer(
            (input_ids, attention_mask, inputs_embeds, position_ids, token_type_ids),
            head_mask, params, dropout_rng, train, output_attentions, output_hidden_states, return_dict,
        )  # fmt: skip

    def batch(
        self,
        input_ids: Any,
        attention_mask: Array | None = None,
        inputs_embeds: Array | None = None,
        position_ids: Array | None = None,
        token_type_ids: Array | None = None,
        *,
        output_attentions: bool = False,
        first_only: bool = False,
    ) -> Batch:
        """What a call is given, checked and laid out; a call takes it in the place of it all."""
        batch = read(
            self.config,
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            weights=output_attentions,
            first_only=first_only,
        )
        if batch.inputs_embeds is not None:
            kind, own = str(batch.inputs_embeds.dtype), np.dtype(self.dtype).name
            wider = jnp.promote_types(batch.inputs_embeds.dtype, self.dtype) != self.dtype
            calls.refuse_wider(kind, own, wider=wider, cast="inputs_embeds.astype(model.dtype)")
        return batch

    def _compute(
        self,
        batch: Batch,
        head_mask: Array | None,
        key: Array | None,
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
        head_mask: Array | None = None,
        key: Array | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """The states as the batch lies, in pure JAX: what heads stand on, and compiled functions may call."""
        of_embeddings, of_blocks = keys(key, 2)
        return self.transformer(
            self.embeddings(batch, of_embeddings),
            batch.layout,
            head_mask_LN=None
            if head_mask is None
            else jnp.broadcast_to(head_mask, (self.config.n_layers, self.config.n_heads)),
            key=of_blocks,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            first_only=batch.first_only and not output_hidden_states,
        )

    @property
    def _attentions(self) -> list[SelfAttention]:
        return [block.attention for block in self.transformer.layer]

    def _set_attention(self, implementation: str) -> None:
        kind = attention_class(implementation)
        self.config.attn_implementation = implementation
        for one in self._attentions:
            one.become(kind)

    def _prune(self) -> None:
        """Let go of the heads that the configuration says are pruned."""
        for i, one in enumerate(self._attentions):
            kept = tuple(kept_heads(self.config, i))
            if kept != one.heads:
                one.keep(kept)


def restored(states: tuple[Array, ...] | None, layout: Layout) -> tuple[Array, ...] | None:
    """Hidden states with zeros at padding."""
    return None if states is None else tuple(layout.restore(state) for state in states)
