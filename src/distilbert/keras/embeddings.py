"""Tokens to the states that the first block reads."""

import keras
import numpy as np
from keras import ops

from distilbert.core.config import EncoderConfig
from distilbert.keras.modules import Composed, Policy, Tensor, dropped, norm, table


class Embeddings(Composed, keras.layers.Layer):
    """Words and positions, and for a BERT token types, added and normalised."""

    def __init__(self, config: EncoderConfig, *, policy: Policy, type_vocab_size: int = 0) -> None:
        super().__init__(dtype=policy)
        self.word_embeddings = table(config.vocab_size, config.dim, policy)
        self.position_embeddings = table(config.max_position_embeddings, config.dim, policy)
        self.token_type_embeddings = table(type_vocab_size, config.dim, policy) if type_vocab_size else None
        self.LayerNorm = norm(config.dim, config.layer_norm_eps, policy)
        self.dropout = config.dropout
        self.padding = config.pad_token_id
        #: Sines are not learnt.
        self.frozen_positions = getattr(config, "sinusoidal_pos_embds", False)
        self.position_embeddings.trainable = not self.frozen_positions

    def call(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        key: Tensor | None = None,
    ) -> Tensor:
        """The states [B, S, D]; ``key`` drops some of their numbers."""
        x = inputs_embeds
        if input_ids is not None:
            x = self.word_embeddings(input_ids)
            # Padding has a row of its own in the table, and learns nothing.
            padding = ops.equal(input_ids, ops.cast(self.padding, input_ids.dtype))
            x = ops.where(padding[..., None], ops.stop_gradient(x), x)
        if position_ids is None:
            position_ids = ops.arange(ops.shape(x)[1], dtype="int32")
        positions = self.position_embeddings(position_ids)
        x = x + (ops.stop_gradient(positions) if self.frozen_positions else positions)
        if self.token_type_embeddings is not None:
            types = ops.zeros((1,), "int32") if token_type_ids is None else token_type_ids
            x = x + self.token_type_embeddings(types)
        return dropped(self.LayerNorm(x), self.dropout, key)


def sinusoids(positions: int, width: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Sines in the even columns and cosines in the odd ones (Vaswani et al. 2017, section 3.5)."""
    columns = np.arange(width)
    angles = np.arange(positions)[:, None] / 10000 ** (2 * (columns // 2) / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles)).astype(np.float32)
