"""Two vocabularies: what they share by what tokens stand for, and rows for the tokens of another one."""

from pathlib import Path

import numpy as np
import pytest
from small_files import WORDS, write_teacher

from distilbert import DistilBertTokenizerFast
from distilbert.core.checkpoint import read_weights
from distilbert.core.config import read_config
from distilbert.core.data.reading import Reading
from distilbert.core.parameters import Head, is_of_vocabulary, manifest
from distilbert.core.vocabularies import in_vocabulary, shared_tokens
from distilbert.errors import ConfigError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
STUDENT = DistilBertTokenizerFast(
    {token: i for i, token in enumerate([*SPECIAL, "soup", "cook", "##s", "s", "e"])}
)
SOUP, COOK, S_ON, S, E = range(5, 10)
BYTES = {"decoder": {"type": "ByteLevel"}, "added_tokens": [{"content": "<mask>"}]}
SPACES = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Metaspace"}]}}
WORDPIECE = {"model": {"type": "WordPiece", "continuing_subword_prefix": "##"}}


def test_bytes_are_read_as_what_they_stand_for() -> None:
    tokens = [
        "\u0120soup",
        "soup",
        "\u0120Soup",
        "s",
        "\u00c3\u00a9",
        "\u00c3",
        "<mask>",
        "soup\u0120",
        "\u0120",
    ]
    shared = shared_tokens(STUDENT, {token: i for i, token in enumerate(tokens)}, BYTES)
    none = [-1] * 5
    assert (
        shared.same.tolist()
        == [
            [SOUP, -1, SOUP, -1, *none],  # behind a space, in either case
            [-1, SOUP, -1, S, E, *none[1:]],  # at a word's beginning without one; é as the student writes it
            [-1, -1, -1, S_ON, *none],  # going on with a word
        ]
    )
    own, theirs = shared.pairs(0)
    assert (own.tolist(), theirs.tolist()) == ([SOUP, SOUP], [0, 2])
    assert shared.theirs[0].tolist() == [-1] * 5 + [0, -1, -1, -1, -1]
    assert shared.theirs[2, S_ON] == 3


def test_sentencepiece_and_wordpiece() -> None:
    shared = shared_tokens(STUDENT, {"\u2581soup": 3, "s": 1, "\u2581": 0, "[MASK]": 2}, SPACES)
    assert shared.same[:, 3].tolist() == [SOUP, -1, -1]
    assert shared.same[:, 1].tolist() == [-1, S, S_ON]
    assert not (shared.same[:, [0, 2]] >= 0).any()
    shared = shared_tokens(STUDENT, {"##s": 0, "Soup": 1, "[MASK]": 2, "##": 3, "stew": 4}, WORDPIECE)
    assert shared.same.tolist() == [[S_ON, SOUP, 4, -1, -1]]


def test_vocabularies_with_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="a token in common"):
        shared_tokens(STUDENT, {"\u0120stew": 0}, BYTES)
    with pytest.raises(ConfigError, match="a tokenizer of 'WordLevel' with no more"):
        shared_tokens(STUDENT, {"soup": 0}, {"model": {"type": "WordLevel"}})


#: A text, the student's tokens with their characters, and a teacher's.
TEXT = "Soup cooks cooks"
OWN = [2, SOUP, COOK, S_ON, COOK, S_ON, 3]
SPANS = np.array([[0, 0], [0, 4], [5, 9], [9, 10], [11, 15], [15, 16], [0, 0]])
THEIRS = {"<s>": 0, "Soup": 1, "\u0120cook": 2, "s": 3, "\u0120cooks": 4, "</s>": 5, "<mask>": 6, "soup": 7}
ROW = [0, 1, 2, 3, 4, 5]
#: The second space is counted to its token, as some tokenizers do.
OFFSETS = [(0, 0), (0, 4), (5, 9), (9, 10), (10, 16), (0, 0)]


@pytest.fixture
def reading() -> Reading:
    shared = shared_tokens(
        STUDENT, THEIRS, {**BYTES, "added_tokens": [{"content": t} for t in ("<s>", "</s>", "<mask>")]}
    )
    return Reading(lambda texts: ([list(ROW) for _ in texts], [OFFSETS for _ in texts]), shared, 6, 4)


def test_a_teacher_is_compared_where_both_have_the_token(reading: Reading) -> None:
    true = np.array(OWN)
    read = reading([TEXT] * 2, [SPANS] * 2, [true] * 2, [true] * 2)
    assert read.places.tolist() == [-1, 1, 2, 3, -1, -1, -1, -1, 7, 8, 9, -1, -1, -1]
    assert read.kinds.tolist()[:7] == [-1, 1, 0, 2, -1, -1, -1]
    assert read.texts.input_ids.tolist() == [ROW * 2], "nothing was hidden"


@pytest.mark.parametrize(
    ("at", "behind", "expected"),
    [
        (1, 4, [0, 6, 2, 3, 4, 5]),  # one token of each
        (3, 4, [0, 1, 2, 6, 4, 5]),
        (5, 4, [0, 1, 2, 3, 6, 5]),  # a part of the teacher's: all of it is hidden
        (4, 4, [0, 1, 2, 3, 6, 5]),
        (1, S, [0, 3, 2, 3, 4, 5]),  # another word, which both have as it stands there
        (1, COOK, [0, 6, 2, 3, 4, 5]),  # one that the teacher has behind a space only
        (2, COOK, ROW),  # left as it is
        (4, SOUP, [0, 1, 2, 3, 6, 5]),  # another word in the place of a part
    ],
)
def test_what_is_hidden_from_one_is_hidden_from_the_other(
    reading: Reading, at: int, behind: int, expected: list[int]
) -> None:
    true = np.array(OWN)
    hidden = true.copy()
    hidden[at] = behind
    read = reading([TEXT], [SPANS], [true], [hidden])
    assert read.texts.input_ids.tolist() == [expected]


def test_characters_of_several_tokens_are_of_none(reading: Reading) -> None:
    """A character that takes several tokens stands for none of them alone."""
    twice = [(0, 0), (0, 4), (0, 4), (9, 10), (10, 16), (0, 0)]
    reading = Reading(lambda texts: ([list(ROW)], [twice]), reading.shared, 6, 4)
    read = reading([TEXT], [SPANS], [np.array(OWN)], [np.array(OWN)])
    assert read.places.tolist() == [-1, -1, -1, 3, -1, -1, -1]


def test_rows_for_another_vocabulary(tmp_path: Path) -> None:
    folder = write_teacher(tmp_path / "bert")
    config = read_config(folder)
    arrays, _ = read_weights(folder, manifest(config, Head.MASKED_LM), config)
    known = {token: i for i, token in enumerate(WORDS)}
    wanted = {token: i for i, token in enumerate(["[UNK]", "[PAD]", "stew", *WORDS[2:9], "##ing"])}
    changed, new = in_vocabulary(config, arrays, known, wanted)
    assert (changed.vocab_size, changed.pad_token_id) == (len(wanted), 1)
    assert (config.vocab_size, config.pad_token_id) == (len(WORDS), 0)
    rows = {p.key for p in manifest(config, Head.MASKED_LM) if is_of_vocabulary(p) and p.key in arrays}
    assert len(rows) >= 2
    for key, array in arrays.items():
        if key not in rows:
            assert new[key] is array
            continue
        assert len(new[key]) == len(wanted)
        for token, i in wanted.items():
            expected = array[known[token]] if token in known else array.mean(0, dtype=np.float64)
            np.testing.assert_allclose(new[key][i], expected, atol=0 if token in known else 1e-7)
