"""Scores of a text's tokens to entities, by the published strategies.

"none" tells each token, "simple" joins neighbouring tokens of one kind. The others make one tag of all pieces
of a word first: that of its "first" piece, that of the surest one ("max"), or of their "average".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from distilbert.core.data.token_rows import Array

STRATEGIES = ("none", "simple", "first", "average", "max")

Spell = Callable[[list[str]], str]


class Piece(NamedTuple):
    """A token of a text.

    ``start`` and ``end`` are its characters, ``column`` its place among all tokens, and ``inside`` says that
    it goes on with a word.
    """

    word: str
    scores: Array
    start: int
    end: int
    column: int
    inside: bool


def aggregated(
    pieces: Sequence[Piece], strategy: str, id2label: Mapping[int, str], spell: Spell
) -> list[dict[str, Any]]:
    """What the tokens say.

    Args:
        pieces: in their order, special tokens left out.
        strategy: one of ``STRATEGIES``.
        id2label: names of tags.
        spell: makes a text of tokens.
    """
    if strategy in ("none", "simple"):
        told = [
            {
                "entity": id2label[int(piece.scores.argmax())],
                "score": float(piece.scores.max()),
                "index": piece.column,
                "word": piece.word,
                "start": piece.start,
                "end": piece.end,
            }
            for piece in pieces
        ]
        if strategy == "none":
            return told
    else:
        told = [_word(own, strategy, id2label, spell) for own in _words(pieces)]
    return [_group(own, spell) for own in _runs(told)]


def without_overlap(entities: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entities of a text that was read in windows, each once: of two that share characters the longer
    one, of two as long the surer one.
    """
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda one: one["start"]):
        if not kept or entity["start"] >= kept[-1]["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(kept[-1]):
            kept[-1] = entity
    return kept


def _weight(entity: Mapping[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]


def _words(pieces: Sequence[Piece]) -> list[list[Piece]]:
    words: list[list[Piece]] = []
    for piece in pieces:
        if piece.inside and words:
            words[-1].append(piece)
        else:
            words.append([piece])
    return words


def _word(
    pieces: Sequence[Piece], strategy: str, id2label: Mapping[int, str], spell: Spell
) -> dict[str, Any]:
    """One tag for all pieces of a word."""
    if strategy == "average":
        scores = np.mean([piece.scores for piece in pieces], axis=0)
    elif strategy == "max":
        scores = max(pieces, key=lambda piece: piece.scores.max()).scores
    else:
        scores = pieces[0].scores
    return {
        "entity": id2label[int(scores.argmax())],
        "score": float(scores.max()),
        "word": spell([piece.word for piece in pieces]),
        "start": pieces[0].start,
        "end": pieces[-1].end,
    }


def _runs(told: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Neighbours of one kind; what begins an entity begins a run."""
    runs: list[list[dict[str, Any]]] = []
    for one in told:
        begins, kind = _kind(one["entity"])
        if runs and not begins and kind == _kind(runs[-1][-1]["entity"])[1]:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _kind(tag: str) -> tuple[bool, str]:
    """Whether a tag begins an entity, and of which kind it is."""
    return tag.startswith("B-"), tag[2:] if tag.startswith(("B-", "I-")) else tag


def _group(run: Sequence[dict[str, Any]], spell: Spell) -> dict[str, Any]:
    return {
        "entity_group": run[0]["entity"].split("-", 1)[-1],
        "score": float(np.mean([one["score"] for one in run])),
        "word": spell([one["word"] for one in run]),
        "start": run[0]["start"],
        "end": run[-1]["end"],
    }
