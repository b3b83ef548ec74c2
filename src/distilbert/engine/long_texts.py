"""Examples as rows that a model has room for: long texts in windows, cut, or refused.

Words and contexts are read in windows by their own tasks. A text that is answered as a whole is read in
windows that share a quarter, and what is said of them is averaged, each counting as many times as it has
tokens: probabilities where there are labels, else what the model gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, Indices, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.text.windows import windows
from distilbert.engine.waiting import Row
from distilbert.errors import ConfigError, DataError

#: What may become of a text that is too long.
ON_LONG = ("window", "truncate", "error")

#: A row as long as any text.
_WHOLE = 2**31 - 1


@dataclass(frozen=True)
class Reading:
    """Examples on their way to a model.

    Attributes:
        items: what the task made of them; of texts that are read in windows, the whole rows.
        rows: what the model reads.
        owners: where some are windows, which row of ``items`` each is of, [rows].
        weights: likewise, the tokens of each.
        cut: texts that lost some of their tokens.
        windowed: texts in several windows.
    """

    items: TokenRows
    rows: list[Row]
    owners: Indices | None
    weights: Indices | None
    cut: int
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


def read(
    task: Any,
    reader: Reader,
    examples: Examples,
    *,
    max_length: int,
    on_long: str = "window",
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
    own_windows = task.head in (Head.TOKEN_CLASSIFICATION, Head.QUESTION_ANSWERING)
    whole = on_long == "window" and not own_windows
    items = task.encode(reader, examples, max_length=_WHOLE if whole else max_length)
    if on_long == "error":
        _refuse_long(items, examples, max_length)
    seconds = items.seconds if items.seconds is not None else np.zeros(len(items.input_ids), np.int64)
    rows = [Row(ids, int(second)) for ids, second in zip(items.input_ids, seconds, strict=True)]
    cut = int(np.count_nonzero(items.dropped))
    if not whole or all(len(row.ids) <= max_length for row in rows):
        several = 0 if items.of is None else int(np.count_nonzero(np.bincount(items.of) > 1))
        return Reading(items, rows, None, None, cut, several)
    parts = [_windows(row, max_length) for row in rows]
    sizes = [len(part) for part in parts]
    return Reading(
        items,
        [row for part in parts for row, _, _ in part],
        np.repeat(np.arange(len(rows)), sizes),
        np.array([weight for part in parts for _, weight, _ in part], np.int64),
        sum(any(lost for _, _, lost in part) for part in parts),
        sum(size > 1 for size in sizes),
    )


def merged(task: Any, found: Sequence[Array], reading: Reading, *, temperature: float) -> list[Array]:
    """What the model gives for each row of ``items``, from what it gives for its windows.

    Args:
        task: of the model.
        found: for each row that it read, [C] or [E].
        reading: of these rows.
        temperature: at which logits are probabilities.
    """
    if reading.owners is None or reading.weights is None:
        return list(found)
    ends = (np.flatnonzero(np.diff(reading.owners, append=-1)) + 1).tolist()
    rows, start = [], 0
    for end in ends:
        weights = reading.weights[start:end].astype(np.float64)
        rows.append(found[start] if end - start == 1 else _mean(task, found[start:end], weights, temperature))
        start = end
    return rows


def _mean(task: Any, found: Sequence[Array], weights: Array, temperature: float) -> Array:
    """The weighted mean of what was found; of probabilities as the logits that have them."""
    stacked = np.stack(found).astype(np.float64)
    shares = np.log(weights / weights.sum())[:, None]
    if isinstance(task, SequenceClassification):
        return temperature * _log_sum(shares + log_softmax(stacked / temperature))
    if isinstance(task, MultiLabelClassification):
        logits = stacked / temperature
        told = _log_sum(shares - np.logaddexp(0.0, -logits))
        return temperature * (told - _log_sum(shares - np.logaddexp(0.0, logits)))
    return np.average(stacked, axis=0, weights=weights).astype(np.float32)


def _log_sum(logarithms: Array) -> Array:
    """The logarithm of a sum over the first axis, from logarithms."""
    return np.logaddexp.reduce(logarithms, axis=0)


def _windows(row: Row, max_length: int) -> list[tuple[Row, int, int]]:
    """The windows of a row, with the tokens that each is of and those that are lost in it.

    Of two texts the longer one comes in windows, and the shorter one stands in each, up to half of it.
    """
    ids, second = row.ids, row.second
    if len(ids) <= max_length:
        return [(row, len(ids), 0)]
    cls, sep = ids[:1], ids[-1:]
    if not second:
        text, room = ids[1:-1], max(1, max_length - 2)
        spans = [w.first for w in windows(len(text), None, limit=room, stride=room // 4)]
        return [(Row(np.concatenate([cls, text[a:b], sep])), b - a, 0) for a, b in spans]
    first, other = ids[1 : second - 1], ids[second:-1]
    room = max(2, max_length - 3)
    swapped = len(first) > len(other)
    kept, long = (other, first) if swapped else (first, other)
    lost = max(0, len(kept) - room // 2)
    kept = kept[: len(kept) - lost]
    room -= len(kept)
    found = []
    for a, b in (w.first for w in windows(len(long), None, limit=room, stride=room // 4)):
        one, two = (long[a:b], kept) if swapped else (kept, long[a:b])
        found.append((Row(np.concatenate([cls, one, sep, two, sep]), len(one) + 2), b - a, lost))
    return found


def _refuse_long(items: TokenRows, examples: Examples, max_length: int) -> None:
    if items.of is not None:
        long = np.flatnonzero(np.bincount(items.of) > 1)
    else:
        long = np.flatnonzero(items.dropped)
    if len(long):
        raise DataError(
            f"Texts must have at most {max_length} tokens where longer ones are an error.",
            received=f"{len(long)} that have more, the first in {examples.at(int(long[0]))}",
            remedy="Shorten them, or choose on_long='window' or 'truncate'.",
        )
