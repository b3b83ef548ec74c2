"""How the tokens of a batch lie: in rows with padding behind them, or end to end without any.

Shape letters, in all wings: B batch, S sequence, T tokens laid end to end, D model width, F feed-forward
width, N heads, H head width, V vocabulary, L layers, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor

#: The least and the most tokens of which a product with a vocabulary is computed at once: fewer are slow,
#: and more are no faster.
_LEAST, _MOST = 32, 256


class Padded:
    """Rows of one length, [B, S, ...].

    Attributes:
        live_BS: True for live tokens; None where all are.
        columns: what a token may attend to: None for everything, or [B, 1, 1, S], True where a column is
            live, or all True for a row without any live token, so that no softmax is over nothing; or a
            caller's own [B, 1 or N, S, S], of booleans or of numbers that are added to the scores.
    """

    def __init__(self, live_BS: Tensor | None = None, *, columns: Tensor | None = None) -> None:
        self.live_BS = live_BS
        self.columns = columns
        if live_BS is not None:
            self.columns = (live_BS | ~live_BS.any(dim=1, keepdim=True))[:, None, None, :]

    def first(self, x_BSD: Tensor) -> Tensor:
        """Of each row's first live token, [B, D]; under left padding that is not column 0."""
        if self.live_BS is None:
            return x_BSD[:, 0]
        columns_B = self.live_BS.int().argmax(dim=1)
        return x_BSD[torch.arange(x_BSD.shape[0], device=x_BSD.device), columns_B]

    def restore(self, x_BS: Tensor, fill: float = 0.0) -> Tensor:
        """The same, with ``fill`` at padding."""
        if self.live_BS is None:
            return x_BS
        live = self.live_BS.reshape(*self.live_BS.shape, *[1] * (x_BS.dim() - 2))
        return x_BS.masked_fill(~live, fill)

    def in_place_restored(self, x_BS: Tensor) -> Tensor:
        """``restore``, where that is possible between two blocks."""
        return self.restore(x_BS)

    def restore_through(self, compute: Callable[[Tensor], Tensor], x_BSD: Tensor, width: int) -> Tensor:
        """``restore`` of what ``compute`` makes of each token, so many numbers wide."""
        return self.restore(compute(x_BSD))

    def restore_first(self, x_BD: Tensor) -> Tensor:
        """Of each row, [B, D]; zeros for a row without live tokens."""
        if self.live_BS is None:
            return x_BD
        return x_BD.masked_fill(~self.live_BS.any(dim=1, keepdim=True), 0.0)

    def take(self, labels_BS: Tensor, ignored: int) -> Tensor:
        """Labels of the batch's tokens; ``ignored`` at padding."""
        return labels_BS if self.live_BS is None else labels_BS.masked_fill(~self.live_BS, ignored)


