"""Tables of tokenised rows as a ``tf.data.Dataset`` of batches, which ``fit`` and ``evaluate`` take."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from distilbert.core.config import IGNORED_LABEL
from distilbert.errors import DataError

#: What tables call the one label of a row, and what models do.
_LABEL_NAMES = {"label": "labels", "label_ids": "labels"}

Collate = Callable[..., Mapping[str, Any]]


def tf_dataset(
    rows: Any,
    *,
    inputs: Sequence[str],
    labels: Iterable[str],
    batch_size: int,
    shuffle: bool,
    tokenizer: Any,
    collate: Collate | None,
    drop_remainder: bool,
    prefetch: bool,
) -> Any:
    """Batches of a table: pairs of a dictionary of inputs and of labels, where it has any.

    Args:
        rows: dictionaries by number, as ``datasets`` and lists have them, or a mapping of columns.
        inputs: columns that a model reads; others are left.
        labels: of them, those that it is told by.
        batch_size: rows of a batch.
        shuffle: in another order each time, which ``keras.utils.set_random_seed`` sets.
        tokenizer: pads rows of several lengths.
        collate: makes a batch of a list of rows, in the place of padding.
        drop_remainder: leave out a last batch that is smaller.
        prefetch: make a batch while the one before it is computed.

    Raises:
        DataError: no rows, or none of the columns; rows of several lengths without a tokenizer.
    """
    import tensorflow as tf

    count = len(next(iter(rows.values()), ())) if isinstance(rows, Mapping) else len(rows)
    join = collate or _padding(tokenizer)

    def fetch(numbers: Iterable[int]) -> dict[str, "np.ndarray[Any, Any]"]:
        batch = join([_read(_row(rows, int(i)), inputs) for i in numbers])
        return {name: _narrow(np.asarray(batch[name])) for name in sorted(batch) if name in inputs}

    first = fetch(range(min(count, 2)) if count else [])
    if not first:
        raise DataError(
            f"Rows hold inputs of the model: {', '.join(inputs)}.",
            received="none of these columns" if count else "no rows",
            remedy="Tokenise the table first: tokenizer(texts) gives the columns.",
        )
    told = [name for name in labels if name in first]

    def make(numbers: Any) -> Any:
        parts = tf.numpy_function(
            lambda found: list(fetch(found).values()), [numbers], [x.dtype for x in first.values()]
        )
        for part, like in zip(parts, first.values(), strict=True):
            part.set_shape([batch_size if drop_remainder else None, *[None] * (like.ndim - 1)])
        batch = dict(zip(first, parts, strict=True))
        answers = {name: batch.pop(name) for name in told}
        if not told:
            return batch
        return batch, next(iter(answers.values())) if len(answers) == 1 else answers

    order = tf.data.Dataset.range(count)
    if shuffle:
        order = order.shuffle(count)
    batches = order.batch(batch_size, drop_remainder=drop_remainder).map(make)
    return batches.prefetch(tf.data.AUTOTUNE) if prefetch else batches


def _row(rows: Any, i: int) -> Mapping[str, Any]:
    return {name: column[i] for name, column in rows.items()} if isinstance(rows, Mapping) else rows[i]


def _read(row: Mapping[str, Any], inputs: Sequence[str]) -> dict[str, Any]:
    """Of a row, what a model reads, by its names."""
    named = {_LABEL_NAMES.get(name, name): value for name, value in row.items()}
    return {name: value for name, value in named.items() if name in inputs}


def _padding(tokenizer: Any) -> Collate:
    """What makes rows of one length out of several, or of one length a batch."""

    def join(rows: list[dict[str, Any]]) -> dict[str, Any]:
        names = list(rows[0]) if rows else []
        columns = {name: [np.asarray(row[name]) for row in rows] for name in names}
        ragged = {name for name, column in columns.items() if len({x.shape for x in column}) > 1}
        padded = tokenizer is not None and all(x.ndim == 1 for x in columns.get("input_ids", ()))
        if not ragged and not padded:
            return {name: np.stack(column) for name, column in columns.items()}
        if not padded:
            raise DataError(
                "Rows of a batch have one length.",
                received=f"{', '.join(sorted(ragged))} of several",
                remedy="Give tokenizer=, which pads them, or tokenise with padding='max_length'; choices of "
                "several lengths want a collate_fn.",
            )
        texts = [name for name in names if not name.endswith(("labels", "positions"))]
        batch = dict(tokenizer.pad({name: [x.tolist() for x in columns[name]] for name in texts}))
        width = max(len(ids) for ids in batch["input_ids"])
        for name in set(names) - set(texts):
            lengths = zip(columns[name], columns["input_ids"], strict=True)
            of_tokens = all(x.ndim == 1 and x.shape == ids.shape for x, ids in lengths)
            left = getattr(tokenizer, "padding_side", "right") == "left"
            batch[name] = [_widened(x, width, left=left) if of_tokens else x for x in columns[name]]
        return batch

    return join


def _widened(labels: "np.ndarray[Any, Any]", width: int, *, left: bool) -> "np.ndarray[Any, Any]":
    """Labels of tokens as wide as their batch, with padding where the tokenizer puts it."""
    more = width - len(labels)
    return np.pad(labels, (more, 0) if left else (0, more), constant_values=IGNORED_LABEL)


def _narrow(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Numbers as the published models take them: of 32 bits."""
    wide = {"int64": "int32", "float64": "float32"}
    return array.astype(wide.get(array.dtype.name, array.dtype))
