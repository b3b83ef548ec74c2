"""Added and special tokens: found alike by all, kept with their flags, with ids that all read alike."""

import json
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken as TheirToken
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from distilbert import AddedToken, DistilBertTokenizer, DistilBertTokenizerFast
from distilbert.errors import ConfigError, DataError

KINDS = [DistilBertTokenizer, DistilBertTokenizerFast]
each_kind = pytest.mark.parametrize("kind", KINDS)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = [*SPECIAL, "a", "b", "e", "[", "]", "mask", "##a", "##b", "##e"]
IDS = {token: i for i, token in enumerate(TOKENS)}

PIECES = [
    "a",
    "b",
    "A",
    " ",
    "\n",
    "\t",
    "é",
    "e\u0301",
    "E",
    "\ufe0f",
    "[MASK]",
    "MASK]",
    "mask",
    "[",
    "中",
    "\x00",
]
some_text = st.lists(st.sampled_from([*PIECES, "\u3000", " b", "a "]), max_size=8).map("".join)
some_token = st.builds(
    AddedToken,
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    single_word=st.booleans(),
    lstrip=st.booleans(),
    rstrip=st.booleans(),
    normalized=st.booleans(),
    special=st.booleans(),
)


def library(tokens: list[AddedToken], **options: bool) -> Any:
    """The library's own tokenizer, without what it cannot bear."""
    theirs = Tokenizer(models.WordPiece(IDS, unk_token="[UNK]"))
    theirs.normalizer = normalizers.BertNormalizer(lowercase=options["do_lower_case"])
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    theirs.add_special_tokens(SPECIAL)
    theirs.encode_special_tokens = options["split_special_tokens"]
    for token in tokens:
        searched = theirs.normalizer.normalize_str(token.content) if token.normalized else token.content
        if not searched:
            continue  # it finds nothing everywhere, and cuts each text into letters
        flags = {n: getattr(token, n) for n in ("single_word", "lstrip", "rstrip", "normalized")}
        if not searched.strip():
            flags["lstrip"] = False  # it panics where another token has taken these spaces
        add = theirs.add_special_tokens if token.special else theirs.add_tokens
        add([TheirToken(token.content, **flags)])
    return theirs


@settings(max_examples=150, deadline=None, database=None)
@given(
    # The library alone keeps the first flags of a token that is added twice.
    tokens=st.lists(some_token, max_size=5, unique_by=lambda token: token.content).map(
        lambda tokens: [t for t in tokens if t.content not in SPECIAL]
    ),
    texts=st.lists(some_text, min_size=8, max_size=8),
    do_lower_case=st.booleans(),
    split_special_tokens=st.booleans(),
)
def test_any_tokens_with_any_flags(tokens, texts, **options: bool) -> None:
    python, fast = (kind(IDS, **options) for kind in KINDS)
    for ours in (python, fast):
        ours.add_tokens([token for token in tokens if token.special])
        ours.add_tokens([token for token in tokens if not token.special])
    theirs = library(sorted(tokens, key=lambda token: not token.special), **options)
    one, two = (ours(texts, add_special_tokens=False, return_offsets_mapping=True) for ours in (python, fast))
    assert one.data == two.data
    assert fast(texts, add_special_tokens=False)["input_ids"] == one["input_ids"]
    for i, encoding in enumerate(theirs.encode_batch(texts, add_special_tokens=False)):
        assert one.tokens(i) == two.tokens(i)
        assert one.word_ids(i) == two.word_ids(i) == encoding.word_ids
        assert one["offset_mapping"][i] == encoding.offsets
        assert one.tokens(i) == [theirs.id_to_token(number) for number in encoding.ids]


@each_kind
def test_a_token_that_normalising_leaves_nothing_of_is_in_no_text(kind: type) -> None:
    tokenizer = kind(IDS, do_lower_case=True)
    assert tokenizer.add_tokens(["\ufe0f", "<n>"]) == 2
    assert tokenizer.tokenize("a b\ufe0f mask<n>") == ["a", "b", "mask", "<n>"]
    assert tokenizer.convert_tokens_to_ids("<n>") == len(TOKENS) + 1


