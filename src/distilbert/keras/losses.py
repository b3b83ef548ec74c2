"""What an answer costs.

The losses of training runs are sums over rows; whoever sums them up divides once, by the count of all
rows of an optimiser step, so that no row weighs more for standing in a small batch. Each is given in
plain numpy in ``core/reference.py``. Those of heads that are called with labels are means.
"""

import math
from typing import Any

import keras
import ml_dtypes
from keras import ops

from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.keras.modules import Tensor
from distilbert.keras.recording import kind
from distilbert.keras.true_answers import check_classes, check_labels, check_limits


def cross_entropy_sum(logits_TC: Tensor, labels_T: Tensor, weights_C: Any = None) -> Tensor:
    """Negative log-likelihood of the labels, each times its label's weight, summed over the rows.

    Rows whose label is ``IGNORED_LABEL`` are not counted.
    """
    counted_T = ops.not_equal(labels_T, IGNORED_LABEL)
    labels_T = ops.where(counted_T, labels_T, ops.zeros_like(labels_T))
    logs_T = _picked(ops.log_softmax(_at_least_fp32(logits_TC)), labels_T)
    if weights_C is not None:
        logs_T = logs_T * ops.take(ops.convert_to_tensor(weights_C, logs_T.dtype), labels_T)
    return -ops.sum(ops.where(counted_T, logs_T, ops.zeros_like(logs_T)))


def distribution_sum(student_TC: Tensor, teacher_TC: Tensor, *, temperature: float) -> Tensor:
    """Divergence of the student from the teacher at a temperature, times its square, summed over the rows.

    Hinton et al. 2015, section 2: the square keeps the gradient's size the same at every temperature.
    """
    student, teacher = (_logs(logits, temperature) for logits in (student_TC, teacher_TC))
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student))


