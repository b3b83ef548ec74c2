"""Texts that share a run of words, and keeping them on one side of a split.

Two texts are near-duplicates here when ``RUN`` words in a row stand in both. That is strict enough to be
promised, and to be tested, as one sentence: no run of a test text stands in any text that a model sees.
"""

import re
from collections.abc import Iterable, Sequence

#: Words of a run. Shorter runs are phrases of the language; longer ones let rewordings through.
RUN = 8

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The text's words, lower-cased."""
    return _WORD.findall(text.lower())


def runs(text: str) -> set[int]:
    """Hashes of every run of the text; none where it is too short for one."""
    found = words(text)
    return {hash(tuple(found[i : i + RUN])) for i in range(len(found) - RUN + 1)}


def groups(texts: Sequence[str]) -> list[int]:
    """A group number for each text: near-duplicates, and theirs in turn, have the same one.

    It is the place of the group's first text, and so the same in every process, which hashes are not.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first_with: dict[int, int] = {}
    for i, text in enumerate(texts):
        for run in runs(text):
            here, there = root(i), root(first_with.setdefault(run, i))
            parent[max(here, there)] = min(here, there)
    return [root(i) for i in range(len(texts))]


def without_runs_of(texts: Iterable[str], forbidden: Iterable[str]) -> Iterable[str]:
    """The texts that share no run with any of the forbidden ones."""
    seen = set[int]().union(*(runs(text) for text in forbidden))
    return (text for text in texts if seen.isdisjoint(runs(text)))
