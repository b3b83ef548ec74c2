"""What vectors cost that lie where they should not: of texts that belong together, and of a teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive_losses(
    anchors_BE: Tensor, candidates_CE: Tensor, texts_B: Tensor, texts_C: Tensor, *, scale: float
) -> Tensor:
    """The negative log-likelihood of each anchor's own text among all candidates, [B].

    Henderson et al. 2017, section 4.4; with ``scale`` the inverse of a temperature, as of cosines. A
    candidate of the same words as the anchor, or as its own text, is no wrong answer and is left out.

    Args:
        anchors_BE: texts.
        candidates_CE: the text that belongs to each anchor, in their order, and then any others.
        texts_B: a number for each anchor, the same for the same words.
        texts_C: likewise, for each candidate.
        scale: of the cosines.
    """
    scores_BC = scale * _unit(anchors_BE) @ _unit(candidates_CE).T
    own_B = torch.arange(len(anchors_BE), device=scores_BC.device)
    same_BC = (texts_C[None] == texts_B[:, None]) | (texts_C[None] == texts_C[own_B][:, None])
    same_BC[own_B, own_B] = False
    return F.cross_entropy(scores_BC.masked_fill(same_BC, float("-inf")), own_B, reduction="none")


def cosine_error_sum(one_BE: Tensor, other_BE: Tensor, scores_B: Tensor) -> Tensor:
    """Squared differences of cosines and scores, summed over the rows whose score is known.

    Reimers and Gurevych 2019, section 3.
    """
    known_B = torch.isfinite(scores_B)
    differences_B = _cosines(one_BE, other_BE) - scores_B.nan_to_num()
    return differences_B.square().masked_fill(~known_B, 0.0).sum()


def margin_sum(anchors_BE: Tensor, near_BE: Tensor, far_BE: Tensor, *, margin: float) -> Tensor:
    """By how much anchors fail to be nearer to the one text than to the other by a margin, summed.

    Schroff et al. 2015, section 3.1; distance is one minus the cosine.
    """
    return (_cosines(anchors_BE, far_BE) - _cosines(anchors_BE, near_BE) + margin).clamp(min=0).sum()


def vector_error_sum(student_TE: Tensor, teacher_TE: Tensor) -> Tensor:
    """Squared distances of vectors, summed (Reimers and Gurevych 2020, section 2)."""
    return (_wide(student_TE) - _wide(teacher_TE)).square().sum()


def vector_cosine_sum(student_TE: Tensor, teacher_TE: Tensor) -> Tensor:
    """One minus the cosine of each vector with the teacher's, summed."""
    return (1.0 - _cosines(student_TE, teacher_TE)).sum()


def _cosines(one_BE: Tensor, other_BE: Tensor) -> Tensor:
    return (_unit(one_BE) * _unit(other_BE)).sum(-1)


def _unit(x_BE: Tensor) -> Tensor:
    return F.normalize(_wide(x_BE), dim=-1, eps=1e-12)


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
