"""What a call is given as labels, checked before anything is compiled: each head's, and each loss's."""

from typing import Any

import numpy as np

from distilbert.core import true_answers
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.jax.batch import Batch, refuse_others
from distilbert.jax.layout import Packed
from distilbert.jax.modules import Array
from distilbert.jax.recording import has_values, is_whole

#: Labels by their names, those that are given.
Labels = dict[str, Any]


def of_tokens(batch: Batch, labels: Array | None, *, classes: int) -> Labels:
    """Labels that are one a token.

    Raises:
        DataError: they do not fit.
    """
    if labels is None:
        return {}
    refuse_others(labels=labels)
    what = "[R, S], as a packed batch lies" if isinstance(batch.layout, Packed) else "[B, S]"
    true_answers.refuse_token_labels(labels.shape, batch.shape, what=what)
    check_labels(labels, classes, "labels")
    return {"labels": labels}


def widened(labels: Labels, batch: Batch) -> Labels:
    """Labels of tokens as wide as the batch has become, which count nothing where there was no token."""
    wide = {}
    for name, given in labels.items():
        more = batch.shape[1] - given.shape[1]
        wide[name] = (
            np.pad(np.asarray(given), ((0, 0), (0, more)), constant_values=IGNORED_LABEL) if more else given
        )
    return wide


def of_texts(batch: Batch, labels: Array | None, config: EncoderConfig) -> Labels:
    """Labels of a classifier of whole texts.

    Raises:
        DataError: they do not fit.
    """
    if labels is None:
        return {}
    check_classes(labels, (batch.texts, config.num_labels), config)
    return {"labels": labels}


def of_choices(batch: Batch, labels: Array | None, choices: int | None) -> Labels:
    """Labels of questions, and an array of the shape that their logits have; of a packed batch none.

    Raises:
        DataError: they do not fit.
    """
    shape = (batch.texts,) if choices is None else (batch.texts // choices, choices)
    # Its shape is all that is read of it, inside a compiled function too.
    found: Labels = {} if choices is None else {"questions": np.zeros(shape, bool)}
    if labels is not None:
        refuse_others(labels=labels)
        true_answers.refuse_choice_labels(labels.shape, shape)
        check_labels(labels, choices or batch.texts // max(1, labels.shape[0]), "labels")
        found["labels"] = labels
    return found


def of_limits(batch: Batch, **limits: Array | None) -> Labels:
    """Where answers begin and end; nothing where one of them is not given.

    Raises:
        DataError: they do not fit.
    """
    given = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in given.items():
        check_limits(name, limit, batch.texts)
    return given if len(given) == len(limits) else {}


def check_classes(
    labels: Array, logits: tuple[int, ...], config: EncoderConfig
) -> tuple[str, tuple[int, ...]]:
    """What a classifier's labels ask, and their shape, once all that can be seen of them fits.

    Raises:
        DataError: something does not.
    """
    refuse_others(labels=labels)
    real = not np.issubdtype(labels.dtype, np.complexfloating)
    true_answers.refuse_complex(str(labels.dtype), real=real)
    whole = is_whole(labels) or labels.dtype == np.bool_
    kind, wanted = true_answers.problem_of(config, logits, labels.shape, whole=whole)
    if kind == "single_label_classification":
        check_labels(labels, logits[-1], "labels")
    elif kind == "multi_label_classification" and has_values(labels):
        numbers = np.asarray(labels).reshape(wanted).astype(np.float64)
        wrong = ~((numbers >= 0) & (numbers <= 1))
        if wrong.any():
            raise true_answers.no_truth(float(numbers[wrong][0]), int(np.argwhere(wrong)[0, 0]))
    return kind, wanted


def check_labels(labels: Array, classes: int, what: str) -> None:
    """Refuse labels that are no whole numbers or, where they can be seen, no classes.

    Raises:
        DataError: there is one.
    """
    if not is_whole(labels):
        raise true_answers.no_whole_numbers(what, str(labels.dtype), cast="astype(int)")
    if has_values(labels):
        numbers = np.asarray(labels)
        wrong = ((numbers < 0) | (numbers >= classes)) & (numbers != IGNORED_LABEL)
        if wrong.any():
            raise true_answers.no_class(what, int(numbers[wrong][0]), classes)


def check_limits(what: str, given: Array, rows: int) -> None:
    """Refuse positions that are not one whole number for each row.

    Raises:
        DataError: they are not.
    """
    refuse_others(**{what: given})
    true_answers.refuse_limit_positions(what, given.shape, rows)
    if not is_whole(given):
        raise true_answers.no_whole_numbers(what, str(given.dtype), cast="astype(int)")
