"""Tokens to the states that the first block reads."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core.config import EncoderConfig
from distilbert.jax.batch import Batch
from distilbert.jax.modules import Array, Kinds, dropped, norm, table


class Embeddings(nnx.Module):
    """Words and positions, and for a BERT token types, added and normalised."""

    def __init__(self, config: EncoderConfig, *, kinds: Kinds, type_vocab_size: int = 0) -> None:
        self.word_embeddings = table(config.vocab_size, config.dim, kinds)
        self.position_embeddings = table(config.max_position_embeddings, config.dim, kinds)
        if type_vocab_size:
            self.token_type_embeddings = table(type_vocab_size, config.dim, kinds)
        self.LayerNorm = norm(config.dim, config.layer_norm_eps, kinds)
        self.dropout = config.dropout
        self.padding = config.pad_token_id
        self.dtype = kinds.dtype
        #: Sines are not learnt.
        self.frozen_positions = getattr(config, "sinusoidal_pos_embds", False)

    def __call__(self, batch: Batch, key: Array | None = None) -> Array:
        """The states [B, S, D], as the batch lies; ``key`` drops some of their numbers."""
        if batch.input_ids is None:
            x = jnp.asarray(batch.inputs_embeds, self.dtype)
        else:
            ids = jnp.asarray(batch.input_ids)
            x = self.word_embeddings(ids)
            # Padding has a row of its own in the table, and learns nothing.
            x = jnp.where((ids == self.padding)[..., None], jax.lax.stop_gradient(x), x)
        position_ids = batch.position_ids
        if position_ids is None:
            position_ids = jnp.arange(x.shape[-2])
        positions = self.position_embeddings(jnp.asarray(position_ids))
        x = x + (jax.lax.stop_gradient(positions) if self.frozen_positions else positions)
        if hasattr(self, "token_type_embeddings"):
            types = batch.token_type_ids
            types = jnp.zeros((1,), jnp.int32) if types is None else jnp.asarray(types)
            x = x + self.token_type_embeddings(types)
        return dropped(self.LayerNorm(x), self.dropout, key)


def sinusoids(positions: int, width: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Sines in the even columns and cosines in the odd ones (Vaswani et al. 2017, section 3.5)."""
    columns = np.arange(width)
    angles = np.arange(positions)[:, None] / 10000 ** (2 * (columns // 2) / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles)).astype(np.float32)
