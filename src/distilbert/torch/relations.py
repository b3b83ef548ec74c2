"""How the words of a text relate to each other in one layer, student's against teacher's.

Wang et al. 2021 (MiniLMv2): queries, keys and values are split anew into relation heads, as many in both
models, so that their widths and numbers of attention heads may differ; of each the relations of all pairs of
a text's tokens are compared. No projection is learnt.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from distilbert.errors import ConfigError
from distilbert.torch.attention import SelfAttention


def check_relation_heads(heads: int, *widths: int) -> None:
    """
    Raises:
        ConfigError: they do not divide one of the widths.
    """
    if any(width % heads for width in widths):
        fitting = [n for n in range(1, min(widths) + 1) if not any(width % n for width in widths)]
        raise ConfigError(
            "relation_heads must divide the widths of both models' queries, keys and values.",
            received=f"relation_heads={heads}, widths {' and '.join(map(str, widths))}",
            remedy=f"Choose one of {', '.join(map(str, fitting[-6:]))}.",
        )


def relation_sum(
    student: tuple[SelfAttention, Tensor],
    teacher: tuple[SelfAttention, Tensor],
    lengths: Sequence[int],
    *,
    heads: int,
) -> Tensor:
    """Divergence of the student's relations from the teacher's, summed over tokens.

    Of a token it is the mean over relation heads and over queries, keys and values.

    Args:
        student: an attention, and the states [T, D] that it reads, text after text.
        teacher: likewise, of any width.
        lengths: of the texts.
        heads: relation heads of each.
    """
    total = student[1].new_zeros((), dtype=torch.promote_types(student[1].dtype, torch.float32))
    own, other = (_projected(*side) for side in (student, teacher))
    for own_TD, other_TD in zip(own, other, strict=True):
        for own_RS, other_RS in zip(
            _relations(own_TD, lengths, heads), _relations(other_TD.detach(), lengths, heads), strict=True
        ):
            total = total + F.kl_div(own_RS, other_RS, reduction="sum", log_target=True)
    return total / (3 * heads)


def _projected(attention: SelfAttention, states_TD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return attention.q_lin(states_TD), attention.k_lin(states_TD), attention.v_lin(states_TD)


def _relations(x_TD: Tensor, lengths: Sequence[int], heads: int) -> Iterator[Tensor]:
    """Log-shares [texts, heads, S, S] of texts of one length that follow each other."""
    runs = [(len(list(same)), length) for length, same in groupby(lengths)]
    for (count, _), x in zip(runs, x_TD.split([count * length for count, length in runs]), strict=True):
        x_BNSH = x.unflatten(0, (count, -1)).unflatten(-1, (heads, -1)).transpose(1, 2)
        scores = (x_BNSH @ x_BNSH.transpose(-1, -2)) / math.sqrt(x_BNSH.shape[-1])
        yield F.log_softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), dim=-1)
