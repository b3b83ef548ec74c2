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
        kernel_DV = ops.transpose(self._table(words)) if self.tied else self.kernel
        # As one matrix: of a product over further axes TensorFlow holds a gradient of the kernel for each.
        logits = ops.matmul(ops.reshape(x_TD, (-1, self.width)), kernel_DV) + self.bias
        return ops.reshape(logits, (*ops.shape(x_TD)[:-1], self.rows))

    def _table(self, words: Any) -> Tensor:
        """The table of words [V, D]; a quantised one holds codes, and the layer says what they stand for."""
        quantized = getattr(words, "quantization_mode", None)
        return words(ops.arange(self.rows)) if quantized else words.embeddings
