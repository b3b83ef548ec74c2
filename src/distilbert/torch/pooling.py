"""From an encoder's hidden states to one vector a text, without padding: ``core/pooling.py`` in PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distilbert.core.data.packing import pack
from distilbert.core.pooling import Pooling
from distilbert.torch.pretrained import PreTrainedModel


@dataclass(frozen=True)
class _Texts:
    """Texts end to end, each with at least one token.

    Attributes:
        states: in full precision, [T, D].
        owners: which text each token is of, [T].
        places: the column of each token in its text, counted from 1, [T].
        counts: tokens of each text, [B, 1].
    """

    states: Tensor
    owners: Tensor
    places: Tensor
    counts: Tensor

    def weighed(self, weights_T1: Tensor) -> Tensor:
        """The weighted sum of each text's states."""
        return self.zeros().index_add(0, self.owners, self.states * weights_T1)

    def zeros(self) -> Tensor:
        return self.states.new_zeros((len(self.counts), self.states.shape[1]))

    def at(self, ends_B: Tensor) -> Tensor:
        return self.states.index_select(0, ends_B)

    @property
    def ends_B(self) -> Tensor:
        """One past each text's last token."""
        return self.counts[:, 0].cumsum(0).long()


def _sum(texts: _Texts) -> Tensor:
    return texts.zeros().index_add(0, texts.owners, texts.states)


def _max(texts: _Texts) -> Tensor:
    where_TD = texts.owners[:, None].expand_as(texts.states)
    return texts.zeros().scatter_reduce(0, where_TD, texts.states, "amax", include_self=False)


def _weighted(texts: _Texts) -> Tensor:
    places_T1 = texts.places[:, None].to(texts.states.dtype)
    totals_B1 = texts.counts.new_zeros(texts.counts.shape).index_add(0, texts.owners, places_T1)
    return texts.weighed(places_T1) / totals_B1


_POOLINGS: dict[str, Callable[[_Texts], Tensor]] = {
    "cls": lambda texts: texts.at(texts.ends_B - texts.counts[:, 0].long()),
    "max": _max,
    "mean": lambda texts: _sum(texts) / texts.counts,
    "mean_sqrt_len_tokens": lambda texts: _sum(texts) / texts.counts.sqrt(),
    "weightedmean": _weighted,
    "lasttoken": lambda texts: texts.at(texts.ends_B - 1),
}


def pooled(model: PreTrainedModel, texts: Sequence[Any], pooling: Pooling, *, skipped: int = 0) -> Tensor:
    """One vector a text, in full precision, [texts, D times the number of poolings].

    Args:
        model: an encoder without a head.
        texts: the ids of each, special tokens included.
        pooling: of the last hidden states.
        skipped: tokens at the beginning of every text that are read and not pooled; each text is longer.
    """
    states_TD = model(pack(texts), return_dict=True).last_hidden_state
    return _of_states(states_TD, torch.tensor([len(text) for text in texts]), pooling, skipped)


def pooled_rows(
    model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, pooling: Pooling
) -> Tensor:
    """The same of padded rows, [B, S]."""
    states_BSD = model(input_ids, attention_mask, return_dict=True).last_hidden_state
    live_BS = attention_mask != 0
    return _of_states(states_BSD[live_BS], live_BS.sum(1).cpu(), pooling, 0)


def _of_states(states_TD: Tensor, lengths: Tensor, pooling: Pooling, skipped: int) -> Tensor:
    """Of texts' states that lie end to end."""
    owners_T = torch.repeat_interleave(lengths)
    places_T = torch.arange(len(owners_T)) - (lengths.cumsum(0) - lengths)[owners_T] + 1
    if skipped:
        kept_T = (places_T > skipped).nonzero()[:, 0]
        owners_T, places_T, lengths = owners_T[kept_T], places_T[kept_T], lengths - skipped
        states_TD = states_TD.index_select(0, kept_T.to(states_TD.device))
    # Sums of many numbers, and the divisions after them, are no place for half precision.
    states_TD = states_TD.to(torch.promote_types(states_TD.dtype, torch.float32))
    laid = _Texts(
        states_TD,
        owners_T.to(states_TD.device),
        places_T.to(states_TD.device),
        lengths[:, None].to(states_TD.device, states_TD.dtype),
    )
    return torch.cat([_POOLINGS[mode](laid) for mode in pooling.modes], dim=1)
