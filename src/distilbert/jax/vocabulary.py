"""From states to the vocabulary: the table of words read the other way, or a kernel of its own.

Logits over a vocabulary are by far the largest arrays of a distillation. They exist for some tokens at a
time: those of a piece are made, scored, and made again where their gradient is asked for.
"""

from collections.abc import Callable, Mapping
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


#: Tokens of a piece: enough for a matrix product to be fast, few enough for their logits to be small.
PIECE = 128


def through_vocabulary(
    score: Callable[[Mapping[str, Array]], dict[str, Array]], given: Mapping[str, Array]
) -> dict[str, Array]:
    """The sums of what ``score`` says of every piece.

    Args:
        score: sums by name, of the rows of a piece; it makes their logits.
        given: by name, arrays of as many rows, a multiple of ``PIECE``.
    """
    pieces = {name: x.reshape(-1, PIECE, *x.shape[1:]) for name, x in given.items()}
    return {name: x.sum() for name, x in jax.lax.map(jax.checkpoint(score), pieces).items()}
