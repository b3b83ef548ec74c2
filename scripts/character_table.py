"""Writes ``core/text/characters.json``: what BERT's normaliser and splitter make of each character.

Their reference is the ``tokenizers`` library, whose tables are of a Unicode version of its own; Python's
``unicodedata`` is of another in each release. So the table is asked of the library, one character after
the other, and never of ``unicodedata``.

  python scripts/character_table.py            write the table
  python scripts/character_table.py --check    fail where the installed library behaves otherwise
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

TABLE = Path(__file__).parents[1] / "src/distilbert/core/text/characters.json"

#: Hangul syllables decompose by a rule, given in core/text/characters.py.
HANGUL = range(0xAC00, 0xD7A4)

CHARACTERS = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    args = parser.parse_args()
    lines = ",\n".join(f'"{name}": {json.dumps(part)}' for name, part in table().items())
    text = f"{{\n{lines}\n}}\n"
    if args.check:
        sys.exit(0 if TABLE.read_text() == text else "The table is not what the installed library does.")
    TABLE.write_text(text)


def table() -> dict[str, object]:
    """Ranges of characters by what becomes of them, and the strings that single ones become."""
    clean = _bert(clean_text=True)
    marks = _bert(strip_accents=True)
    chinese = _bert(handle_chinese_chars=True)
    lower = _bert(lowercase=True)
    decompose = normalizers.NFD().normalize_str
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

    def pieces(c: str) -> list[str]:
        return [word for word, _ in words(f"a{c}b")]

    return {
        "removed": _ranges(lambda c: clean(f"a{c}b") == "ab"),
        "blank": _ranges(lambda c: clean(f"a{c}b") == "a b"),
        "chinese": _ranges(lambda c: chinese(c) == f" {c} "),
        "mark": _ranges(lambda c: marks(f"a{c}") == "a"),
        "space": _ranges(lambda c: pieces(c) == ["a", "b"]),
        "punctuation": _ranges(lambda c: pieces(c) == ["a", c, "b"]),
        "word": _ranges(_beside_whole_words()),
        "lower": {c: low for c in CHARACTERS if (low := lower(c)) != c},
        "decomposed": {c: d for c in CHARACTERS if ord(c) not in HANGUL and (d := decompose(c)) != c},
        "order": [list(_spans(ord(c) for c in group)) for group in _orders(decompose)],
    }


def _bert(**steps: bool) -> Callable[[str], str]:
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    normalize: Callable[[str], str] = normalizers.BertNormalizer(**{**off, **steps}).normalize_str
    return normalize


def _beside_whole_words() -> Callable[[str], bool]:
    """Characters that, beside an added token of whole words only, hide it."""
    tokenizer = Tokenizer(models.WordPiece({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("-", single_word=True, normalized=False)])
    token = tokenizer.token_to_id("-")
    return lambda c: c != "-" and token not in tokenizer.encode(f"{c}-").ids


def _orders(decompose: Callable[[str], str]) -> list[list[str]]:
    """Characters that canonical ordering moves, in groups of one rank, the lowest rank first.

    Two of them stand in the order of their ranks after decomposition, and as they were where the ranks
    are one; found by asking for every pair of a character and a member of each group.
    """

    def before(one: str, other: str) -> bool:
        return decompose(f"a{other}{one}") == f"a{one}{other}" != f"a{other}{one}"

    # U+0334 has the lowest of all ranks, U+0345 the highest: what stands on neither side of a pair of
    # them as it was put there is moved.
    moved = [
        c
        for c in CHARACTERS
        if len(decompose(c)) == 1 and decompose(c) == c and (before(c, "\u0345") or before("\u0334", c))
    ]
    groups: list[list[str]] = []
    for c in moved:
        for i, group in enumerate(groups):
            if before(c, group[0]):
                groups.insert(i, [c])
                break
            if not before(group[0], c):
                group.append(c)
                break
        else:
            groups.append([c])
    return groups


def _ranges(holds: Callable[[str], bool]) -> list[int]:
    return list(_spans(ord(c) for c in CHARACTERS if holds(c)))


def _spans(points: Iterator[int]) -> Iterator[int]:
    """First and last of each run, one after the other."""
    first = last = -2
    for point in points:
        if point != last + 1:
            if last >= 0:
                yield from (first, last)
            first = point
        last = point
    if last >= 0:
        yield from (first, last)


if __name__ == "__main__":
    main()