@dataclass(frozen=True, eq=False)
class Packed:
    """Texts end to end, [T, ...], ordered by length, so that those of one length lie side by side.

    Attributes:
        lengths: tokens of each text, ascending.
        places: where each token stands in the flattened batch that it came from.
        rows: which row or text of that batch each text is, [texts].
        shape: of that batch: [B, S], or [T] where it had no padding.
        texts: rows of that batch, those without live tokens included.
    """

    lengths: tuple[int, ...]
    places: Tensor
    rows: Tensor
    shape: tuple[int, ...]
    texts: int

    @classmethod
    def of_rows(cls, live_BS: Tensor, lengths: Sequence[int]) -> "tuple[Packed, Tensor]":
        """The live tokens of padded rows, and the column of each, [T]."""
        order = sorted((row for row, length in enumerate(lengths) if length), key=lengths.__getitem__)
        rows = torch.tensor(order, device=live_BS.device)
        which_T, columns_T = live_BS[rows].nonzero(as_tuple=True)
        places = rows[which_T] * live_BS.shape[1] + columns_T
        kept = tuple(lengths[row] for row in order)
        return cls(kept, places, rows, tuple(live_BS.shape), len(lengths)), columns_T

    @classmethod
    def of_texts(cls, lengths: Sequence[int], device: torch.device) -> "Packed":
        """Texts that already lie end to end, in any order."""
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
        places = torch.cat([torch.arange(lengths[i]) + starts[i] for i in order])
        kept = tuple(lengths[i] for i in order)
        rows = torch.tensor(order, device=device)
        return cls(kept, places.to(device), rows, (sum(kept),), len(kept))

    @property
    def runs(self) -> list[tuple[int, int]]:
        """How many texts there are of each length: (count, length)."""
        return [(len(list(same)), length) for length, same in groupby(self.lengths)]

    @cached_property
    def limits(self) -> Tensor:
        """Where each text begins, and the last one ends, as kernels take it: int32, [texts + 1]."""
        ends = torch.tensor((0, *self.lengths)).cumsum(0)
        return ends.to(self.places.device, torch.int32)

    @cached_property
    def owners_T(self) -> Tensor:
        """Which text each token is of."""
        counts = torch.tensor(self.lengths, device=self.places.device)
        return torch.repeat_interleave(counts, output_size=sum(self.lengths))

    def gather(self, x_BS: Tensor) -> Tensor:
        """Of the batch that the texts came from, what belongs to them: [T, ...]."""
        return x_BS.flatten(0, len(self.shape) - 1).index_select(0, self.places)

    def first(self, x_TD: Tensor) -> Tensor:
        """Of each text's first token, [texts, D]."""
        return x_TD.index_select(0, self.limits[:-1])

    def restore(self, x_T: Tensor, fill: float = 0.0) -> Tensor:
        """In the shape of the batch that the texts came from, with ``fill`` at padding."""
        whole = x_T.new_full((self._size, *x_T.shape[1:]), fill)
        return whole.index_copy_(0, self.places, x_T).unflatten(0, self.shape)

    def in_place_restored(self, x_T: Tensor) -> Tensor:  # nothing here is padding
        """The same."""
        return x_T

    def restore_through(self, compute: Callable[[Tensor], Tensor], x_TD: Tensor, width: int) -> Tensor:
        """``restore`` of what ``compute`` makes of each token, so many numbers wide.

        Without gradients the result is the largest array by far, and a second one beside it would take more
        memory than padding does. So a few tokens are computed at a time, as many as take no more than their
        padding would have; where those are too few to be fast, the tokens are put back first.
        """
        if torch.is_grad_enabled():
            return self.restore(compute(x_TD))
        tokens, places = len(x_TD), self._size
        at_once = min((2 * places - tokens) * x_TD.shape[1] // width, _MOST)
        if at_once < _LEAST or tokens == places:
            whole = compute(self.restore(x_TD))
            if tokens < places:
                padding = torch.ones(places, dtype=torch.bool, device=x_TD.device)
                padding = padding.index_fill_(0, self.places, False).nonzero()[:, 0]
                whole.flatten(0, len(self.shape) - 1).index_fill_(0, padding, 0.0)
            return whole
        first = compute(x_TD[:at_once])
        whole = first.new_zeros((places, width)).index_copy_(0, self.places[:at_once], first)
        del first
        for start in range(at_once, tokens, at_once):
            piece = slice(start, start + at_once)
            whole.index_copy_(0, self.places[piece], compute(x_TD[piece]))
        return whole.unflatten(0, self.shape)

    def restore_first(self, x_BD: Tensor) -> Tensor:
        """In the order of the batch that the texts came from; zeros for a row without live tokens."""
        return x_BD.new_zeros((self.texts, *x_BD.shape[1:])).index_copy_(0, self.rows, x_BD)

    def take(self, labels_BS: Tensor, ignored: int) -> Tensor:  # nothing here is padding
        """Labels of the batch's tokens, [T]."""
        return self.gather(labels_BS)

    @property
    def _size(self) -> int:
        return self.shape[0] * self.shape[1] if len(self.shape) > 1 else self.shape[0]


Layout = Padded | Packed
