"""Sequences with their text: those of a plain corpus, and of each token the characters that it is made of."""

from pathlib import Path

import numpy as np
import pytest

from distilbert import DistilBertTokenizerFast
from distilbert.core.data import cutting
from distilbert.core.data.corpus import open_corpus
from distilbert.core.data.spelled import SpelledCorpus
from distilbert.errors import DataError

WORDS = ["the", "ball", "##s", "team", "goal", "soup", ".", ",", "x", "cafe"]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
TEXTS = [
    "The ball,  the team.", "goal " * 30, "", "unheard of", "Balls balls\tsoup x X x.",
    "Caf\u00e9 the caf\u00e9, unknown x",
]  # fmt: skip


@pytest.fixture
def tokenizer() -> DistilBertTokenizerFast:
    return DistilBertTokenizerFast({token: i for i, token in enumerate(TOKENS)})


def spelled(texts: object, tokenizer: DistilBertTokenizerFast, length: int = 8) -> SpelledCorpus:
    return open_corpus(texts, tokenizer, max_length=length, min_length=3, kind=SpelledCorpus)


def test_each_token_has_its_characters(tokenizer: DistilBertTokenizerFast) -> None:
    for length in (5, 8, 64):
        data = spelled(TEXTS, tokenizer, length)
        plain = open_corpus(TEXTS, tokenizer, max_length=length, min_length=3)
        assert type(plain) is not SpelledCorpus
        assert [row.tolist() for row in data] == [row.tolist() for row in plain]
        assert data.facts()["left_out"] == plain.facts()["left_out"] > 0
        for row in range(len(data)):
            text, spans = data.spelled(row)
            assert spans[0].tolist() == spans[-1].tolist() == [0, 0]
            for number, (start, end) in zip(data[row][1:-1], spans[1:-1].tolist(), strict=True):
                said = text[start:end].lower().replace("\u00e9", "e")
                assert said == TOKENS[number].removeprefix("##") or (number == 1 and said == "unknown")


def test_a_sequence_within_a_text_begins_behind_the_space_before_it(
    tokenizer: DistilBertTokenizerFast,
) -> None:
    data = spelled(["goal balls goal team, x"], tokenizer, 5)
    assert [data.spelled(row)[0] for row in range(len(data))] == ["goal balls", " goal team,", " x"]
    assert data.spelled(0)[1].tolist() == [[0, 0], [0, 4], [5, 9], [9, 10], [0, 0]]
    assert data.spelled(1)[1].tolist() == [[0, 0], [1, 5], [6, 10], [10, 11], [0, 0]]
    (text, spans) = spelled(["balls"], tokenizer, 3).spelled(1)
    assert (text, spans.tolist()) == ("s", [[0, 0], [0, 1], [0, 0]]), "and not where there is none"


def test_no_token_of_a_long_text_is_lost(
    tokenizer: DistilBertTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "PART_CHARACTERS", 40)
    monkeypatch.setattr(cutting, "BATCH_CHARACTERS", 90)
    text = "the balls, the goal of caf\u00e9 soup. " * 20
    data = spelled([text], tokenizer, 9)
    inner = [number for row in data for number in row[1:-1].tolist()]
    assert inner == tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    whole = "".join(data.spelled(row)[0] for row in range(len(data)))
    assert whole.replace(" ", "") == text.replace(" ", "")


def test_it_is_kept_beside_the_plain_one_and_made_anew_when_damaged(
    tokenizer: DistilBertTokenizerFast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS))
    data = spelled(path, tokenizer)
    plain = open_corpus(path, tokenizer, max_length=8, min_length=3)
    assert plain.folder != data.folder
    assert spelled(path, tokenizer).folder == data.folder
    expected = [data.spelled(row)[0] for row in range(len(data))]
    for file, content in (
        ("spans.bin", (data.folder / "spans.bin").read_bytes()[:-8]),
        ("texts.bin", (data.folder / "texts.bin").read_bytes()[:-1]),
        ("text_ends.bin", b""),
        ("spans.bin", np.zeros(3, np.int8).tobytes()),
    ):
        (data.folder / file).write_bytes(content)
        with pytest.raises(DataError, match="must be whole"):
            SpelledCorpus(data.folder)
        caplog.clear()
        again = spelled(path, tokenizer)
        assert "tokenised again" in caplog.text
        assert [again.spelled(row)[0] for row in range(len(again))] == expected
