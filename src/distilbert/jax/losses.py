"""What an answer costs.

The losses of training runs are sums over rows; whoever sums them up divides once, by the count of all
rows of an optimiser step, so that no row weighs more for standing in a small batch. Each is given in
plain numpy in ``core/reference.py``. Arrays here have few shapes, for which functions are compiled: where
rows have been added to make up one, ``counted`` says which are meant; None means all.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from distilbert.core import true_answers
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.jax.batch import refuse_others
from distilbert.jax.modules import Array
from distilbert.jax.true_answers import check_classes, check_labels, check_limits


def cross_entropy_sum(logits_TC: Array, labels_T: Array, weights_C: Array | None = None) -> Array:
    """Negative log-likelihood of the labels, each times its label's weight, summed over the rows.

    Rows whose label is ``IGNORED_LABEL`` are not counted.
    """
    counted_T = jnp.asarray(labels_T) != IGNORED_LABEL
    labels_T = jnp.where(counted_T, labels_T, 0)
    logs_T = _picked(jax.nn.log_softmax(_at_least_fp32(logits_TC)), labels_T)
    if weights_C is not None:
        logs_T = logs_T * jnp.asarray(weights_C)[labels_T]
    return -jnp.where(counted_T, logs_T, 0.0).sum()


def distribution_sum(
    student_TC: Array, teacher_TC: Array, counted_T: Array | None = None, *, temperature: float
) -> Array:
    """Divergence of the student from the teacher at a temperature, times its square, summed over the rows.

    Hinton et al. 2015, section 2: the square keeps the gradient's size the same at every temperature.
    """
    student, teacher = (_logs(logits, temperature) for logits in (student_TC, teacher_TC))
    return temperature**2 * _sum((jnp.exp(teacher) * (teacher - student)).sum(-1), counted_T)


def known_distribution_sum(student: Array, teacher: Array, *, temperature: float) -> Array:
    """``distribution_sum`` over the last axis of [..., C], where the teacher's is known.

    A logit of the teacher that is not a number belongs to none of the answers; a whole axis of such is not
    counted.
    """
    known = jnp.isfinite(teacher)
    # An axis without anything known is taken whole, as nothing would be left of it, and then not counted.
    taken = known | ~known.any(-1, keepdims=True)
    others = jnp.where(taken, 0.0, -jnp.inf)
    own = _logs(jnp.where(taken, _at_least_fp32(student), others), temperature)
    told = _logs(jnp.where(known, _at_least_fp32(teacher), others), temperature)
    own, told = jnp.where(known, own, 0.0), jnp.where(known, told, 0.0)
    return temperature**2 * (jnp.where(known, jnp.exp(told), 0.0) * (told - own)).sum()


def binary_sum(logits_BC: Array, truth_BC: Array, weights_C: Array | None = None) -> Array:
    """Negative log-likelihood of labels that may be true together, each row's mean, summed over the rows.

    A label that is true counts its weight, one that is not counts once. What is not a number in
    ``truth_BC`` is not known, and not counted.
    """
    known = jnp.isfinite(truth_BC)
    truth = jnp.where(known, truth_BC, 0.0)
    weights = 1.0 if weights_C is None else weights_C
    return jnp.where(known, _binary(logits_BC, truth, weights), 0.0).mean(-1).sum()


def binary_divergence_sum(student_BC: Array, teacher_BC: Array, *, temperature: float) -> Array:
    """``known_distribution_sum`` of each label's truth and untruth, each row's mean, summed over the rows."""
    # A logit is that of truth beside untruth's 0; zero times what is no number is none either.
    student = jnp.stack([student_BC, jnp.zeros_like(student_BC)], axis=-1)
    teacher = jnp.stack([teacher_BC, 0.0 * jnp.asarray(teacher_BC)], axis=-1)
    return known_distribution_sum(student, teacher, temperature=temperature) / student_BC.shape[-1]


def square_sum(values_B1: Array, truth_B1: Array) -> Array:
    """Squared differences, summed over the rows; what is not a number in the truth is not counted."""
    known = jnp.isfinite(truth_B1)
    difference = _at_least_fp32(values_B1) - jnp.where(known, truth_B1, 0.0)
    return jnp.square(jnp.where(known, difference, 0.0)).sum()


def answers_sum(
    student_TV: Array,
    words_TK: Array,
    logs_TK: Array,
    counted_T: Array | None = None,
    *,
    temperature: float,
) -> Array:
    """``distribution_sum`` from a teacher's likeliest words, all the others being taken as one.

    It is never more than the whole divergence, and is it where the others are the student's in the same
    proportions.

    Args:
        student_TV: the student's logits.
        words_TK: the teacher's likeliest words.
        logs_TK: logarithms of their probabilities at the temperature, and of all others', [T, K + 1].
        counted_T: rows that are meant.
        temperature: of both.
    """
    own_TV, logs_TK = _logs(student_TV, temperature), _at_least_fp32(logs_TK)
    found_TK = jnp.take_along_axis(own_TV, words_TK, axis=1)
    if words_TK.shape[1] < own_TV.shape[1]:
        rows = jnp.arange(own_TV.shape[0])[:, None]
        others_T = jax.nn.logsumexp(own_TV.at[rows, words_TK].set(-jnp.inf), axis=-1)
        found_TK = jnp.concatenate([found_TK, others_T[:, None]], axis=1)
    else:
        logs_TK = logs_TK[:, :-1]
    return temperature**2 * _sum((jnp.exp(logs_TK) * (logs_TK - found_TK)).sum(-1), counted_T)


def jensen_shannon_sum(
    student_TC: Array, teacher_TC: Array, counted_T: Array | None = None, *, temperature: float
) -> Array:
    """Divergence of both from their mean at a temperature, times its square, summed over the rows.

    Lin 1991. Bounded and symmetric: a student that gives up on some of the teacher's answers loses little.
    """
    student, teacher = (_logs(logits, temperature) for logits in (student_TC, teacher_TC))
    mean = jnp.logaddexp(student, teacher) - math.log(2.0)
    both = [(jnp.exp(one) * (one - mean)).sum(-1) for one in (student, teacher)]
    return temperature**2 * _sum(both[0] + both[1], counted_T) / 2


def logits_error_sum(student_TC: Array, teacher_TC: Array, counted_T: Array | None = None) -> Array:
    """Squared differences of logits, each row's mean over the classes, summed over the rows.

    Ba and Caruana 2014. Each row's own mean is taken off first, as a constant changes no distribution.
    """
    difference = _at_least_fp32(student_TC) - _at_least_fp32(teacher_TC)
    difference = difference - difference.mean(-1, keepdims=True)
    return _sum(jnp.square(difference).mean(-1), counted_T)


def states_error_sum(student_TD: Array, teacher_TD: Array, counted_T: Array | None = None) -> Array:
    """Squared differences of states, each row's mean over the width, summed (Jiao et al. 2020)."""
    squares_TD = jnp.square(_at_least_fp32(student_TD) - _at_least_fp32(teacher_TD))
    return _sum(squares_TD.mean(-1), counted_T)


