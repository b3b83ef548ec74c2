"""BERT's normaliser: cleaning, room around ideographs, accents, case; each character knows its origin.

The order is that of the ``tokenizers`` library: accents go before capitals do. Every step turns aligned
characters into aligned characters, (character, start, end), where start and end are the span of the given
text that the character came from.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from distilbert.core.text.characters import characters

Aligned = tuple[str, int, int]
Step = Callable[[Iterable[Aligned]], Iterable[Aligned]]

#: Clusters whose normal form is remembered: texts use few, and hostile ones must not fill memory.
_REMEMBERED = 2**16


class Normalized(NamedTuple):
    """Normalised text; character i came from ``[starts[i], ends[i])`` of the given one."""

    text: str
    starts: list[int] | range
    ends: list[int] | range


class Normalizer:
    """Text to normalised text.

    Args:
        clean_text: drop control characters, and make every kind of space a plain one.
        tokenize_chinese_chars: put spaces around ideographs.
        strip_accents: decompose characters, and drop the marks.
        do_lower_case: lower-case them, each by itself (so a final sigma is like any other).
    """

    def __init__(
        self, *, clean_text: bool, tokenize_chinese_chars: bool, strip_accents: bool, do_lower_case: bool
    ) -> None:
        steps = (
            (clean_text, clean),
            (tokenize_chinese_chars, make_room),
            (strip_accents, decompose),
            (strip_accents, drop_marks),
            (do_lower_case, lower),
        )
        self._steps: list[Step] = [step for wanted, step in steps if wanted]
        self._lowers, self._cleans = do_lower_case, clean_text
        self._known: dict[str, list[Aligned]] = {}

    def __call__(self, text: str) -> Normalized:
        if text.isascii() and (not self._cleans or text.isprintable()):
            # Nothing is dropped or added here.
            return Normalized(
                text.lower() if self._lowers else text, range(len(text)), range(1, len(text) + 1)
            )
        out, starts, ends = [], [], []
        at = 0
        for cluster in characters().cluster.findall(text):
            for character, start, end in self._cluster(cluster):
                out.append(character)
                starts.append(at + start)
                ends.append(at + end)
            at += len(cluster)
        return Normalized("".join(out), starts, ends)

    def _cluster(self, cluster: str) -> list[Aligned]:
        """The aligned characters of a part that no step connects with its neighbours."""
        known = self._known.get(cluster)
        if known is None:
            aligned: Iterable[Aligned] = [(c, i, i + 1) for i, c in enumerate(cluster)]
            for step in self._steps:
                aligned = step(aligned)
            known = list(aligned)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[cluster] = known
        return known


def clean(aligned: Iterable[Aligned]) -> Iterable[Aligned]:
    """Without control characters, and with one kind of space."""
    removed, blank = characters().removed, characters().blank
    for character, start, end in aligned:
        if not removed.match(character):
            yield " " if blank.match(character) else character, start, end


def make_room(aligned: Iterable[Aligned]) -> Iterable[Aligned]:
    """A space before and after each ideograph."""
    chinese = characters().chinese
    for character, start, end in aligned:
        if chinese.match(character):
            yield from ((" ", start, end), (character, start, end), (" ", start, end))
        else:
            yield character, start, end


def decompose(aligned: Iterable[Aligned]) -> Iterable[Aligned]:
    """Letters and their marks as characters of their own, marks in canonical order.

    Where ordering moves marks, origins stay in the order of the text, as the library has it.
    """
    given = list(aligned)
    table = characters()
    parts = [(part, i > 0) for c, _, _ in given for i, part in enumerate(table.decomposed(c))]
    at = 0
    for character, added in _in_order(parts, table.rank):
        if not added:
            at += 1
        _, start, end = given[max(0, at - 1)]
        yield character, start, end


def drop_marks(aligned: Iterable[Aligned]) -> Iterable[Aligned]:
    """Without combining marks."""
    mark = characters().mark
    return [item for item in aligned if not mark.match(item[0])]


def lower(aligned: Iterable[Aligned]) -> Iterable[Aligned]:
    """Each character's lower-case form."""
    table = characters().lower
    for character, start, end in aligned:
        for one in table.get(character, character):
            yield one, start, end


def _in_order(parts: list[tuple[str, bool]], rank: dict[str, int]) -> list[tuple[str, bool]]:
    """Runs of characters that have a rank, sorted by it."""
    out: list[tuple[str, bool]] = []
    run: list[tuple[str, bool]] = []
    for part in parts:
        if part[0] in rank:
            run.append(part)
            continue
        out += sorted(run, key=lambda p: rank[p[0]])
        run = []
        out.append(part)
    return out + sorted(run, key=lambda p: rank[p[0]])
