"""Examples as rows that a model has room for: long texts in windows, cut, or refused.

Words and contexts are read in windows by their own tasks; a text that is answered as a whole, by
``long_rows``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.hidden_words import HiddenWords
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.engine.long_rows import (
    Mean,
    Windows,
    cut,
    in_windows,
    mean_of_one,
    mean_of_several,
    plain_mean,
)
from distilbert.engine.waiting import Row
from distilbert.errors import ConfigError, DataError

#: What may become of a text that is too long.
ON_LONG = ("window", "truncate", "error")

#: Where a text may be cut.
SIDES = ("right", "left")

#: A row as long as any text.
WHOLE = 2**31 - 1


@dataclass(frozen=True)
class Reading:
    """Examples on their way to a model.

    Attributes:
        items: what the task made of them; of texts that are read in windows, the whole rows.
        rows: what the model reads.
        windows: of rows, where they are read in such.
        cut: texts that lost some of their tokens.
        dropped: these tokens.
        windowed: texts in several windows.
    """

    items: TokenRows
    rows: list[Row]
    windows: Windows | None
    cut: int
    dropped: int
    windowed: int


def check_on_long(on_long: str) -> str:
    """Refuse what nothing can become of a text.

    Raises:
        ConfigError: it is none of ``ON_LONG``.
    """
    if on_long not in ON_LONG:
        raise ConfigError(
            f"What becomes of a long text is {', '.join(ON_LONG[:-1])} or {ON_LONG[-1]}.",
            received=f"on_long={on_long!r:.40}",
            remedy="Choose window: nothing of a text is lost.",
        )
    return on_long


def rows_of(items: TokenRows) -> list[Row]:
    """What a model reads of items."""
    seconds = np.zeros(len(items.input_ids), np.int64) if items.seconds is None else items.seconds
    return [Row(ids, int(second)) for ids, second in zip(items.input_ids, seconds, strict=True)]


def fitted(rows: Sequence[Row], max_length: int, *, on_long: str, side: str = "right") -> Windows:
    """Whole rows as a model has room for them.

    Args:
        rows: of any length.
        max_length: of a row, in tokens.
        on_long: one of ``ON_LONG``.
        side: at which texts are cut, where they are, "right" or "left".

    Raises:
        DataError: a row is too long where that is an error.
    """
    if on_long == "error":
        refuse_long([f"input {i}" for i, row in enumerate(rows) if len(row.ids) > max_length], max_length)
    return cut(rows, max_length, side=side) if on_long == "truncate" else in_windows(rows, max_length)


def read(
    task: Any, reader: Reader, examples: Examples, *, max_length: int, on_long: str = "window"
) -> Reading:
    """Examples as rows.

    Args:
        task: of the model.
        reader: the model's tokenizer, as tasks ask it.
        examples: what is to be answered.
        max_length: of a row, in tokens.
        on_long: one of ``ON_LONG``.

    Raises:
        DataError: something that cannot be read, or a text that is too long where that is an error.
    """
    not_whole = (Head.TOKEN_CLASSIFICATION, Head.QUESTION_ANSWERING, Head.MASKED_LM)
    whole = on_long == "window" and task.head not in not_whole
    items = task.encode(reader, examples, max_length=WHOLE if whole else max_length)
    if whole:
        found = in_windows(rows_of(items), max_length)
        return Reading(items, found.rows, found, found.cut, found.dropped, found.windowed)
    several = 0 if items.of is None else int(np.count_nonzero(np.bincount(items.of) > 1))
    if on_long == "error":
        long = np.flatnonzero(items.dropped if items.of is None else np.bincount(items.of) > 1)
        refuse_long([examples.at(int(i)) for i in long], max_length)
    lost, rows = items.dropped, rows_of(items)
    if isinstance(task, HiddenWords):
        rows = [replace(row, asked=task.hidden(row.ids)) for row in rows]
    return Reading(items, rows, None, int(np.count_nonzero(lost)), int(lost.sum()), several)


def merged(task: Any, found: Sequence[Array], reading: Reading, *, temperature: float) -> list[Array]:
    """What the model gives for each row of ``items``, from what it gives for its windows.

    Args:
        task: of the model: where there are labels, probabilities are averaged, else what the model gives.
        found: for each row that it read, [C] or [E].
        reading: of these rows.
        temperature: at which logits are probabilities.
    """
    if reading.windows is None:
        return list(found)
    mean: Mean = plain_mean
    if isinstance(task, SequenceClassification):
        mean = mean_of_one(temperature)
    if isinstance(task, MultiLabelClassification):
        mean = mean_of_several(temperature)
    return reading.windows.merged(found, mean)


def refuse_long(places: Sequence[str], max_length: int) -> None:
    """Refuse texts that are too long, by their places.

    Raises:
        DataError: there are such.
    """
    if places:
        raise DataError(
            f"Texts must have at most {max_length} tokens where longer ones are an error.",
            received=f"{len(places)} that have more, the first in {places[0]}",
            remedy="Shorten them, or choose on_long='window' or 'truncate'.",
        )