def cosine_sum(student_TD: Array, teacher_TD: Array, counted_T: Array | None = None) -> Array:
    """One minus the cosine of each pair of rows, summed (Sanh et al. 2019, section 2)."""
    student, teacher = _at_least_fp32(student_TD), _at_least_fp32(teacher_TD)
    squares_T = jnp.square(student).sum(-1) * jnp.square(teacher).sum(-1)
    # Of a state of zeros the cosine is 0, and its gradient a number.
    lengths_T = jnp.sqrt(jnp.maximum(squares_T, 1e-16))
    return _sum(1.0 - (student * teacher).sum(-1) / lengths_T, counted_T)


def token_loss(logits: Array, labels: Array) -> Array:
    """Mean negative log-likelihood of the labels that are not ``IGNORED_LABEL``; 0 where none is.

    Args:
        logits: [..., C].
        labels: [...].

    Raises:
        DataError: a label that is no class.
    """
    return _mean_likelihood(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), what="labels")


def choice_loss(logits: Array, labels_B: Array) -> Array:
    """Mean negative log-likelihood of the right choices.

    Args:
        logits: [B, choices], or of a packed batch [B * choices].
        labels_B: the number of the right choice.

    Raises:
        DataError: one label for each question is not what there is, or one is no choice.
    """
    refuse_others(labels=labels_B)
    true_answers.refuse_choice_labels(labels_B.shape, logits.shape)
    questions = labels_B.shape[0]
    logits_BC = logits if logits.ndim == 2 else logits.reshape(questions, -1)
    return _mean_likelihood(logits_BC, labels_B.reshape(questions), what="labels")


