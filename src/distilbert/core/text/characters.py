"""What each character is to BERT: the table of ``characters.json``, as patterns and mappings.

The table is written by ``scripts/character_table.py``, which asks the ``tokenizers`` library; Python's own
``unicodedata`` is of another Unicode version in each release and is never asked.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise

# Hangul syllables are composed of two or three jamo by a rule (Unicode, chapter 3.12).
_SYLLABLES, _LEADING, _VOWEL, _TRAILING = 0xAC00, 0x1100, 0x1161, 0x11A7
_VOWELS, _TRAILINGS, _COUNT = 21, 28, 11172


class Characters:
    """The classes of characters.

    Attributes:
        removed: what cleaning drops.
        blank: what cleaning turns into a space.
        chinese: ideographs, each a word of its own.
        mark: combining marks, dropped with the accents.
        space: what stands between words.
        punctuation: what is a word of its own.
        word: what makes a neighbouring added token part of a longer word.
        lower: lower-cased forms, where they differ.
        rank: of the characters that canonical ordering moves.
        words: matches each word of normalised text.
        unspaced: matches what stands between spaces.
        cluster: matches a character with those after it that ordering may move.
    """

    def __init__(self, table: dict[str, object]) -> None:
        classes = {name: _class(part) for name, part in table.items() if _is_ranges(part)}
        self.removed, self.blank = re.compile(classes["removed"]), re.compile(classes["blank"])
        self.chinese, self.mark = re.compile(classes["chinese"]), re.compile(classes["mark"])
        self.space, self.punctuation = re.compile(classes["space"]), re.compile(classes["punctuation"])
        self.word = re.compile(classes["word"])
        self.lower = _strings(table["lower"])
        self._decomposed = _strings(table["decomposed"])
        orders = table["order"]
        assert isinstance(orders, list)
        self.rank = {c: rank for rank, ranges in enumerate(orders, 1) for c in _members(ranges)}
        neither = f"[^{classes['punctuation'][1:-1]}{classes['space'][1:-1]}]"
        self.unspaced = re.compile(f"[^{classes['space'][1:-1]}]+")
        self.words = re.compile(f"{classes['punctuation']}|{neither}+")
        movable = [*self.rank, *(c for c, d in self._decomposed.items() if d[0] in self.rank)]
        # What cleaning drops is no border: its neighbours meet when it is gone.
        moved = "".join(map(re.escape, movable)) + classes["removed"][1:-1]
        self.cluster = re.compile(f"[^{moved}][{moved}]*|[{moved}]+", re.DOTALL)

    def decomposed(self, character: str) -> str:
        """The canonical decomposition."""
        index = ord(character) - _SYLLABLES
        if not 0 <= index < _COUNT:
            return self._decomposed.get(character, character)
        block, trailing = divmod(index, _TRAILINGS)
        leading, vowel = divmod(block, _VOWELS)
        jamo = [_LEADING + leading, _VOWEL + vowel] + [_TRAILING + trailing] * (trailing > 0)
        return "".join(map(chr, jamo))


@cache
def characters() -> Characters:
    """The table, read once."""
    text = files(__package__).joinpath("characters.json").read_text(encoding="ascii")
    return Characters(json.loads(text))


def _is_ranges(part: object) -> bool:
    return isinstance(part, list) and isinstance(part[0], int)


def _class(ranges: object) -> str:
    """A pattern's class of characters, from first and last of each range."""
    assert isinstance(ranges, Sequence)
    spans = [(a, b) for i, (a, b) in enumerate(pairwise(ranges)) if i % 2 == 0]
    return "[" + "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in spans) + "]"


def _members(ranges: Sequence[int]) -> Iterable[str]:
    for i in range(0, len(ranges), 2):
        yield from map(chr, range(ranges[i], ranges[i + 1] + 1))


def _strings(part: object) -> dict[str, str]:
    assert isinstance(part, dict)
    return part
