"""How the tokens of a batch lie: in rows with padding behind them, or with several texts to a row.

Shape letters, in all wings: B batch, S sequence, T tokens laid end to end, D model width, F feed-forward
width, N heads, H head width, V vocabulary, L layers, C classes. Here R are rows that hold several texts, and
K texts.

Both pass through whatever takes trees: compiled functions, gradients, maps.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Array = Any


@partial(jax.tree_util.register_dataclass, data_fields=["live_BS", "pairs"], meta_fields=[])
@dataclass(frozen=True, eq=False)
class Padded:
    """Rows of one text each, [B, S, ...].

    Attributes:
        live_BS: True for live tokens; None where all are.
        pairs: a caller's own mask, [B, 1 or N, S, S], of booleans or of numbers that are added to the scores;
            what attends to what is then its alone to say.
    """

    live_BS: Array | None = None
    pairs: Array | None = None

    @property
    def columns(self) -> Array | None:
        """What a token may attend to: None for everything, or [B, 1, 1, S], True where a column is live.

        All are True for a row without any live token, so that no softmax is over nothing.
        """
        if self.pairs is not None or self.live_BS is None:
            return self.pairs
        live_BS = jnp.asarray(self.live_BS)
        return (live_BS | ~live_BS.any(axis=1, keepdims=True))[:, None, None, :]

    def first(self, x_BSD: Array) -> Array:
        """Of each row's first live token, [B, D]; under left padding that is not column 0."""
        if self.live_BS is None:
            return x_BSD[:, 0]
        columns_B = jnp.argmax(self.live_BS, axis=1)
        return jnp.take_along_axis(x_BSD, columns_B[:, None, None], axis=1)[:, 0]

    def restore(self, x_BS: Array, fill: float = 0.0) -> Array:
        """The same, with ``fill`` at padding."""
        return x_BS if self.live_BS is None else _filled(x_BS, self.live_BS, fill)

    def restore_first(self, x_BD: Array) -> Array:
        """Of each row, [B, D]; zeros for a row without live tokens."""
        return x_BD if self.live_BS is None else _filled(x_BD, jnp.any(self.live_BS, axis=1), 0.0)

    def take(self, labels_BS: Array, ignored: int) -> Array:
        """Labels of the batch's tokens; ``ignored`` at padding."""
        return labels_BS if self.live_BS is None else jnp.where(self.live_BS, labels_BS, ignored)


@partial(jax.tree_util.register_dataclass, data_fields=["segment_ids_RS", "starts_K"], meta_fields=[])
@dataclass(frozen=True, eq=False)
class Packed:
    """Several texts to a row, [R, S, ...]; no token of one attends to another's.

    They stay in their rows, whose shape is what a compiled function is compiled for: laid end to end, every
    number of tokens would be another graph.

    Attributes:
        segment_ids_RS: the number of the text that a token is of, counted from 1; 0 is padding.
        starts_K: where in the flattened rows each text begins, text after text.
    """

    segment_ids_RS: Array
    starts_K: Array

    @property
    def columns(self) -> Array:
        """Which tokens are of one text, [R, 1, S, S]; padding is a text of its own."""
        ids_RS = jnp.asarray(self.segment_ids_RS)
        return (ids_RS[:, :, None] == ids_RS[:, None, :])[:, None]

    def first(self, x_RSD: Array) -> Array:
        """Of each text's first token, [K, D]."""
        return x_RSD.reshape(-1, x_RSD.shape[-1])[self.starts_K]

    def restore(self, x_RS: Array, fill: float = 0.0) -> Array:
        """The same, with ``fill`` at padding."""
        return _filled(x_RS, self.segment_ids_RS > 0, fill)

    def restore_first(self, x_KD: Array) -> Array:  # every text has a token
        """The same."""
        return x_KD

    def take(self, labels_RS: Array, ignored: int) -> Array:
        """Labels of the batch's tokens; ``ignored`` at padding."""
        return jnp.where(self.segment_ids_RS > 0, labels_RS, ignored)

    def in_rows(self, x_RS: Array, fill: float) -> Array:
        """Of numbers of tokens, each text's in a row of its own: [K, S], with ``fill`` behind them."""
        flat_T, ids_T = x_RS.reshape(-1), self.segment_ids_RS.reshape(-1)
        places_KS = self.starts_K[:, None] + jnp.arange(x_RS.shape[1])
        within_KS = places_KS < flat_T.shape[0]
        places_KS = jnp.minimum(places_KS, flat_T.shape[0] - 1)
        own_KS = within_KS & (ids_T[places_KS] == ids_T[self.starts_K][:, None])
        return jnp.where(own_KS, flat_T[places_KS], fill)


Layout = Padded | Packed


def _filled(x: Array, kept: Array, fill: float) -> Array:
    """``fill`` in the place of all that is not kept."""
    kept = jnp.asarray(kept).reshape(*kept.shape, *[1] * (x.ndim - kept.ndim))
    return jnp.where(kept, x, jnp.asarray(fill, x.dtype))
