"""What a call is given as labels, checked before anything is computed: each head's, and each loss's."""

from typing import Any

import numpy as np

from distilbert.core import true_answers
from distilbert.core.calls import Shape
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.keras.batch import agreed, refuse_others
from distilbert.keras.recording import has_values, is_real, is_whole, kind, numbers, shape_of


def of_tokens(labels: Any, shape: Shape, *, classes: int) -> None:
    """Refuse other labels than one a token of a batch [B, S].

    Raises:
        DataError: they do not fit.
    """
    refuse_others(labels=labels)
    true_answers.refuse_token_labels(*agreed(shape_of(labels), shape), what="[B, S]")
    check_labels(labels, classes, "labels")


def of_choices(labels: Any, logits: Shape) -> None:
    """Refuse other labels than one a question, whose logits are [B, choices].

    Raises:
        DataError: they do not fit.
    """
    refuse_others(labels=labels)
    given = shape_of(labels)
    rows = given[0] if given and logits[0] is None else logits[0]
    rows = 1 if rows is None else rows  # of a batch of any size it is the form that can be wrong
    true_answers.refuse_choice_labels(_at_least(given, rows), (rows, logits[1]))
    if logits[1] is not None:
        check_labels(labels, logits[1], "labels")


def check_classes(labels: Any, logits: Shape, config: EncoderConfig) -> tuple[str, Shape]:
    """What a classifier's labels ask, and their shape, once all that can be seen of them fits.

    Raises:
        DataError: something does not.
    """
    refuse_others(labels=labels)
    true_answers.refuse_complex(kind(labels), real=is_real(labels))
    whole = is_whole(labels) or kind(labels) == "bool"
    given = shape_of(labels)
    rows = given[0] if given and logits[0] is None else logits[0]
    asked, wanted = true_answers.problem_of(config, (rows, *logits[1:]), _at_least(given, rows), whole=whole)
    if asked == "single_label_classification":
        check_labels(labels, logits[-1], "labels")
    elif asked == "multi_label_classification" and has_values(labels):
        found = numbers(labels).reshape(wanted).astype(np.float64)
        wrong = ~((found >= 0) & (found <= 1))
        if wrong.any():
            raise true_answers.no_truth(float(found[wrong][0]), int(np.argwhere(wrong)[0, 0]))
    return asked, wanted


def check_labels(labels: Any, classes: int, what: str) -> None:
    """Refuse labels that are no whole numbers or, where they can be seen, no classes.

    Raises:
        DataError: there is one.
    """
    if not is_whole(labels):
        raise true_answers.no_whole_numbers(what, kind(labels), cast="astype(int)")
    if has_values(labels):
        found = numbers(labels)
        wrong = ((found < 0) | (found >= classes)) & (found != IGNORED_LABEL)
        if wrong.any():
            raise true_answers.no_class(what, int(found[wrong][0]), classes)


def check_limits(what: str, given: Any, rows: int | None) -> None:
    """Refuse positions that are not one whole number for each row.

    Raises:
        DataError: they are not.
    """
    refuse_others(**{what: given})
    shape = shape_of(given)
    if shape and rows is None:
        rows = shape[0]
    if rows is not None:
        true_answers.refuse_limit_positions(what, _at_least(shape, rows), rows)
    if not is_whole(given):
        raise true_answers.no_whole_numbers(what, kind(given), cast="astype(int)")


def _at_least(given: Shape, rows: int | None) -> Shape:
    """A shape, of as many rows as the batch where it does not know."""
    return (rows, *given[1:]) if given and given[0] is None else given
