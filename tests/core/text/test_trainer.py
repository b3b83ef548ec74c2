"""A vocabulary learnt from a corpus: complete, loadable, and what the corpus is made of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from small_files import sentences

from distilbert import AddedToken, DistilBertTokenizer, DistilBertTokenizerFast, train_tokenizer
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


@pytest.mark.parametrize(
    ("texts", "options", "error", "sentence"),
    [
        ([], {}, DataError, "learnt from texts"),
        ("one string", {}, DataError, "learnt from texts, one after another. Received: 'one string'"),
        (None, {}, DataError, "learnt from texts"),
        (["a", 5], {}, DataError, "valid Unicode. Received: 5 at row 1"),
        (["a", ["b"]], {}, DataError, "valid Unicode.*at row 1"),
        (["a", "\ud800"], {}, DataError, "valid Unicode.*at row 1"),
        (["a"], {"vocab_size": -4}, ConfigError, "vocab_size must be a whole number of at least 1"),
        (["a"], {"vocab_size": "50"}, ConfigError, "vocab_size must be a whole number"),
        (["a"], {"min_frequency": -1}, ConfigError, "min_frequency must be a whole number of at least 0"),
        (["a"], {"special_tokens": "<x>"}, ConfigError, "special_tokens must be a list of tokens"),
        (["a"], {"special_tokens": [5]}, ConfigError, "a string, or an object"),
    ],
)
def test_what_is_no_corpus(texts: Any, options: Any, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        train_tokenizer(texts, **options)
    if not options and texts and ["b"] not in list(texts):
        with pytest.raises(error, match=sentence):
            train_tokenizer(["a"]).train_new_from_iterator(texts, 20)


def test_special_tokens_in_the_corpus_are_not_learnt_again(caplog: pytest.LogCaptureFixture) -> None:
    token = AddedToken("<USER>", lstrip=True)
    made = train_tokenizer(
        ["the [MASK] sat <USER> on MASKS"] * 3,
        vocab_size=np.int64(90),
        min_frequency=1,
        special_tokens=[token],
    )
    words = set(made.get_vocab()) - {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<USER>"}
    assert words
    assert not [word for word in words if not word.islower() or "[" in word]
    assert made.tokenize("[MASK] masks  <USER>") == ["[MASK]", "masks", "<USER>"]
    assert made.special_tokens_map_extended["additional_special_tokens"][0].lstrip
    assert not caplog.records, "nothing contradicts anything"


def test_force_replaces_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "texts.txt").write_text("some words, and some more words\n" * 3)
    out = tmp_path / "made"
    command = f"train-tokenizer --text {tmp_path}/texts.txt --vocab-size 80 --out {out} --quiet"
    assert main(command.split()) == 0
    (out / "added_tokens.json").write_text('{"<old>": 80}')
    assert main(command.split()) == 2
    assert "already holds a tokenizer" in capsys.readouterr().err
    assert main([*command.split(), "--force"]) == 0
    assert not (out / "added_tokens.json").exists(), "parts of two tokenizers make none"
    (out / "notes.txt").write_text("mine")
    assert main([*command.split(), "--force"]) == 2
    assert (out / "notes.txt").exists()
    assert main(command.replace("size 80", "size -4").replace("/made", "/other").split()) == 2
    assert "vocab_size must be a whole number" in capsys.readouterr().err


def test_what_cannot_be_learnt() -> None:
    with pytest.raises(ConfigError, match="room for every character"):
        train_tokenizer(["abcdefghij" * 3], vocab_size=8)


def test_another_vocabulary_with_the_same_settings(tmp_path: Path) -> None:
    first = train_tokenizer(["Ball ball"] * 3, vocab_size=40, do_lower_case=False, special_tokens=["[A]"])
    again = first.train_new_from_iterator(
        [["Goal goal", "Goal"], ["team"] * 3], 60, new_special_tokens=["[B]"]
    )
    assert again.tokenize("Goal [A] [B] team") == ["Goal", "[A]", "[B]", "team"]
    assert not again.do_lower_case


def test_a_new_vocabulary_has_every_setting() -> None:
    settings = {
        "do_lower_case": False, "strip_accents": True, "do_basic_tokenize": False, "clean_text": False,
        "tokenize_chinese_chars": False, "padding_side": "left", "truncation_side": "left",
        "clean_up_tokenization_spaces": False, "split_special_tokens": True, "model_max_length": 77,
        "model_input_names": ["input_ids"],
    }  # fmt: skip
    first = train_tokenizer(["Ball ball, a"] * 3, **settings, special_tokens=[AddedToken("[A]", rstrip=True)])
    again = first.train_new_from_iterator(["Goal goal, a"] * 3, 60)
    for name, value in settings.items():
        assert again.init_kwargs[name] == value, name
    assert again.tokenize("goal, a") == ["goal,", "a"]
    assert again.special_tokens_map_extended["additional_special_tokens"][0].rstrip
