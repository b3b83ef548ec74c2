"""What is likely wrong with a run of hidden words, with a teacher or without."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from distilbert.core.data.corpus import Corpus
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import Rows
from distilbert.core.training.findings import Finding, of_unknown
from distilbert.core.training.masked_words import HiddenWords

#: Of a teacher and the numbers of sequences.
LookedAt = Callable[[Any, Rows], tuple[dict[str, float], Counter[int]]]

Counts = np.ndarray[Any, np.dtype[np.float64]]

#: Sequences that are looked at; their rows are spread over the text.
_LOOKED_AT = 48

#: Of the pieces of a text, what may be too short or unknown without a word.
_LEFT_OUT = 0.5

#: Of the hidden words, where a teacher of another vocabulary is to be heard at least.
_HEARD = 0.3

#: Nats; below this, both models answer alike.
_ALIKE = 1e-3


def of_hidden_words(
    objective: HiddenWords,
    tokenizer: DistilBertTokenizerFast,
    of_run: Callable[[Mapping[str, Any], str], Iterable[Finding]],
    looked_at: LookedAt,
) -> list[Finding]:
    """What is likely wrong with a run that is about to start; nothing is changed.

    Args:
        objective: what is to be learnt.
        tokenizer: the student's.
        of_run: what a wing sees of these models, by what they are called, and of the first step, with a
            remedy for a loss without a gradient.
        looked_at: means of what ``judge`` says of student and teacher at some sequences, and about how many
            words of each kind.
    """
    data, config = objective.data, objective.model.config
    counts = data.counts(config.vocab_size)
    models: dict[str, Any] = {}
    for teacher in objective.teachers:
        models[teacher.name[0].lower() + teacher.name[1:]] = teacher.model
    found = [
        *_of_text(data),
        *of_unknown(int(counts[tokenizer.unk_token_id]), int(counts.sum())),
        *of_run({**models, "the model": objective.model}, _remedy(objective)),
    ]
    if objective.teachers:
        found += _of_teacher(objective, tokenizer, looked_at)
    return found


def examine(
    objective: Any,
    tokenizer: DistilBertTokenizerFast,
    of_all: Callable[..., Iterable[Finding]],
) -> list[Finding]:
    """The same, of a wing where every teacher reads the student's tokens; ``of_all`` is its ``doctor``'s."""

    def looked_at(teacher: Any, rows: Rows) -> tuple[dict[str, float], Counter[int]]:
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for part in np.array_split(rows, max(1, len(rows) // objective.recipe.micro_batch_size)):
            found, of = objective.judge(objective.micro_batch(part, 0), by=teacher)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value)
                counts[name] = counts.get(name, 0) + of[name]
        return {name: value / max(1, counts[name]) for name, value in sums.items()}, Counter()

    def of_run(models: Mapping[str, Any], remedy: str) -> Iterable[Finding]:
        return of_all(objective, objective.recipe, models, remedy=remedy)

    return of_hidden_words(objective, tokenizer, of_run, looked_at)


def _remedy(objective: HiddenWords) -> str:
    """What gives a loss a gradient; without a teacher it has one term, of which nothing can be chosen."""
    if len(objective.weights) == 1:
        return "Give a text that the model does not know by heart, or hide more of its words: --mask-rate 0.3"
    return (
        "Give a term of the loss a weight that this model and its data can lower, such as --masked-lm-weight."
    )


def _of_text(data: Corpus) -> Iterator[Finding]:
    facts = data.facts()
    share = facts["left_out"] / max(1, facts["left_out"] + facts["sequences"])
    if share > _LEFT_OUT:
        yield Finding(
            f"{share:.0%} of the text's pieces are too short or mostly unknown words, and left out.",
            "Lower --min-length where texts are short; otherwise check that the vocabulary is of "
            "the text's language and casing.",
        )


def _of_teacher(
    objective: HiddenWords, tokenizer: DistilBertTokenizerFast, looked_at: LookedAt
) -> Iterator[Finding]:
    data, model = objective.data, objective.model
    rows = np.unique(np.linspace(0, len(data) - 1, _LOOKED_AT).astype(np.int64))
    counts = word_counts(data, model.config.vocab_size, tokenizer.all_special_ids)
    distances = []
    for teacher in objective.teachers:
        found, kinds = looked_at(teacher, rows)
        if found.get("shared", 1.0) < _HEARD:
            yield Finding(
                f"{teacher.name} and the student cut the text into tokens that both have at only "
                f"{found['shared']:.0%} of the hidden words, and nothing is learnt of it elsewhere.",
                "Choose a teacher or a vocabulary (--tokenizer) of the text's language and casing.",
            )
            continue
        distances.append(found["distribution"])
        frequency = chance(counts, teacher, kinds)
        if found["teacher_masked_lm"] >= frequency:
            yield Finding(
                f"{teacher.name} tells hidden words at {found['teacher_masked_lm']:.2f} nats, which is no "
                f"better than their frequency in the text ({frequency:.2f}).",
                "Train its head on such a text first: distilbert pretrain; if it has been trained, its "
                "tokenizer's files are not those that it was trained with.",
            )
    if distances and max(distances) < _ALIKE:
        yield Finding(
            "The student answers as its teacher does before it has learnt anything.",
            "Choose fewer layers, or another teacher.",
        )


def chance(counts: Counts, teacher: Any, kinds: Mapping[int, int]) -> float:
    """``entropy`` of the words that a teacher is asked about: of another vocabulary those of each kind that
    both have, as often as it is heard about them.
    """
    if teacher.reading is None:
        return entropy(counts)
    heard = {kind: times for kind, times in kinds.items() if kind >= 0}
    of_kind = {kind: entropy(counts[np.unique(teacher.reading.shared.pairs(kind)[0])]) for kind in heard}
    return sum(heard[kind] * of_kind[kind] for kind in heard) / max(1, sum(heard.values()))


def word_counts(data: Corpus, vocab_size: int, special_ids: list[int]) -> Counts:
    """How often a text has each word; tokens that are none count 0."""
    counts = data.counts(vocab_size).astype(np.float64)
    counts[special_ids] = 0
    return counts


def entropy(counts: Counts) -> float:
    """Nats that telling a word by its frequency costs: what a head that knows nothing of texts can reach."""
    shares = counts[counts > 0] / max(1.0, counts.sum())
    return float(-(shares * np.log(shares)).sum()) if len(shares) else math.inf
