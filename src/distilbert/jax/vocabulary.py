"""From states to the vocabulary: the table of words read the other way, or a kernel of its own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from distilbert.core.config import EncoderConfig
from distilbert.jax.modules import Array, Kinds, linear


class VocabularyProjector(nnx.Module):
    """Logits over the vocabulary. Tied, it has a bias alone, as published trees do."""

    def __init__(self, config: EncoderConfig, *, kinds: Kinds) -> None:
        made: Any = linear(config.dim, config.vocab_size, kinds)
        self.bias = made.bias
        self.tied = config.tie_word_embeddings
        self.dtype = kinds.dtype
        if not self.tied:
            self.kernel = made.kernel

    def __call__(self, x_TD: Array, words: nnx.Embed) -> Array:
        """Logits [..., V] of [..., D]; ``words`` is the table of words."""
        kernel_DV = words.embedding[...].T if self.tied else self.kernel[...]
        x_TD, kernel_DV, bias_V = (jnp.asarray(x, self.dtype) for x in (x_TD, kernel_DV, self.bias[...]))
        return jax.lax.dot_general(x_TD, kernel_DV, (((x_TD.ndim - 1,), (0,)), ((), ()))) + bias_V
