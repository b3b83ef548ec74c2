"""Contexts behind their questions, in windows that overlap; and where two models' windows meet."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import Examples
from distilbert.core.text.windows import windows
from distilbert.errors import ConfigError

#: What a token has at least of a distribution, so that its logarithm is a number.
_LEAST = 1e-30

#: What stands in ``places`` for a token's text: special ones are before the question, between both, behind.
_BEFORE, _BETWEEN, _BEHIND = -1, -2, -3


def windows_of_contexts(
    reader: Reader,
    questions: Sequence[str],
    contexts: Sequence[str],
    *,
    max_length: int,
    stride: int,
) -> TokenRows:
    """A row for each window of a context, behind its question.

    A question that is longer than half of a row is cut to that, and what is cut is counted. Each row's
    ``places`` are [S, 3]: of each token its text (0 the question, 1 the context; special ones have numbers
    below) and its characters ``[start, end)``.

    Args:
        reader: of the model.
        questions: one for each context.
        contexts: where they are asked about.
        max_length: of a row, in tokens.
        stride: tokens that neighbouring windows share; at most half a window.

    Raises:
        ConfigError: a length without room for both.
    """
    frame = reader.pair_frame
    room = max_length - frame.size
    if room < 2:
        raise ConfigError(
            "A row must have room for a question and a context.",
            received=f"max_length={max_length}",
            remedy="Choose some hundreds, such as 384.",
        )
    distinct = list(dict.fromkeys([*questions, *contexts]))
    known = dict(zip(distinct, reader.pieces(distinct), strict=True))
    before, between, behind = (
        np.array([[text, 0, 0]] * len(ids), np.int32).reshape(-1, 3)
        for text, ids in zip((_BEFORE, _BETWEEN, _BEHIND), frame, strict=True)
    )
    rows: list[Any] = []
    places: list[Any] = []
    dropped: list[int] = []
    of: list[int] = []
    seconds: list[int] = []
    for number, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        asked, where_asked = known[question]
        ids, where = known[context]
        lost = max(0, len(asked) - room // 2)
        asked, where_asked = asked[: len(asked) - lost], where_asked[: len(asked) - lost]
        left = room - len(asked)
        spans = [
            window.first for window in windows(len(ids), None, limit=left, stride=min(stride, left // 2))
        ]
        for start, end in spans:
            row: list[Any] = [frame.before, asked, frame.between, ids[start:end], frame.behind]
            rows.append(np.concatenate(row).astype(np.int32))
            own = (before, _of_text(0, where_asked), between, _of_text(1, where[start:end]), behind)
            places.append(np.concatenate(own))
            dropped.append(lost if start == 0 else 0)
            of.append(number)
            seconds.append(len(frame.before) + len(asked) + len(frame.between))
    return TokenRows(
        rows,
        np.array(dropped, np.int64),
        np.array(seconds, np.int64),
        of=np.array(of, np.int64),
        places=places,
    )


def pieces(examples: Examples, rows: TokenRows) -> Examples:
    """For each window its question, and the part of the context that it holds."""
    assert rows.of is not None
    assert rows.places is not None
    questions, contexts = [], []
    for example, places in zip(rows.of, rows.places, strict=True):
        start, end = held(places)
        questions.append(examples.columns["question"][example])
        contexts.append(examples.columns["context"][example][start:end])
    return Examples(examples.task, {"question": questions, "context": contexts}, examples.source)


def held(places: Array) -> tuple[int, int]:
    """The characters of its context that a window holds."""
    context = places[places[:, 0] == 1]
    return (int(context[0, 1]), int(context[-1, 2])) if len(context) else (0, 0)


def met_at_characters(
    logits: Sequence[Array], asked: TokenRows, rows: TokenRows, *, temperature: float
) -> list[Array]:
    """A teacher's distributions of where answers begin and end, as logits of other tokens, [2, S] each.

    What the teacher gives a token goes to the token that holds the same character: of beginnings the first
    one, of ends the last. So two models with the same tokens have the same distribution.

    Args:
        logits: of each of the teacher's rows, [2, S].
        asked: the rows that the teacher made of ``pieces`` of the others.
        rows: the windows that are to be told.
        temperature: of the distributions.

    Returns:
        Logits that have these distributions at that temperature; not a number where the teacher needed
        several windows for one, and so has no distribution over it.
    """
    assert asked.of is not None
    assert asked.places is not None
    assert rows.places is not None
    count = np.bincount(asked.of, minlength=len(rows))
    found = [np.full((2, len(ids)), np.nan, np.float32) for ids in rows.input_ids]
    for own, item, theirs in zip(logits, asked.of, asked.places, strict=True):
        if count[item] > 1:
            continue
        mine = rows.places[item]
        shares = np.exp(log_softmax(own.astype(np.float64) / temperature))
        shift = held(mine)[0]
        for side, share in enumerate(shares):
            target = np.bincount(_same(theirs, mine, shift, end=bool(side)), share, minlength=len(mine))
            found[item][side] = temperature * np.log(np.maximum(target, _LEAST))
    return found


def _same(theirs: Array, mine: Array, shift: int, *, end: bool) -> Array:
    """For each of a teacher's tokens the one of this model's row that holds its first, or last, character."""
    columns = np.zeros(len(theirs), np.int64)
    for special in (_BEFORE, _BETWEEN, _BEHIND):
        # Of several in one place, as some families have, all have one counterpart.
        columns[theirs[:, 0] == special] = np.flatnonzero(mine[:, 0] == special)[0]
    for text in (0, 1):
        own, other = np.flatnonzero(mine[:, 0] == text), theirs[:, 0] == text
        if not len(own):
            continue
        characters = (theirs[other, 2] - 1 if end else theirs[other, 1]) + (shift if text else 0)
        if end:  # the last token that begins at or before it
            at = np.searchsorted(mine[own, 1], characters, side="right") - 1
        else:  # the first one that ends after it
            at = np.searchsorted(mine[own, 2], characters, side="right")
        columns[other] = own[np.clip(at, 0, len(own) - 1)]
    return columns


def _of_text(number: int, offsets: Array) -> Array:
    return np.concatenate([np.full((len(offsets), 1), number, np.int32), offsets], axis=1)