@each_kind
def test_of_tokens_that_look_alike_the_first_is_found(kind: type) -> None:
    tokenizer = kind(IDS, do_lower_case=True)
    tokenizer.add_tokens(["<é>", "<E>", AddedToken("<e>", special=True)])
    assert tokenizer.tokenize("<e> <é> <E>") == ["<e>", "<é>", "<é>"]


@each_kind
def test_tokens_in_spaces_that_another_has_taken(kind: type) -> None:
    def spans(text: str, *tokens: AddedToken) -> list[tuple[int, int]]:
        tokenizer = kind(IDS, do_lower_case=True)
        tokenizer.add_tokens(list(tokens))
        return tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]

    a, line = AddedToken("a", normalized=False, rstrip=True), AddedToken("\n", normalized=False)
    assert spans("a\n b", a, line) == [(0, 3), (1, 2), (3, 4)]
    assert spans("a b", AddedToken("a", rstrip=True), AddedToken(" b")) == [(0, 2), (1, 3)]
    # The library's own panic.
    assert spans("a\n b", a, AddedToken("\n", normalized=False, lstrip=True)) == [(0, 3), (1, 2), (3, 4)]


@each_kind
def test_special_tokens_as_text(kind: type) -> None:
    tokenizer = kind(IDS, do_lower_case=True, split_special_tokens=True)
    tokenizer.add_tokens([AddedToken("MASK]", normalized=False), "mask"])
    # The special token is found first, and what it covers is text.
    assert tokenizer.tokenize("a [MASK] b") == ["a", "[", "mask", "]", "b"]
    tokenizer.split_special_tokens = False
    assert tokenizer.tokenize("a [MASK] b") == ["a", "[MASK]", "b"], "also after the first call"
    with pytest.raises(ConfigError, match="split_special_tokens must be true or false"):
        tokenizer.split_special_tokens = "yes"


FLAGGED = {
    "mask_token": AddedToken("[MASK]", lstrip=True, special=True),
    "additional_special_tokens": [AddedToken("[S]", lstrip=True, rstrip=True, special=True)],
}


@pytest.mark.parametrize("files", ["ours", "the peer's", "tokenizer.json alone", "older", "older, plain"])
@each_kind
def test_flags_outlive_a_folder(kind: type, files: str, tmp_path: Path) -> None:
    made = kind(IDS, do_lower_case=False, **FLAGGED)
    flags = made.added_tokens_decoder
    assert flags[IDS["[MASK]"]].lstrip
    made.save_pretrained(tmp_path)
    if files == "the peer's":
        transformers.DistilBertTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path)
        config = json.loads((tmp_path / "tokenizer_config.json").read_text())
        assert config["mask_token"] == "[MASK]"
    elif files != "ours":
        config = json.loads((tmp_path / "tokenizer_config.json").read_text())
        kept = {name: config[name] for name in ("do_lower_case", "mask_token")}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(kept))
        if files == "older":
            (tmp_path / "tokenizer.json").unlink()
        elif files == "older, plain":
            (tmp_path / "special_tokens_map.json").write_text(json.dumps(made.special_tokens_map))
        else:
            for name in ("special_tokens_map.json", "added_tokens.json", "vocab.txt"):
                (tmp_path / name).unlink()
    again = kind.from_pretrained(tmp_path)
    assert again.added_tokens_decoder == flags
    assert again.tokenize("a [MASK] [S] a") == ["a", "[MASK]", "[S]", "a"]
    peer = transformers.DistilBertTokenizerFast.from_pretrained(tmp_path)
    assert {str(t): t.lstrip for t in peer.added_tokens_decoder.values()} == {
        str(t): t.lstrip for t in flags.values()
    }
    assert pickle.loads(pickle.dumps(again)).added_tokens_decoder == flags


