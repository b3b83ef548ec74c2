"""A vocabulary learnt from a corpus: complete, loadable, and what the corpus is made of."""

import json
from pathlib import Path

import pytest
import transformers
from small_files import sentences

from distilbert import DistilBertTokenizer, DistilBertTokenizerFast, train_tokenizer
from distilbert.cli.main import main
from distilbert.errors import ConfigError, DataError


def test_a_folder_that_everybody_reads(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    texts, _ = sentences(200, seed=1)
    (tmp_path / "texts.txt").write_text("\n".join([*texts, "Crème brûlée"]))
    command = (
        f"train-tokenizer --text {tmp_path}/texts.txt --vocab-size 120 --out {tmp_path}/made --json --quiet"
    )
    assert main(command.split()) == 0
    size = json.loads(capsys.readouterr().out)["vocab_size"]
    assert 20 < size <= 120
    ours = [
        kind.from_pretrained(tmp_path / "made") for kind in (DistilBertTokenizer, DistilBertTokenizerFast)
    ]
    peers = [
        kind.from_pretrained(tmp_path / "made")
        for kind in (transformers.DistilBertTokenizer, transformers.DistilBertTokenizerFast)
    ]
    for text in [*texts[:20], "CRÈME of something unknown: ☃"]:
        rows = [tokenizer.encode(text) for tokenizer in (*ours, *peers)]
        assert all(row == rows[0] for row in rows)
    assert ours[0].convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert ours[0].unk_token_id not in ours[0].encode(texts[0])


def test_settings_are_those_of_the_corpus_and_the_tokenizer() -> None:
    texts = ["Ähre Ähre Ähre Ball", "ball Ball"] * 5
    cased = train_tokenizer(texts, vocab_size=60, do_lower_case=False)
    assert cased.tokenize("Ähre ball Ball") == ["Ähre", "ball", "Ball"]
    lower = train_tokenizer(texts, vocab_size=60)
    assert lower.tokenize("Ähre BALL") == ["ahre", "ball"]
    special = train_tokenizer(texts, vocab_size=60, special_tokens=["[USER]"])
    assert special.tokenize("ball [USER] ball") == ["ball", "[USER]", "ball"]
    assert special.additional_special_tokens == ["[USER]"]
    rare = train_tokenizer(["once", "twice twice"] * 1, vocab_size=60, min_frequency=2)
    assert rare.tokenize("twice") == ["twice"]
    assert len(rare.tokenize("once")) > 1


def test_what_cannot_be_learnt() -> None:
    with pytest.raises(DataError, match="learnt from texts"):
        train_tokenizer([])
    with pytest.raises(ConfigError, match="room for every character"):
        train_tokenizer(["abcdefghij" * 3], vocab_size=8)


def test_another_vocabulary_with_the_same_settings(tmp_path: Path) -> None:
    first = train_tokenizer(["Ball ball"] * 3, vocab_size=40, do_lower_case=False, special_tokens=["[A]"])
    again = first.train_new_from_iterator(
        [["Goal goal", "Goal"], ["team"] * 3], 60, new_special_tokens=["[B]"]
    )
    assert again.tokenize("Goal [A] [B] team") == ["Goal", "[A]", "[B]", "team"]
    assert not again.do_lower_case
