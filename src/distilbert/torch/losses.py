"""What an answer costs.

The losses of training runs are sums over rows; whoever sums them up divides once, by the count of all
rows of an optimiser step, so that no row weighs more for standing in a small batch. Each is given in
plain numpy in ``core/reference.py``.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from distilbert.core import true_answers
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.torch.batch import refuse_others
from distilbert.torch.recording import is_recording, sizes


def cross_entropy_sum(logits_TC: Tensor, labels_T: Tensor, weights_C: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of the labels, each times its label's weight, summed over the rows."""
    return F.cross_entropy(_at_least_fp32(logits_TC), labels_T, weights_C, reduction="sum")


def distribution_sum(student_TC: Tensor, teacher_TC: Tensor, *, temperature: float) -> Tensor:
    """Divergence of the student from the teacher at a temperature, times its square, summed over the rows.

    Hinton et al. 2015, section 2: the square keeps the gradient's size the same at every temperature.
    """
    student = F.log_softmax(_at_least_fp32(student_TC) / temperature, dim=-1)
    teacher = F.log_softmax(_at_least_fp32(teacher_TC) / temperature, dim=-1)
    return temperature**2 * F.kl_div(student, teacher, reduction="sum", log_target=True)


def known_distribution_sum(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """``distribution_sum`` over the last axis of [..., C], where the teacher's is known.

    A logit of the teacher that is not a number belongs to none of the answers; a whole axis of such is not
    counted.
    """
    known = teacher.isfinite()
    # An axis without anything known is taken whole, as nothing would be left of it, and then not counted.
    taken = known | ~known.any(-1, keepdim=True)
    others = torch.zeros_like(teacher).masked_fill(~taken, float("-inf"))
    own = F.log_softmax(torch.where(taken, _at_least_fp32(student), others) / temperature, dim=-1)
    told = F.log_softmax(torch.where(known, _at_least_fp32(teacher), others) / temperature, dim=-1)
    own, told = torch.where(known, own, 0.0), torch.where(known, told, 0.0)
    return temperature**2 * (torch.where(known, told.exp(), 0.0) * (told - own)).sum()


def binary_sum(logits_BC: Tensor, truth_BC: Tensor, weights_C: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of labels that may be true together, each row's mean, summed over the rows.

    A label that is true counts its weight, one that is not counts once. What is not a number in
    ``truth_BC`` is not known, and not counted.
    """
    known = truth_BC.isfinite()
    truth = torch.where(known, truth_BC, 0.0)
    each = F.binary_cross_entropy_with_logits(
        _at_least_fp32(logits_BC), truth, reduction="none", pos_weight=weights_C
    )
    return torch.where(known, each, 0.0).mean(-1).sum()


def binary_divergence_sum(student_BC: Tensor, teacher_BC: Tensor, *, temperature: float) -> Tensor:
    """``known_distribution_sum`` of each label's truth and untruth, each row's mean, summed over the rows."""
    # A logit is that of truth beside untruth's 0; zero times what is no number is none either.
    student = torch.stack([student_BC, torch.zeros_like(student_BC)], dim=-1)
    teacher = torch.stack([teacher_BC, 0.0 * teacher_BC], dim=-1)
    return known_distribution_sum(student, teacher, temperature=temperature) / student_BC.shape[-1]


def square_sum(values_B1: Tensor, truth_B1: Tensor) -> Tensor:
    """Squared differences, summed over the rows; what is not a number in the truth is not counted."""
    known = truth_B1.isfinite()
    difference = _at_least_fp32(values_B1) - torch.where(known, truth_B1, 0.0)
    return torch.where(known, difference, 0.0).square().sum()


def answers_sum(student_TV: Tensor, words_TK: Tensor, logs_TK: Tensor, *, temperature: float) -> Tensor:
    """``distribution_sum`` from a teacher's likeliest words, all the others being taken as one.

    It is never more than the whole divergence, and is it where the others are the student's in the same
    proportions.

    Args:
        student_TV: the student's logits.
        words_TK: the teacher's likeliest words.
        logs_TK: logarithms of their probabilities at the temperature, and of all others', [T, K + 1].
        temperature: of both.
    """
    own_TV = F.log_softmax(_at_least_fp32(student_TV) / temperature, dim=-1)
    logs_TK = logs_TK.to(own_TV.dtype)
    found_TK = own_TV.gather(1, words_TK)
    if words_TK.shape[1] < own_TV.shape[1]:
        others_T = own_TV.scatter(1, words_TK, float("-inf")).logsumexp(-1)
        found_TK = torch.cat([found_TK, others_T[:, None]], dim=1)
    else:
        logs_TK = logs_TK[:, :-1]
    return temperature**2 * F.kl_div(found_TK, logs_TK, reduction="sum", log_target=True)


def jensen_shannon_sum(student_TC: Tensor, teacher_TC: Tensor, *, temperature: float) -> Tensor:
    """Divergence of both from their mean at a temperature, times its square, summed over the rows.

    Lin 1991. Bounded and symmetric: a student that gives up on some of the teacher's answers loses little.
    """
    student = F.log_softmax(_at_least_fp32(student_TC) / temperature, dim=-1)
    teacher = F.log_softmax(_at_least_fp32(teacher_TC) / temperature, dim=-1)
    mean = torch.logaddexp(student, teacher) - math.log(2.0)
    both = [F.kl_div(mean, one, reduction="sum", log_target=True) for one in (student, teacher)]
    return temperature**2 * (both[0] + both[1]) / 2


def logits_error_sum(student_TC: Tensor, teacher_TC: Tensor) -> Tensor:
    """Squared differences of logits, each row's mean over the classes, summed over the rows.

    Ba and Caruana 2014. Each row's own mean is taken off first, as a constant changes no distribution.
    """
    student, teacher = _at_least_fp32(student_TC), _at_least_fp32(teacher_TC)
    difference = student - teacher
    difference = difference - difference.mean(-1, keepdim=True)
    return difference.square().mean(-1).sum()


def states_error_sum(student_TD: Tensor, teacher_TD: Tensor) -> Tensor:
    """Squared differences of states, each row's mean over the width, summed (Jiao et al. 2020)."""
    return (_at_least_fp32(student_TD) - _at_least_fp32(teacher_TD)).square().mean(-1).sum()


def cosine_sum(student_TD: Tensor, teacher_TD: Tensor) -> Tensor:
    """One minus the cosine of each pair of rows, summed (Sanh et al. 2019, section 2)."""
    cosines_T = F.cosine_similarity(_at_least_fp32(student_TD), _at_least_fp32(teacher_TD), dim=-1)
    return (1.0 - cosines_T).sum()


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood of the labels that are not ``IGNORED_LABEL``; 0 where none is.

    Args:
        logits: [..., C].
        labels: [...].

    Raises:
        DataError: a label that is no class.
    """
    return _mean_likelihood(logits.flatten(0, -2), labels.flatten(), what="labels")


def choice_loss(logits: Tensor, labels_B: Tensor) -> Tensor:
    """Mean negative log-likelihood of the right choices.

    Args:
        logits: [B, choices], or of a packed batch [B * choices].
        labels_B: the number of the right choice.

    Raises:
        DataError: one label for each question is not what there is, or one is no choice.
    """
    refuse_others(labels=labels_B)
    true_answers.refuse_choice_labels(sizes(labels_B), sizes(logits))
    questions = sizes(labels_B)[0]
    logits_BC = logits if logits.dim() == 2 else logits.reshape(questions, -1)
    return _mean_likelihood(logits_BC, labels_B.reshape(questions), what="labels")


def span_loss(start_BS: Tensor, end_BS: Tensor, start_positions: Tensor, end_positions: Tensor) -> Tensor:
    """Mean of the negative log-likelihoods of where answers begin and end.

    Positions past the row, or at padding (the lowest logit), are not counted; those below 0 are read as 0.

    Raises:
        DataError: positions that are not one whole number for each row.
    """
    losses = []
    for what, logits_BS, given in (
        ("start_positions", start_BS, start_positions),
        ("end_positions", end_BS, end_positions),
    ):
        rows, length = logits_BS.shape
        refuse_others(**{what: given})
        true_answers.refuse_limit_positions(what, tuple(given.shape), rows)
        at_B = whole_numbers(given, what).reshape(rows).clamp(0, length)
        lowest = torch.finfo(logits_BS.dtype).min
        padding_B = logits_BS.gather(1, at_B.clamp(max=length - 1)[:, None])[:, 0] == lowest
        labels_B = at_B.masked_fill((at_B == length) | padding_B, IGNORED_LABEL)
        losses.append(_mean_likelihood(logits_BS, labels_B, what=what))
    return (losses[0] + losses[1]) / 2


def classification_loss(logits_BC: Tensor, labels: Tensor, config: EncoderConfig) -> Tensor:
    """The mean loss of a classifier, by ``config.problem_type`` or, where it is None, as labels suggest.

    One output is a regression; several with whole-numbered labels [B] are classes, one of which is true;
    several with other labels [B, C] are classes that may be true together.

    Raises:
        DataError: the labels' shape is not the one that this loss takes.
    """
    refuse_others(labels=labels)
    true_answers.refuse_complex(str(labels.dtype).removeprefix("torch."), real=not labels.is_complex())
    whole = not labels.is_floating_point()
    kind, wanted = true_answers.problem_of(config, sizes(logits_BC), sizes(labels), whole=whole)
    if kind == "single_label_classification":
        return _mean_likelihood(logits_BC, labels.reshape(wanted), what="labels")
    logits_BC = _at_least_fp32(logits_BC)
    truth = labels.reshape(wanted).to(logits_BC.dtype)
    if kind == "regression":
        return F.mse_loss(logits_BC, truth)
    if truth.device.type == "cpu" and not is_recording():
        wrong = ~((truth >= 0) & (truth <= 1))
        if bool(wrong.any()):
            raise true_answers.no_truth(float(truth[wrong][0]), int(wrong.nonzero()[0, 0]))
    return F.binary_cross_entropy_with_logits(logits_BC, truth)


def _mean_likelihood(logits_TC: Tensor, labels_T: Tensor, *, what: str) -> Tensor:
    """Mean negative log-likelihood of the labels that count; their number divides once."""
    labels_T = whole_numbers(labels_T, what)
    classes = logits_TC.shape[-1]
    if labels_T.device.type == "cpu" and not is_recording():
        wrong = ((labels_T < 0) | (labels_T >= classes)) & (labels_T != IGNORED_LABEL)
        if bool(wrong.any()):
            raise true_answers.no_class(what, int(labels_T[wrong][0]), classes)
    # In one step, so that half-precision logits never stand in memory once more in full precision.
    wide = torch.promote_types(logits_TC.dtype, torch.float32)
    likelihoods_TC = F.log_softmax(logits_TC, dim=-1, dtype=wide)
    total = F.nll_loss(likelihoods_TC, labels_T, ignore_index=IGNORED_LABEL, reduction="sum")
    return total / (labels_T != IGNORED_LABEL).sum().clamp(min=1)


def whole_numbers(labels: Tensor, what: str) -> Tensor:
    """Labels in the type in which ``IGNORED_LABEL`` is a number of its own."""
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        kind = str(labels.dtype).removeprefix("torch.")
        raise true_answers.no_whole_numbers(what, kind, cast="long()")
    return labels.long()


def _at_least_fp32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
