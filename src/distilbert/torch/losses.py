"""What an answer costs.

The losses of training runs are sums over rows; whoever sums them up divides once, by the count of all
rows of an optimiser step, so that no row weighs more for standing in a small batch. Each is given in
plain numpy in ``core/reference.py``.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.errors import DataError


def cross_entropy_sum(logits_TC: Tensor, labels_T: Tensor) -> Tensor:
    """Negative log-likelihood of the labels, summed over the rows."""
    return F.cross_entropy(_at_least_fp32(logits_TC), labels_T, reduction="sum")


def distribution_sum(student_TC: Tensor, teacher_TC: Tensor, *, temperature: float) -> Tensor:
    """Divergence of the student from the teacher at a temperature, times its square, summed over the rows.

    Hinton et al. 2015, section 2: the square keeps the gradient's size the same at every temperature.
    """
    student = F.log_softmax(_at_least_fp32(student_TC) / temperature, dim=-1)
    teacher = F.log_softmax(_at_least_fp32(teacher_TC) / temperature, dim=-1)
    return temperature**2 * F.kl_div(student, teacher, reduction="sum", log_target=True)


def cosine_sum(student_TD: Tensor, teacher_TD: Tensor) -> Tensor:
    """One minus the cosine of each pair of rows, summed (Sanh et al. 2019, section 2)."""
    cosines_T = F.cosine_similarity(_at_least_fp32(student_TD), _at_least_fp32(teacher_TD), dim=-1)
    return (1.0 - cosines_T).sum()


def token_loss(logits_BSV: Tensor, labels_BS: Tensor) -> Tensor:
    """Mean negative log-likelihood of the labels that are not ``IGNORED_LABEL``."""
    return F.cross_entropy(
        _at_least_fp32(logits_BSV.flatten(0, -2)), labels_BS.flatten(), ignore_index=IGNORED_LABEL
    )


def classification_loss(logits_BC: Tensor, labels: Tensor, config: EncoderConfig) -> Tensor:
    """The mean loss of a classifier, by ``config.problem_type`` or, where it is None, as labels suggest.

    One output is a regression; several with whole-numbered labels [B] are classes, one of which is true;
    several with other labels [B, C] are classes that may be true together.

    Raises:
        DataError: the labels' shape is not the one that this loss takes.
    """
    logits_BC = _at_least_fp32(logits_BC)
    whole = not labels.is_floating_point()
    kind = config.problem_type
    if kind is None:
        several = "single_label_classification" if whole else "multi_label_classification"
        kind = "regression" if logits_BC.shape[-1] == 1 else several
    single = kind == "single_label_classification"
    wanted = logits_BC.shape[:1] if single else logits_BC.shape
    if labels.numel() != wanted.numel():
        raise DataError(
            f"Labels for {kind} must have the shape {list(wanted)}.",
            received=f"labels {list(labels.shape)} for logits {list(logits_BC.shape)}",
            remedy="Set config.problem_type where this is not the kind you mean.",
        )
    if single:
        return F.cross_entropy(logits_BC, labels.reshape(wanted))
    if kind == "regression":
        return F.mse_loss(logits_BC, labels.reshape(wanted).to(logits_BC.dtype))
    return F.binary_cross_entropy_with_logits(logits_BC, labels.reshape(wanted).to(logits_BC.dtype))


def _at_least_fp32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
