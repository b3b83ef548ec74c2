"""What an answer costs: the mean losses of the heads, in fp32 at least."""

from typing import Any

import keras
import ml_dtypes
from keras import ops

from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.keras.modules import Tensor
from distilbert.keras.recording import kind
from distilbert.keras.true_answers import check_classes, check_labels, check_limits


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
    return -ops.mean(truth * ops.log_sigmoid(logits_BC) + (1 - truth) * ops.log_sigmoid(-logits_BC))


def _mean_likelihood(logits_TC: Tensor, labels_T: Tensor, what: str) -> Tensor:
    """Mean negative log-likelihood of the labels that count; their number divides once."""
    check_labels(labels_T, logits_TC.shape[-1], what)
    labels_T = ops.cast(labels_T, "int32")
    counted_T = ops.not_equal(labels_T, IGNORED_LABEL)
    logs_T = _picked(ops.log_softmax(_at_least_fp32(logits_TC)), ops.where(counted_T, labels_T, 0))
    told = ops.sum(ops.where(counted_T, logs_T, ops.zeros_like(logs_T)))
    count = ops.sum(ops.cast(counted_T, "int32"))
    return -told / ops.cast(ops.maximum(count, 1), logs_T.dtype)


def _picked(x_TC: Tensor, numbers_T: Tensor) -> Tensor:
    """Of each row, the number at one place."""
    return ops.take_along_axis(x_TC, numbers_T[:, None], axis=1)[:, 0]


def _at_least_fp32(x: Tensor) -> Tensor:
    return ops.cast(x, keras.backend.result_type(kind(x), "float32"))
