"""What can be changed of a model once it is built: tables, attention, memory for time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from distilbert.core import rules
from distilbert.jax.embeddings import sinusoids
from distilbert.jax.modules import Array
from distilbert.jax.published import Published

if TYPE_CHECKING:
    from distilbert.jax.encoder import Encoder

#: Of the covariance of the rows that a new row is drawn by around their mean.
_SPREAD = 1e-9


class Adjustable(Published):
    """The part of every model class that changes what is there. Abstract."""

    @property
    def encoder(self) -> "Encoder":
        """The base model: of a model with a head, what the head stands on."""
        raise NotImplementedError

    def get_input_embeddings(self) -> nnx.Embed:
        """The table of words."""
        return self.encoder.embeddings.word_embeddings

    def get_output_embeddings(self) -> Any:
        """The projection onto the vocabulary, where the model has one."""
        return None

    def get_position_embeddings(self) -> nnx.Embed:
        """The table of positions."""
        return self.encoder.embeddings.position_embeddings

    def resize_token_embeddings(
        self, new_num_tokens: int, pad_to_multiple_of: int | None = None, *, key: Array
    ) -> nnx.Embed:
        """Give the model another number of words: after ``tokenizer.add_tokens``, ``len(tokenizer)``.

        New rows are drawn closely around the mean of the old ones, so that new words neither win nor lose
        everywhere at first.

        Args:
            new_num_tokens: rows of the table.
            pad_to_multiple_of: make it a multiple of this.
            key: to draw by.

        Raises:
            ConfigError: a number that is no size, or none that the padding id is below.
        """
        self._refuse_hollow("given other words")
        words, config = self.get_input_embeddings(), self.config
        count = rules.integer(config.pad_token_id + 1)("new_num_tokens", new_num_tokens)
        if pad_to_multiple_of is not None:
            multiple = rules.integer(1)("pad_to_multiple_of", pad_to_multiple_of)
            count = -(-count // multiple) * multiple
        projector = self.get_output_embeddings()
        of_table, of_kernel, of_bias = jax.random.split(key, 3)
        words.embedding = nnx.Param(_resized(words.embedding[...], count, of_table))
        words.num_embeddings = count
        if projector is not None and projector.tied:
            bias_V = projector.bias[...][:count]
            projector.bias = nnx.Param(jnp.pad(bias_V, (0, count - len(bias_V))))
        elif projector is not None:
            projector.kernel = nnx.Param(_resized(projector.kernel[...].T, count, of_kernel).T)
            projector.bias = nnx.Param(_resized(projector.bias[...][:, None], count, of_bias)[:, 0])
        config.vocab_size = count
        return words

    def resize_position_embeddings(self, new_num_position_embeddings: int, *, key: Array) -> None:
        """Give the model another number of positions; longer texts then pass, and want training.

        Old rows stay. New ones are drawn from N(0, ``initializer_range``), or follow the sines of a
        sinusoidal table.

        Args:
            new_num_position_embeddings: rows of the table.
            key: to draw by.

        Raises:
            ConfigError: a number that is no size.
        """
        self._refuse_hollow("given other positions")
        count = rules.integer(1)("new_num_position_embeddings", new_num_position_embeddings)
        table, config = self.get_position_embeddings(), self.config
        old = table.embedding[...]
        if getattr(config, "sinusoidal_pos_embds", False):
            new = jnp.asarray(sinusoids(count, config.dim), old.dtype)
        else:
            new = config.initializer_range * jax.random.normal(key, (count, config.dim), old.dtype)
        kept = min(len(old), count)
        table.embedding = nnx.Param(new.at[:kept].set(old[:kept]))
        table.num_embeddings = count
        config.max_position_embeddings = count

    def prune_heads(self, heads_to_prune: Mapping[int, Sequence[int]]) -> None:
        """Take heads out for good; ``config.pruned_heads`` keeps which, across saving and loading.

        Args:
            heads_to_prune: numbers of heads of the unpruned model, by layer; -1 is the last layer.

        Raises:
            ConfigError: a head or layer that is not there, or all heads of a layer.
        """
        self._refuse_hollow("pruned")
        before = self.config.pruned_heads
        pruned = rules.heads_pruned(before, heads_to_prune, layers=self.config.n_layers)
        self.config.pruned_heads = pruned
        try:
            self.config.check()
        except ValueError:
            self.config.pruned_heads = before
            raise
        self.encoder._prune()

    def set_attention(self, implementation: str) -> None:
        """Choose the attention anew: "eager" or "dot_product_attention".

        Raises:
            ConfigError: there is no such implementation.
        """
        self.encoder._set_attention(implementation)

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """``set_attention``, under the peer's name."""
        self.set_attention(attn_implementation)

    def gradient_checkpointing_enable(self) -> None:
        """Keep no activations within blocks, and compute them again in backward."""
        self.encoder.transformer.recompute = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.encoder.transformer.recompute = False

    def enable_gradient_checkpointing(self) -> None:
        """``gradient_checkpointing_enable``, under the peer's name for Flax."""
        self.gradient_checkpointing_enable()

    @property
    def is_gradient_checkpointing(self) -> bool:
        return self.encoder.transformer.recompute


def _resized(old: Array, rows: int, key: Array) -> Array:
    """The first rows of a table, and new ones around the old ones' mean, by their covariance."""
    if rows <= len(old):
        return old[:rows]
    wide = old.astype(jnp.promote_types(old.dtype, jnp.float32))
    around = wide - wide.mean(0)
    # A mixture of the old rows has their covariance, without any matrix of it.
    mixed = jax.random.normal(key, (rows - len(old), len(old)), wide.dtype) @ around
    drawn = wide.mean(0) + mixed * (_SPREAD / len(old)) ** 0.5
    return jnp.concatenate([old, drawn.astype(old.dtype)])
