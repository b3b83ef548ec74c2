"""What a call may give as labels, and the sentence for each that does not fit: ``calls.py`` for labels."""

from distilbert.core.calls import Shape
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.errors import DataError


def refuse_token_labels(given: Shape, shape: Shape, *, what: str) -> None:
    """Refuse labels that are not one a token; ``what`` says how the batch lies, as "[B, S]"."""
    if given != shape:
        raise DataError(
            f"Labels of tokens have the shape of the batch, {what}.",
            received=f"labels {list(given)} for a batch {list(shape)}",
            remedy=f"Give one number a token, {IGNORED_LABEL} where it is not to be counted.",
        )


def no_whole_numbers(what: str, kind: str, *, cast: str) -> DataError:
    return DataError(
        f"{what} must be whole numbers.",
        received=kind,
        remedy=f"Give {what}.{cast}, if whole numbers are meant.",
    )


def no_class(what: str, number: int, classes: int) -> DataError:
    return DataError(
        f"{what} must be from 0 to {classes - 1}, or {IGNORED_LABEL} where they do not count.",
        received=f"{number}",
        remedy="Check num_labels, or the tokenizer that made them.",
    )


def refuse_choice_labels(given: Shape, logits: Shape) -> None:
    """Refuse other labels than one for each question, whose logits are [B, choices] or [B * choices]."""
    questions = given[0] if given else 1
    rows = questions if len(logits) == 2 else logits[0] // max(1, questions) * questions
    fits = logits[0] == rows and (questions > 0 or len(logits) == 2)
    if not fits or given not in ((questions,), (questions, 1)):
        raise DataError(
            "A multiple choice has one label for each question.",
            received=f"labels {list(given)} for logits {list(logits)}",
            remedy="Give labels the shape [B].",
        )


def refuse_limit_positions(what: str, given: Shape, rows: int) -> None:
    if given not in ((rows,), (rows, 1)):
        raise DataError(
            f"{what} has one number for each row.",
            received=f"{what} {list(given)} for {rows} rows",
            remedy="Give it the shape [B].",
        )


def refuse_complex(kind: str, *, real: bool) -> None:
    if not real:
        raise DataError(
            "Labels are real numbers.",
            received=kind,
            remedy="Give whole numbers of classes, or numbers to be told.",
        )


def problem_of(config: EncoderConfig, logits: Shape, labels: Shape, *, whole: bool) -> tuple[str, Shape]:
    """What a classifier's labels ask, and the shape to bring them into.

    ``config.problem_type`` says it; where it is None, one output is a regression, several with whole-numbered
    labels [B] are classes of which one is true, and several with other labels [B, C] classes that may be true
    together.

    Raises:
        DataError: the labels have another shape than that.
    """
    kind = config.problem_type
    if kind is None:
        several = "single_label_classification" if whole else "multi_label_classification"
        kind = "regression" if logits[-1] == 1 else several
    single = kind == "single_label_classification"
    wanted = logits[:1] if single else logits
    # A column of labels is one label a row, and one number a row is a row of one.
    other = (*wanted, 1) if single else wanted[:1] if wanted[1:] == (1,) else wanted
    if labels not in (wanted, other):
        raise DataError(
            f"Labels for {kind} must have the shape {list(wanted)}.",
            received=f"labels {list(labels)} for logits {list(logits)}",
            remedy="Set config.problem_type where this is not the kind you mean.",
        )
    return kind, wanted


def no_truth(number: float, row: int) -> DataError:
    return DataError(
        "Labels of classes that may be true together are from 0 to 1.",
        received=f"{number:g} in row {row}",
        remedy="Give 1 where a class is true and 0 where it is not; for numbers to be told set "
        "config.problem_type = 'regression'.",
    )
