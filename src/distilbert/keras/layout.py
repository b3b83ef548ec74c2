"""How the tokens of a batch lie: in rows with padding behind them.

Shape letters, in all wings: B batch, S sequence, T tokens laid end to end, D model width, F feed-forward
width, N heads, H head width, V vocabulary, L layers, C classes.
"""

from dataclasses import dataclass
from typing import Any

from keras import ops

from distilbert.keras.modules import Tensor


@dataclass(frozen=True, eq=False)
class Padded:
    """Rows of one text each, [B, S, ...].

    Attributes:
        live_BS: True for live tokens; None where all are.
        pairs: a caller's own mask, [B, 1 or N, S, S], of booleans or of numbers that are added to the scores.
    """

    live_BS: Tensor | None = None
    pairs: Tensor | None = None

    @property
    def columns(self) -> Tensor | None:
        """What a token may attend to: None for everything, or [B, 1, 1, S], True where a column is live.

        All are True for a row without any live token, so that no softmax is over nothing.
        """
        if self.live_BS is None:
            return self.pairs
        live_BS = ops.logical_or(self.live_BS, ops.logical_not(ops.any(self.live_BS, axis=1, keepdims=True)))
        return live_BS[:, None, None, :]

    def first(self, x_BSD: Tensor) -> Tensor:
        """Of each row's first live token, [B, D]; under left padding that is not column 0."""
        if self.live_BS is None:
            return x_BSD[:, 0]
        columns_B = ops.argmax(ops.cast(self.live_BS, "int32"), axis=1)
        return ops.take_along_axis(x_BSD, columns_B[:, None, None], axis=1)[:, 0]

    def restore(self, x_BS: Tensor, fill: float = 0.0) -> Tensor:
        """The same, with ``fill`` at padding."""
        return x_BS if self.live_BS is None else _filled(x_BS, self.live_BS, fill)

    def restore_first(self, x_BD: Tensor) -> Tensor:
        """Of each row, [B, D]; zeros for a row without live tokens."""
        return x_BD if self.live_BS is None else _filled(x_BD, ops.any(self.live_BS, axis=1), 0.0)

    def take(self, labels_BS: Tensor, ignored: int) -> Tensor:
        """Labels of the batch's tokens; ``ignored`` at padding."""
        if self.live_BS is None:
            return labels_BS
        return ops.where(self.live_BS, labels_BS, ops.cast(ignored, labels_BS.dtype))


Layout = Padded


def _filled(x: Any, kept: Tensor, fill: float) -> Tensor:
    """``fill`` in the place of all that is not kept."""
    for _ in range(len(x.shape) - len(kept.shape)):
        kept = kept[..., None]
    return ops.where(kept, x, ops.cast(fill, x.dtype))
