"""From what a model gives for rows to the logits of items, as tasks take them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.tasks.finite import check_finite
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.engine.long_texts import Reading, merged


def row_logits(task: Any, found: Sequence[tuple[Array, ...]]) -> list[Array]:
    """One array a row: [C], [E], [S, C], or of an answer's limits [2, S]."""
    if task.head is Head.QUESTION_ANSWERING:
        return [np.stack(own) for own in found]
    return [own[0] for own in found]


def item_logits(task: Any, logits: Sequence[Array], items: TokenRows) -> list[Array]:
    """The logits of each item, out of those of its rows.

    Raises:
        CheckpointError: some are no numbers.
    """
    check_finite(logits, of="row")
    if items.starts is None:
        return list(logits)
    groups = [logits[start:end] for start, end in zip(items.starts[:-1], items.starts[1:], strict=True)]
    if isinstance(task, SentenceEmbedding):
        return [task.modules.finish(np.stack(group)) for group in groups]
    return [np.concatenate(group) for group in groups]


def calibrated_logits(
    opened: TaskFolder, found: Sequence[tuple[Array, ...]], reading: Reading
) -> Sequence[Array]:
    """The logits of each item at the folder's temperature, out of what the model gives for each row.

    Raises:
        CheckpointError: some are no numbers.
    """
    task, calibration = opened.task, opened.calibration
    logits = merged(task, row_logits(task, found), reading, temperature=calibration.temperature)
    return calibration.applied(item_logits(task, logits, reading.items))