def known_distribution_sum(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """``distribution_sum`` over the last axis of [..., C], where the teacher's is known.

    A logit of the teacher that is not a number belongs to none of the answers; a whole axis of such is not
    counted.
    """
    known = ops.isfinite(teacher)
    # An axis without anything known is taken whole, as nothing would be left of it, and then not counted.
    taken = ops.logical_or(known, ops.logical_not(ops.any(known, axis=-1, keepdims=True)))
    student, teacher = _at_least_fp32(student), _at_least_fp32(teacher)
    nothing = ops.zeros_like(student)
    others = ops.where(taken, nothing, ops.full_like(student, -math.inf))
    own = _logs(ops.where(taken, student, others), temperature)
    told = _logs(ops.where(known, teacher, others), temperature)
    own, told = ops.where(known, own, nothing), ops.where(known, told, nothing)
    return temperature**2 * ops.sum(ops.where(known, ops.exp(told), nothing) * (told - own))


def binary_sum(logits_BC: Tensor, truth_BC: Tensor, weights_C: Any = None) -> Tensor:
    """Negative log-likelihood of labels that may be true together, each row's mean, summed over the rows.

    A label that is true counts its weight, one that is not counts once. What is not a number in
    ``truth_BC`` is not known, and not counted.
    """
    logits_BC = _at_least_fp32(logits_BC)
    known, nothing = ops.isfinite(truth_BC), ops.zeros_like(logits_BC)
    truth = ops.where(known, ops.cast(truth_BC, logits_BC.dtype), nothing)
    weights = 1.0 if weights_C is None else ops.convert_to_tensor(weights_C, logits_BC.dtype)
    return ops.sum(ops.mean(ops.where(known, _binary(logits_BC, truth, weights), nothing), axis=-1))


def binary_divergence_sum(student_BC: Tensor, teacher_BC: Tensor, *, temperature: float) -> Tensor:
    """``known_distribution_sum`` of each label's truth and untruth, each row's mean, summed over the rows."""
    # A logit is that of truth beside untruth's 0; zero times what is no number is none either.
    student = ops.stack([student_BC, ops.zeros_like(student_BC)], axis=-1)
    teacher = ops.stack([teacher_BC, 0.0 * teacher_BC], axis=-1)
    return known_distribution_sum(student, teacher, temperature=temperature) / student_BC.shape[-1]


def square_sum(values_B1: Tensor, truth_B1: Tensor) -> Tensor:
    """Squared differences, summed over the rows; what is not a number in the truth is not counted."""
    values_B1 = _at_least_fp32(values_B1)
    known, nothing = ops.isfinite(truth_B1), ops.zeros_like(values_B1)
    truth = ops.where(known, ops.cast(truth_B1, values_B1.dtype), nothing)
    return ops.sum(ops.square(ops.where(known, values_B1 - truth, nothing)))


def answers_sum(student_TV: Tensor, words_TK: Tensor, logs_TK: Tensor, *, temperature: float) -> Tensor:
    """``distribution_sum`` from a teacher's likeliest words, all the others being taken as one.

    It is never more than the whole divergence, and is it where the others are the student's in the same
    proportions.

    Args:
        student_TV: the student's logits.
        words_TK: the teacher's likeliest words, of a known number.
        logs_TK: logarithms of their probabilities at the temperature, and of all others', [T, K + 1].
        temperature: of both.
    """
    own_TV, logs_TK = _logs(student_TV, temperature), _at_least_fp32(logs_TK)
    found_TK = ops.take_along_axis(own_TV, words_TK, axis=1)
    if words_TK.shape[1] < own_TV.shape[1]:
        rows_T1 = ops.arange(ops.shape(own_TV)[0], dtype="int32")[:, None]
        places = ops.reshape(
            ops.stack([ops.broadcast_to(rows_T1, ops.shape(words_TK)), words_TK], -1), (-1, 2)
        )
        nothing = ops.full((ops.shape(places)[0],), -math.inf, own_TV.dtype)
        others_T = ops.logsumexp(ops.scatter_update(own_TV, places, nothing), axis=-1)
        found_TK = ops.concatenate([found_TK, others_T[:, None]], axis=1)
    else:
        logs_TK = logs_TK[:, :-1]
    return temperature**2 * ops.sum(ops.exp(logs_TK) * (logs_TK - found_TK))


def jensen_shannon_sum(student_TC: Tensor, teacher_TC: Tensor, *, temperature: float) -> Tensor:
    """Divergence of both from their mean at a temperature, times its square, summed over the rows.

    Lin 1991. Bounded and symmetric: a student that gives up on some of the teacher's answers loses little.
    """
    student, teacher = (_logs(logits, temperature) for logits in (student_TC, teacher_TC))
    mean = ops.logaddexp(student, teacher) - math.log(2.0)
    both = [ops.sum(ops.exp(one) * (one - mean)) for one in (student, teacher)]
    return temperature**2 * (both[0] + both[1]) / 2


def logits_error_sum(student_TC: Tensor, teacher_TC: Tensor) -> Tensor:
    """Squared differences of logits, each row's mean over the classes, summed over the rows.

    Ba and Caruana 2014. Each row's own mean is taken off first, as a constant changes no distribution.
    """
    difference = _at_least_fp32(student_TC) - _at_least_fp32(teacher_TC)
    difference = difference - ops.mean(difference, axis=-1, keepdims=True)
    return ops.sum(ops.mean(ops.square(difference), axis=-1))


def states_error_sum(student_TD: Tensor, teacher_TD: Tensor) -> Tensor:
    """Squared differences of states, each row's mean over the width, summed (Jiao et al. 2020)."""
    squares_TD = ops.square(_at_least_fp32(student_TD) - _at_least_fp32(teacher_TD))
    return ops.sum(ops.mean(squares_TD, axis=-1))


def cosine_sum(student_TD: Tensor, teacher_TD: Tensor) -> Tensor:
    """One minus the cosine of each pair of rows, summed (Sanh et al. 2019, section 2)."""
    student, teacher = _at_least_fp32(student_TD), _at_least_fp32(teacher_TD)
    squares_T = ops.sum(ops.square(student), axis=-1) * ops.sum(ops.square(teacher), axis=-1)
    # Of a state of zeros the cosine is 0, and its gradient a number.
    lengths_T = ops.sqrt(ops.maximum(squares_T, 1e-16))
    return ops.sum(1.0 - ops.sum(student * teacher, axis=-1) / lengths_T)


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood of the labels that are not ``IGNORED_LABEL``; 0 where none is.

    Args:
        logits: [..., C].
        labels: [...].

    Raises:
        DataError: a label that is no class.
    """
    return _mean_likelihood(ops.reshape(logits, (-1, logits.shape[-1])), ops.reshape(labels, (-1,)), "labels")


def choice_loss(logits_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Mean negative log-likelihood of the right choices.

    Args:
        logits_BC: [B, choices].
        labels_B: the number of the right choice.

    Raises:
        DataError: a label is no choice.
    """
    return _mean_likelihood(logits_BC, ops.reshape(labels_B, (-1,)), "labels")


def span_loss(start_BS: Tensor, end_BS: Tensor, start_positions: Any, end_positions: Any) -> Tensor:
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
        check_limits(what, given, logits_BS.shape[0])
        length = ops.shape(logits_BS)[1]
        at_B = ops.clip(ops.cast(ops.reshape(given, (-1,)), "int32"), 0, length)
        lowest = float(ml_dtypes.finfo(kind(logits_BS)).min)
        padding_B = ops.equal(_picked(logits_BS, ops.minimum(at_B, length - 1)), lowest)
        labels_B = ops.where(ops.logical_or(ops.equal(at_B, length), padding_B), IGNORED_LABEL, at_B)
        losses.append(_mean_likelihood(logits_BS, labels_B, what))
    return (losses[0] + losses[1]) / 2


def classification_loss(logits_BC: Tensor, labels: Any, config: EncoderConfig) -> Tensor:
    """The mean loss of a classifier, by ``config.problem_type`` or, where it is None, as labels suggest.

    One output is a regression; several with whole-numbered labels [B] are classes, one of which is true;
    several with other labels [B, C] are classes that may be true together.

    Raises:
        DataError: the labels' shape is not the one that this loss takes.
    """
    classes = logits_BC.shape[-1]
    asked, wanted = check_classes(labels, tuple(logits_BC.shape), config)
    truth = ops.reshape(labels, (-1,) if len(wanted) == 1 else (-1, classes))
    if asked == "single_label_classification":
        return _mean_likelihood(logits_BC, truth, "labels")
    logits_BC = _at_least_fp32(logits_BC)
    truth = ops.cast(truth, logits_BC.dtype)
    if asked == "regression":
        return ops.mean(ops.square(logits_BC - truth))
    return ops.mean(_binary(logits_BC, truth))


def _mean_likelihood(logits_TC: Tensor, labels_T: Tensor, what: str) -> Tensor:
    """Mean negative log-likelihood of the labels that count; their number divides once."""
    check_labels(labels_T, logits_TC.shape[-1], what)
    labels_T = ops.cast(labels_T, "int32")
    counted_T = ops.not_equal(labels_T, IGNORED_LABEL)
    logs_T = _picked(ops.log_softmax(_at_least_fp32(logits_TC)), ops.where(counted_T, labels_T, 0))
    told = ops.sum(ops.where(counted_T, logs_T, ops.zeros_like(logs_T)))
    count = ops.sum(ops.cast(counted_T, "int32"))
    return -told / ops.cast(ops.maximum(count, 1), logs_T.dtype)


def _binary(logits: Tensor, truth: Tensor, weights: Any = 1.0) -> Tensor:
    return -(weights * truth * ops.log_sigmoid(logits) + (1 - truth) * ops.log_sigmoid(-logits))


def _picked(x_TC: Tensor, numbers_T: Tensor) -> Tensor:
    """Of each row, the number at one place."""
    return ops.take_along_axis(x_TC, numbers_T[:, None], axis=1)[:, 0]


def _logs(logits: Tensor, temperature: float) -> Tensor:
    return ops.log_softmax(_at_least_fp32(logits) / temperature)


def _at_least_fp32(x: Tensor) -> Tensor:
    return ops.cast(x, keras.backend.result_type(kind(x), "float32"))
