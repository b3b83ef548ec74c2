"""A trimmed model is the same model on its corpus, smaller, in both formats and under every head."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from small_files import sentences, write_teacher

from distilbert import (
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertTokenizerFast,
    Finetuner,
    Finetuning,
    LabelledTexts,
    TextClassifier,
    shrink,
    trim,
)
from distilbert.cli.main import main
from distilbert.core import trimming
from distilbert.errors import DataError


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trimming")
    write_teacher(root / "bert")
    shrink(root / "bert", layers=2, out=root / "distilbert")
    train = LabelledTexts(*sentences(40))
    Finetuner(root / "bert", recipe=Finetuning(steps=2, max_length=32)).run(train, out=root / "classifier")
    return root


CORPUS = ["soup cheese dinner", "ball goal", "soup ball?"]


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_the_same_outputs_on_its_corpus(kind: str, folders: Path, tmp_path: Path) -> None:
    cut = trim(folders / kind, CORPUS, out=tmp_path / "small")
    before = DistilBertTokenizerFast.from_pretrained(folders / kind)
    after = DistilBertTokenizerFast.from_pretrained(tmp_path / "small")
    assert cut.tokens == len(after) < len(before) == cut.of_tokens
    model_class = BertForMaskedLM if kind == "bert" else DistilBertForMaskedLM
    old, new = (model_class.from_pretrained(place) for place in (folders / kind, tmp_path / "small"))
    assert new.num_parameters() < old.num_parameters()
    assert old.num_parameters() - new.num_parameters() == cut.of_parameters - cut.parameters
    kept = before.convert_tokens_to_ids(after.convert_ids_to_tokens(range(len(after))))
    peer = getattr(transformers, model_class.__name__).from_pretrained(tmp_path / "small").eval()
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "small")
    for text in CORPUS:
        assert after.tokenize(text) == before.tokenize(text)
        with torch.no_grad():
            wide = old(**before(text, return_tensors="pt")).logits
            narrow = new(**after(text, return_tensors="pt")).logits
            theirs = peer(**read(text, return_tensors="pt")).logits
        assert (narrow - wide[..., kept]).abs().max() <= 1e-6
        assert (theirs - narrow).abs().max() <= 1e-5
    assert after.tokenize("piano") == ["[UNK]"], "which this corpus does not have"
    assert "piano" in before.get_vocab()


def test_unknown_words_stay_unknown(folders: Path, tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab", "abc", "##cd", "x", "##y", "<a>"]
    tokenizer = DistilBertTokenizerFast({token: i for i, token in enumerate(tokens)}, do_lower_case=True)
    tokenizer.add_tokens("<a>")
    content = DistilBertForMaskedLM.from_pretrained(folders / "distilbert").config.to_dict()
    config = DistilBertConfig.from_dict({**content, "vocab_size": len(tokens)})
    DistilBertForMaskedLM(config).save_pretrained(tmp_path / "odd")
    tokenizer.save_pretrained(tmp_path / "odd")
    # After "abc" nothing goes on with "d"; without "abc", "ab" and "##cd" would be the word's pieces.
    corpus = ["abcd ab x<a>ABCD", "x" * 101, "[UNK] ab"]
    trim(tmp_path / "odd", corpus, out=tmp_path / "small", keep=["##cd"])
    small = DistilBertTokenizerFast.from_pretrained(tmp_path / "small")
    assert small.tokenize("abcd") == ["[UNK]"]
    assert [small.tokenize(text) for text in corpus] == [tokenizer.tokenize(text) for text in corpus]
    assert set(tokens) - set(small.get_vocab()) == {"##y"}


@settings(max_examples=300, deadline=None, database=None)
@given(
    pieces=st.sets(st.text("ab", min_size=1, max_size=4), min_size=3, max_size=8),
    further=st.sets(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4),
    corpus=st.lists(st.text("ab", min_size=1, max_size=6), min_size=4, max_size=12),
)
def test_any_words_come_apart_as_before(pieces: set[str], further: set[str], corpus: list[str]) -> None:
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *sorted(pieces),
        *(f"##{p}" for p in sorted(further)),
    ]
    before = DistilBertTokenizerFast({token: i for i, token in enumerate(tokens)}, do_lower_case=True)
    used = sorted(trimming._used(before, corpus, lambda *_: None))
    after = DistilBertTokenizerFast({tokens[old]: new for new, old in enumerate(used)}, do_lower_case=True)
    assert [after.tokenize(word) for word in corpus] == [before.tokenize(word) for word in corpus]


def test_a_classifier_keeps_its_answers_and_its_facts(folders: Path, tmp_path: Path) -> None:
    trim(folders / "classifier", CORPUS, out=tmp_path / "small", keep=["piano"])
    old, new = (TextClassifier.open(place) for place in (folders / "classifier", tmp_path / "small"))
    np.testing.assert_array_equal(new.logits(CORPUS)[0], old.logits(CORPUS)[0])
    np.testing.assert_array_equal(new.logits(["piano"])[0], old.logits(["piano"])[0])
    facts = json.loads((tmp_path / "small" / "distilbert.json").read_text())
    assert facts["made_by"] == "finetune"
    assert facts["trimmed"]["tokens"] == len(new.tokenizer)


def test_added_tokens_and_padding_keep_their_meaning(folders: Path, tmp_path: Path) -> None:
    tokenizer = DistilBertTokenizerFast.from_pretrained(folders / "distilbert")
    tokens = ["filler", *tokenizer.own_vocab]  # padding is not the first
    again = DistilBertTokenizerFast({token: i for i, token in enumerate(tokens)}, do_lower_case=True)
    again.add_tokens(["<x>"])
    content = DistilBertForMaskedLM.from_pretrained(folders / "distilbert").config.to_dict()
    config = DistilBertConfig.from_dict({**content, "vocab_size": len(again), "pad_token_id": 1})
    DistilBertForMaskedLM(config).save_pretrained(tmp_path / "odd")
    again.save_pretrained(tmp_path / "odd")
    trim(tmp_path / "odd", CORPUS, out=tmp_path / "small")
    small = DistilBertTokenizerFast.from_pretrained(tmp_path / "small")
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["pad_token_id"] == small.pad_token_id == 0
    assert config["vocab_size"] == len(small)
    assert small.tokenize("ball<x>goal") == ["ball", "<x>", "goal"]
    assert "filler" not in small.get_vocab()


def test_the_command_and_what_it_refuses(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(CORPUS))
    command = f"trim --model {folders}/bert --text {tmp_path}/texts.txt --out {tmp_path}/small --quiet"
    assert main([*command.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] < 52
    assert main([*command.split(), "--force", "--keep", "nosuch"]) == 2
    assert "must be in the vocabulary. Received: nosuch" in capsys.readouterr().err
    with pytest.raises(DataError, match="no text"):
        trim(folders / "bert", [], out=tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "texts.txt"]