def span_loss(start_BS: Array, end_BS: Array, start_positions: Array, end_positions: Array) -> Array:
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
        check_limits(what, given, rows)
        at_B = jnp.clip(jnp.asarray(given).reshape(rows), 0, length)
        lowest = jnp.finfo(logits_BS.dtype).min
        padding_B = _picked(logits_BS, jnp.minimum(at_B, length - 1)) == lowest
        labels_B = jnp.where((at_B == length) | padding_B, IGNORED_LABEL, at_B)
        losses.append(_mean_likelihood(logits_BS, labels_B, what=what))
    return (losses[0] + losses[1]) / 2


def classification_loss(logits_BC: Array, labels: Array, config: EncoderConfig) -> Array:
    """The mean loss of a classifier, by ``config.problem_type`` or, where it is None, as labels suggest.

    One output is a regression; several with whole-numbered labels [B] are classes, one of which is true;
    several with other labels [B, C] are classes that may be true together.

    Raises:
        DataError: the labels' shape is not the one that this loss takes.
    """
    kind, wanted = check_classes(labels, logits_BC.shape, config)
    truth = jnp.asarray(labels).reshape(wanted)
    if kind == "single_label_classification":
        return _mean_likelihood(logits_BC, truth, what="labels")
    logits_BC = _at_least_fp32(logits_BC)
    truth = truth.astype(logits_BC.dtype)
    if kind == "regression":
        return jnp.square(logits_BC - truth).mean()
    return _binary(logits_BC, truth).mean()


def _mean_likelihood(logits_TC: Array, labels_T: Array, *, what: str) -> Array:
    """Mean negative log-likelihood of the labels that count; their number divides once."""
    check_labels(labels_T, logits_TC.shape[-1], what)
    labels_T = jnp.asarray(labels_T)
    counted_T = labels_T != IGNORED_LABEL
    logs_T = _picked(jax.nn.log_softmax(_at_least_fp32(logits_TC)), jnp.where(counted_T, labels_T, 0))
    return -jnp.where(counted_T, logs_T, 0.0).sum() / jnp.maximum(counted_T.sum(), 1)


def _binary(logits: Array, truth: Array, weights: Any = 1.0) -> Array:
    logits = _at_least_fp32(logits)
    return -(weights * truth * jax.nn.log_sigmoid(logits) + (1 - truth) * jax.nn.log_sigmoid(-logits))


def _sum(x_T: Array, counted_T: Array | None) -> Array:
    return (x_T if counted_T is None else jnp.where(counted_T, x_T, 0.0)).sum()


def _picked(x_TC: Array, numbers_T: Array) -> Array:
    """Of each row, the number at one place."""
    return jnp.take_along_axis(x_TC, jnp.asarray(numbers_T)[:, None], axis=1)[:, 0]


def _logs(logits: Array, temperature: float) -> Array:
    return jax.nn.log_softmax(_at_least_fp32(logits) / temperature)


def _at_least_fp32(x: Array) -> Array:
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
