"""Rows without labels, for a teacher to answer: the rest of a task's own, or pairs made of text at hand.

Nothing that a model is judged by is among them, nor what it learns with a label.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from study import at_hand, pretrained, rows_in

Rows = list[dict[str, Any]]

#: Of a sentence that ends and another one that begins.
_BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])")
#: Neighbours of a text among all others: from the nearest ones, and from those after them.
_NEAR, _FAR = 3, 30


def rest_of(name: str, column: str = "text") -> Callable[[Rows], Rows]:
    """The texts of a file that are not among the rows which are learnt from."""

    def made(learnt: Rows) -> Rows:
        known = {row[column] for row in learnt}
        texts = dict.fromkeys(row[column] for row in rows_in(at_hand(name)))
        return [{column: text} for text in texts if text not in known]

    return made


def questions_and_sentences(_: Rows) -> Rows:
    """SQuAD's training questions, each with the sentence that answers it and two others of its paragraph.

    QNLI was made like this; the part of it at hand is of SQuAD's development set, which shares no article.
    """
    rng, found = np.random.default_rng(1), []
    for row in rows_in(at_hand("squad11.train_prefix")):
        answer, at, answering, others = row["answers"][0]["answer_start"], 0, None, []
        for sentence in _BETWEEN.split(row["context"]):
            at = row["context"].index(sentence, at)
            if at <= answer < at + len(sentence):
                answering = sentence
            else:
                others.append(sentence)
        chosen = [others[i] for i in rng.permutation(len(others))[:2]]
        found += [
            {"text_a": row["question"], "text_b": text}
            for text in ([answering] if answering else []) + chosen
        ]
    return found


def neighbours(learnt: Rows) -> Rows:
    """Each text of the pairs that are learnt from, with one that is near to it and one that is less so.

    As in Thakur et al. 2021 ("Augmented SBERT", semantic search sampling), by the vectors of the pretrained
    teacher; pairs that are learnt from are left out.
    """
    from distilbert import Embedder

    texts = sorted({row[column] for row in learnt for column in ("text_a", "text_b")})
    x_TD = np.asarray(Embedder.open(pretrained()).encode(texts))
    x_TD /= np.linalg.norm(x_TD, axis=1, keepdims=True)
    known = {frozenset((row["text_a"], row["text_b"])) for row in learnt}
    rng, found = np.random.default_rng(1), []
    for i, text in enumerate(texts):
        order = np.argsort(-(x_TD @ x_TD[i]))
        order = order[order != i]
        for place in (rng.integers(0, _NEAR), rng.integers(_NEAR, _FAR)):
            other = texts[order[place]]
            if frozenset((text, other)) not in known:
                known.add(frozenset((text, other)))
                found.append({"text_a": text, "text_b": other})
    return found