@each_kind
def test_tokens_that_must_be_there(kind: type) -> None:
    tokenizer = kind(IDS)
    for value in ("<nu>", None):
        with pytest.raises(ConfigError, match="unknown words"):
            tokenizer.unk_token = value
        with pytest.raises(ConfigError, match="unknown words"):
            tokenizer.add_special_tokens({"unk_token": value})
    for name in ("cls_token", "sep_token"):
        with pytest.raises(ConfigError, match=f"must be there. Received: {name}=None"):
            setattr(tokenizer, name, None)
        with pytest.raises(ConfigError, match="must be there"):
            kind(IDS, **{name: None})
    tokenizer.unk_token = "b"
    assert tokenizer.tokenize("x [UNK]") == ["b", "[UNK]"]
    tokenizer.pad_token = None
    assert tokenizer("a")["input_ids"] == [2, 5, 3]
    assert tokenizer("a", return_tensors="np")["input_ids"].tolist() == [[2, 5, 3]]
    assert tokenizer("a").tokens() == ["[CLS]", "a", "[SEP]"]
    with pytest.raises(DataError, match="needs a padding token"):
        tokenizer(["a"], padding=True)


@pytest.mark.parametrize(
    ("method", "given", "error", "sentence"),
    [
        ("add_tokens", None, ConfigError, "must be a list of tokens. Received: None"),
        ("add_tokens", [5], ConfigError, "a string, or an object with its content. Received: 5"),
        ("add_tokens", ["\ud800"], ConfigError, "a string of valid Unicode"),
        ("add_special_tokens", [], ConfigError, "given by their names"),
        ("add_special_tokens", {"additional_special_tokens": None}, ConfigError, "between brackets"),
        ("add_special_tokens", {"mask_token": 5}, ConfigError, "a string, or an object"),
        ("convert_tokens_to_ids", 5, DataError, "Tokens are strings"),
        ("convert_tokens_to_ids", ["a", 5], DataError, "Tokens are strings"),
        ("convert_ids_to_tokens", "a", DataError, "Ids are whole numbers"),
    ],
)
@each_kind
def test_what_is_no_token(kind: type, method: str, given: Any, error: type, sentence: str) -> None:
    tokenizer = kind(IDS)
    with pytest.raises(error, match=sentence):
        getattr(tokenizer, method)(given)
    assert tokenizer.tokenize("a b") == ["a", "b"], "it is as before"


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_that_add_tokens() -> None:
    tokenizer = DistilBertTokenizer(IDS)
    start = Barrier(4)

    def add(thread: int) -> None:
        start.wait()
        for i in range(50):
            tokenizer.add_tokens([f"<{thread} {i} {j}>" for j in range(4)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    added = tokenizer.get_added_vocab()
    assert len(added) == len(set(added.values())) == len(SPECIAL) + 800


@each_kind
def test_ids_with_gaps(kind: type, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*TOKENS, "a", "end"]) + "\n")  # "a" stands twice
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<New>": 20, "<ent>": 30}))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    tokenizer = kind.from_pretrained(tmp_path)
    assert (tokenizer.vocab_size, len(tokenizer)) == (16, 31), "the rows that an embedding needs"
    assert tokenizer.add_tokens("<n>") == 1
    assert tokenizer.convert_tokens_to_ids("<n>") == 31 < len(tokenizer) == 32
    ids = tokenizer.encode("a <New> end <ent> <n>", add_special_tokens=False)
    assert ids == [14, 20, 15, 30, 31]
    tokenizer.save_pretrained(tmp_path / "saved")
    for other in (*KINDS, transformers.DistilBertTokenizer, transformers.DistilBertTokenizerFast):
        again = other.from_pretrained(tmp_path / "saved")
        assert again.encode("a <New> end <ent> <n>", add_special_tokens=False) == ids, other
        assert again.add_tokens("<m>") == 1
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<far>": 10**9}))
    with pytest.raises(ConfigError, match="go on from the vocabulary's. Received: '<far>' with the id 10"):
        kind.from_pretrained(tmp_path)
