"""From states to the vocabulary: the table of words read the other way, or a kernel of its own."""

from typing import Any

import keras
from keras import ops

from distilbert.core.config import EncoderConfig
from distilbert.keras.modules import Policy, Tensor


class VocabularyProjector(keras.layers.Layer):
    """Logits over the vocabulary. Tied, it has a bias alone, as published files do."""

    def __init__(self, config: EncoderConfig, *, policy: Policy) -> None:
        super().__init__(dtype=policy)
        self.rows, self.width = config.vocab_size, config.dim
        self.tied = config.tie_word_embeddings

    def build(self, _input_shape: Any = None) -> None:
        """Make its parameters."""
        self.bias = self.add_weight(shape=(self.rows,), initializer="zeros", name="bias")
        if not self.tied:
            self.kernel = self.add_weight(shape=(self.width, self.rows), initializer="zeros", name="kernel")

    def call(self, x_TD: Tensor, *, words: Any) -> Tensor:
        """Logits [..., V] of [..., D]; ``words`` is the table of words."""
        if self.tied:
            # A quantised table holds codes: what they stand for, the layer itself says.
            quantized = getattr(words, "quantization_mode", None)
            table_VD = words(ops.arange(self.rows)) if quantized else words.embeddings
            return ops.einsum("...d,vd->...v", x_TD, table_VD) + self.bias
        return ops.matmul(x_TD, self.kernel) + self.bias
