"""Flax's own layers, made hollow: their shapes and types stand, and their numbers are set once, afterwards.

A model's initial weights are drawn by the roles that the manifest gives them (``pretrained.py``), and a
folder's are read; drawing others first would be time and memory for nothing.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

Array = Any


@dataclass(frozen=True)
class Kinds:
    """Types: in which a model computes, and in which its parameters are kept."""

    dtype: Any
    param_dtype: Any


class _NoKeys(nnx.Rngs):
    """In the place of generators, where nothing is drawn."""

    def __init__(self) -> None:
        super().__init__()

    def params(self) -> None:
        """No key."""


def _hollow(_key: Any, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def linear(inputs: int, outputs: int, kinds: Kinds) -> nnx.Linear:
    """A kernel [in, out] and a bias."""
    return nnx.Linear(
        inputs,
        outputs,
        dtype=kinds.dtype,
        param_dtype=kinds.param_dtype,
        kernel_init=_hollow,
        bias_init=_hollow,
        rngs=_NoKeys(),
    )


def table(rows: int, width: int, kinds: Kinds) -> nnx.Embed:
    """A row for each number."""
    return nnx.Embed(
        rows,
        width,
        dtype=kinds.dtype,
        param_dtype=kinds.param_dtype,
        embedding_init=_hollow,
        rngs=_NoKeys(),
    )


def norm(width: int, eps: float, kinds: Kinds) -> nnx.LayerNorm:
    """Over the last axis, its statistics in fp32 at least.

    Flax's usual variance, the mean square less the square mean, loses the digits that parity is about.
    """
    return nnx.LayerNorm(
        width,
        epsilon=eps,
        dtype=kinds.dtype,
        param_dtype=kinds.param_dtype,
        scale_init=_hollow,
        bias_init=_hollow,
        use_fast_variance=False,
        rngs=_NoKeys(),
    )


def dropped(x: Array, rate: float, key: Array | None) -> Array:
    """Some of the numbers taken out and the others made larger; all of them stay where there is no key."""
    if key is None or not rate:
        return x
    kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    # At a rate of 1 nothing is kept, and what is not kept may not become a number that is none.
    return jnp.where(kept, x / max(1.0 - rate, 1e-7), jnp.zeros((), x.dtype)).astype(x.dtype)


def keys(key: Array | None, count: int) -> list[Array | None]:
    """So many keys out of one; none out of none."""
    return [None] * count if key is None else list(jax.random.split(key, count))
