"""The tokenizer against the peer's, and its folders in both directions."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilbert import DistilBertTokenizer, DistilBertTokenizerFast
from distilbert.errors import CheckpointError, ConfigError, DataError, DistilBertError, MissingExtraError

TEXTS = [
    "Hello, World! It's 3.14 o'clock.",
    "Crème brûlée — naïve café",
    "中文 and English, 한국어 too",
    "unaffable\tsnake_case  CamelCase\u00a0nbsp",
    "[CLS] literal [MASK] tokens [SEP]",
    "",
    "x" * 150,
    "🙂 emoji \u200b zero width",
]


@pytest.fixture(scope="module")
def ours(minilm: Path) -> DistilBertTokenizerFast:
    return DistilBertTokenizerFast.from_pretrained(minilm)


@pytest.fixture(scope="module")
def peer(minilm: Path):
    import transformers

    return transformers.DistilBertTokenizerFast.from_pretrained(minilm)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_tokens_and_text_are_the_peers(text: str, ours, peer) -> None:
    assert ours.encode(text) == peer.encode(text)
    assert ours.tokenize(text) == peer.tokenize(text)
    ids = ours.encode(text)
    for skip in (True, False):
        theirs = peer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        assert ours.decode(ids, skip, clean_up_tokenization_spaces=False) == theirs


@settings(max_examples=300)
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_ids_are_the_peers_for_any_text(text: str, ours, peer) -> None:
    assert ours.encode(text) == peer.encode(text)


@pytest.mark.parametrize("length", [4, 9, 512])
def test_batches_are_the_peers(length: int, ours, peer) -> None:
    options = {"padding": True, "truncation": True, "max_length": length, "return_tensors": "np"}
    mine, theirs = ours(TEXTS, **options), peer(TEXTS, **options)
    for name in ("input_ids", "attention_mask"):
        np.testing.assert_array_equal(mine[name], theirs[name])
    assert ours(TEXTS[0], return_tensors="pt")["input_ids"].shape == (1, len(ours.encode(TEXTS[0])))
    assert ours(TEXTS[0]) == dict(peer(TEXTS[0]))
    assert ours(TEXTS[:2]) == dict(peer(TEXTS[:2]))


def test_what_does_not_fit_is_counted(ours) -> None:
    cut = ours.encode_texts(["one two three four five", "one"], max_length=5)
    assert cut.dropped.tolist() == [2, 0]
    assert ours.decode(cut.input_ids[0]) == "[CLS] one two three [SEP]"


def test_a_file_that_cuts_and_pads_on_its_own_does_not(minilm: Path, ours) -> None:
    """The real package's tokenizer.json cuts and pads to 128, which is its encoder's business."""
    assert json.loads((minilm / "tokenizer.json").read_text())["truncation"]["max_length"] == 128
    assert len(ours.encode("word " * 300)) == 302
    assert len(ours.encode("word")) == 3


def test_folders_go_both_ways(tmp_path: Path, ours) -> None:
    import transformers

    ours.save_pretrained(tmp_path)
    assert type(transformers.AutoTokenizer.from_pretrained(tmp_path)).__name__ == "DistilBertTokenizerFast"
    for text in TEXTS:
        for peer in (transformers.DistilBertTokenizerFast, transformers.DistilBertTokenizer):
            if peer is transformers.DistilBertTokenizer and "\u200b" in text:
                continue  # the peer's two differ from each other there
            assert peer.from_pretrained(tmp_path).encode(text) == ours.encode(text)
    transformers.AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    again = DistilBertTokenizerFast.from_pretrained(tmp_path / "again")
    (tmp_path / "again" / "tokenizer.json").unlink()
    from_vocabulary = DistilBertTokenizerFast.from_pretrained(tmp_path / "again")
    for text in TEXTS:
        assert ours.encode(text) == again.encode(text) == from_vocabulary.encode(text)


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
def test_settings_go_both_ways(kind: type, tmp_path: Path, minilm: Path) -> None:
    import transformers

    made = kind(minilm / "vocab.txt", do_basic_tokenize=False, model_max_length=1e30)
    made.save_pretrained(tmp_path)
    text = "unaffable, Hello hello"
    for name in ("DistilBertTokenizer", "DistilBertTokenizerFast"):
        peer = getattr(transformers, name).from_pretrained(tmp_path)
        assert peer.tokenize(text) == made.tokenize(text)
        assert peer.model_max_length == made.model_max_length == int(1e30)
    again = kind.from_pretrained(tmp_path)
    assert again.tokenize("Hello hello") == made.tokenize("Hello hello") == ["[UNK]", "hello"]
    assert again.init_kwargs == made.init_kwargs
    assert len(again("hello " * 600, truncation=True)["input_ids"]) == 602


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED = {
    "capitals": ["Ab", "ab"],
    "Hangul and a few capitals": ["안녕", "하세", "##요", "A", *(f"a{i}" for i in range(150))],
}


@pytest.mark.parametrize("words", CASED.values(), ids=CASED)
def test_casing_as_the_vocabulary_is_written(words: list[str], tmp_path: Path, caplog) -> None:
    ids = {token: i for i, token in enumerate([*SPECIAL, *words])}
    tokenizer = DistilBertTokenizerFast(ids)
    assert (tokenizer.do_lower_case, tokenizer.strip_accents) == (False, None)
    assert tokenizer.tokenize(words[0]) == [words[0]]
    assert not caplog.records
    DistilBertTokenizerFast(ids, do_lower_case=True).save_pretrained(tmp_path)
    for name in ("tokenizer_config.json", "vocab.txt"):
        (tmp_path / name).unlink()
    caplog.clear()
    assert DistilBertTokenizerFast.from_pretrained(tmp_path).do_lower_case, "as the file says"
    assert "do_lower_case must fit the vocabulary. Received: True, for" in caplog.text


def test_accents_without_capitals_are_kept(caplog) -> None:
    ids = {token: i for i, token in enumerate([*SPECIAL, "für", "안녕", "ab"])}
    tokenizer = DistilBertTokenizerFast(ids)
    assert tokenizer.tokenize("FÜR 안녕 AB") == ["für", "안녕", "ab"]
    assert not caplog.records
    DistilBertTokenizerFast(ids, do_lower_case=True, strip_accents=False)
    assert not caplog.records
    DistilBertTokenizerFast(ids, do_lower_case=True)
    assert "0 of 3 tokens have capitals, and 2 accents" in caplog.text


@pytest.mark.parametrize("kept", ["tokenizer.json", "vocab.txt"])
def test_an_argument_that_contradicts_the_files(kept: str, minilm: Path, tmp_path: Path, caplog) -> None:
    DistilBertTokenizerFast.from_pretrained(minilm).save_pretrained(tmp_path)
    (tmp_path / ({"tokenizer.json", "vocab.txt"} - {kept}).pop()).unlink()
    for asked, contradicts in ((True, False), (None, False), (False, True)):
        for folder in (tmp_path, tmp_path / kept):
            caplog.clear()
            tokenizer = DistilBertTokenizerFast.from_pretrained(folder, do_lower_case=asked)
            assert tokenizer.do_lower_case is (asked is not False)
            assert ("Received: False, where the vocabulary's files say True" in caplog.text) is contradicts


def test_casing_and_accents(minilm: Path, tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nCafé\ncafé\ncafe\nCafe\n", "utf-8")

    def words(**options: object) -> list[str]:
        return DistilBertTokenizerFast(vocabulary, **options).tokenize("Café")

    assert words() == ["Café"], "the vocabulary is a cased one"
    assert words(do_lower_case=True) == ["cafe"]
    assert words(do_lower_case=True, strip_accents=False) == ["café"]
    assert words(do_lower_case=False) == ["Café"]
    assert words(do_lower_case=False, strip_accents=True) == ["Cafe"]


@pytest.mark.parametrize("text", ["a\ud800b", None, 3])
def test_what_is_not_a_text(text: object, ours) -> None:
    with pytest.raises(DataError, match="must be a string of valid Unicode.*at row 1"):
        ours.encode_texts(["fine", text])


def test_rows_of_different_lengths_are_no_array(ours) -> None:
    with pytest.raises(DataError, match="Add padding=True"):
        ours(["a", "a longer one"], return_tensors="np")
    with pytest.raises(ConfigError, match='must be "np", "pt", "jax" or "tf"'):
        ours("a", return_tensors="mx")


@pytest.mark.parametrize(
    ("files", "error", "sentence"),
    [
        ({}, CheckpointError, "must hold tokenizer.json or vocab.txt"),
        ({"tokenizer.json": b"{"}, CheckpointError, "must be a JSON object"),
        ({"vocab.txt": b"\xff\n"}, CheckpointError, "readable UTF-8"),
        ({"vocab.txt": b"[PAD]\n[UNK]\nword\n"}, ConfigError, "without .*SEP"),
    ],
)
def test_a_folder_without_a_tokenizer(tmp_path: Path, files, error: type, sentence: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=sentence):
        DistilBertTokenizerFast.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", [*DistilBertError.__subclasses__()])
def test_errors_say_three_things_and_travel(kind: type[DistilBertError]) -> None:
    error = kind("A rule.", received="this", remedy="Do that.")
    assert str(error) == "A rule. Received: this. Do that."
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.remedy) == (kind, str(error), "Do that.")
    assert isinstance(error, ValueError | OSError | ImportError | RuntimeError)


def test_a_missing_extra_is_a_command() -> None:
    error = MissingExtraError.of("keras", wanted="The Keras wing", missing="keras")
    assert str(error).endswith("Run: pip install 'distilbert[keras]'")


def test_many_texts_come_out_as_few_do(ours, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are tokenised at once; what is no text is named by its place among all."""
    from distilbert.core.text import interface

    texts = [" ".join(["one", "two", "three"][: i % 4]) for i in range(10)]
    whole = ours.encode_texts(texts, max_length=4)
    monkeypatch.setattr(interface, "_AT_ONCE", 3)
    parts = ours.encode_texts(iter(texts), max_length=4)
    assert [row.tolist() for row in parts.input_ids] == [row.tolist() for row in whole.input_ids]
    assert parts.dropped.tolist() == whole.dropped.tolist() == [0, 0, 0, 1] * 2 + [0, 0]
    assert len(ours.encode_texts([]).input_ids) == 0
    with pytest.raises(DataError, match="7 at row 8"):
        ours.encode_texts([*texts[:8], 7, "one"])
