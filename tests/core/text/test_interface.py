"""Rows, columns and their encodings are the peer's, for every combination of the published arguments."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from any_text import any_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilbert import AddedToken, BatchEncoding, DistilBertTokenizer, DistilBertTokenizerFast
from distilbert.errors import ConfigError, DataError, MissingExtraError

KINDS = [DistilBertTokenizer, DistilBertTokenizerFast]


@pytest.fixture(scope="module")
def all_three(minilm: Path) -> tuple[Any, Any, Any]:
    file = str(minilm / "vocab.txt")
    return (
        DistilBertTokenizer(file),
        DistilBertTokenizerFast(file),
        transformers.DistilBertTokenizerFast(file, model_max_length=512),
    )


@pytest.fixture(params=KINDS)
def ours(request: pytest.FixtureRequest, minilm: Path) -> Any:
    return request.param(minilm / "vocab.txt")


words = st.lists(any_text, min_size=1, max_size=4)
batches = st.one_of(
    st.tuples(st.lists(any_text, min_size=1, max_size=4), st.none(), st.just(False)),
    st.lists(st.tuples(any_text, any_text), min_size=1, max_size=4).map(
        lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs], False)
    ),
    st.tuples(st.lists(words, min_size=1, max_size=4), st.none(), st.just(True)),
)
options = st.fixed_dictionaries(
    {
        "add_special_tokens": st.booleans(),
        "padding": st.sampled_from([False, True, "max_length"]),
        "padding_side": st.sampled_from(["left", "right"]),
        "return_token_type_ids": st.booleans(),
        "return_attention_mask": st.booleans(),
        "return_special_tokens_mask": st.booleans(),
        "return_offsets_mapping": st.booleans(),
        "return_overflowing_tokens": st.booleans(),
        "return_length": st.booleans(),
    },
    optional={"stride": st.sampled_from([1, 2])},
)
lengths = st.sampled_from(
    [{}, {"truncation": True}, {"truncation": True, "max_length": 16}, {"truncation": True, "max_length": 9}]
)


@settings(
    max_examples=400, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    batch=batches,
    options=options,
    length=lengths,
    side=st.sampled_from(["left", "right"]),
    single=st.booleans(),
)
def test_rows_are_the_peers(
    batch: Any, options: Any, length: Any, side: str, single: bool, all_three
) -> None:
    first, second, is_words = batch
    if single:
        # The peer takes an empty second text for none, alone but not in a batch.
        first, second = first[0], None if second is None else second[0] or "x"
    if options["padding"] == "max_length" and "max_length" not in length:
        options = {**options, "padding": True}  # 512 columns of padding show nothing
    made = []
    for tokenizer in all_three:
        tokenizer.truncation_side = side
        made.append(tokenizer(first, second, is_split_into_words=is_words, **options, **length))
    python, fast, peer = made
    assert python.data == fast.data
    theirs = dict(peer)
    if "offset_mapping" in theirs:
        rows = theirs["offset_mapping"]
        nested = bool(rows) and isinstance(rows[0], list)
        theirs["offset_mapping"] = (
            [[tuple(o) for o in row] for row in rows] if nested else [tuple(o) for o in rows]
        )
    if single and options["return_length"] and not options["return_overflowing_tokens"]:
        theirs["length"] = theirs["length"][0]  # the peer keeps a list around this one number
    assert list(fast) == list(theirs)
    assert fast.data == theirs
    for i in range(len(peer.encodings)):
        for ours in (python, fast):
            assert ours.word_ids(i) == peer.word_ids(i)
            assert ours.sequence_ids(i) == peer.sequence_ids(i)
            assert ours.tokens(i) == all_three[2].convert_ids_to_tokens(peer.encodings[i].ids)


@pytest.mark.parametrize("strategy", ["only_first", "only_second", "longest_first"])
@pytest.mark.parametrize("length", [9, 10, 13, 30])
def test_pairs_are_cut_as_the_peers(strategy: str, length: int, all_three) -> None:
    pairs = [
        ("one two three four five six seven", "a b c d e f g"),
        ("one two three", "a b c d e f g h i j k l"),
    ]
    texts, seconds = zip(*pairs, strict=True)
    for overflowing in (False, True):
        outcomes = []
        for tokenizer in all_three:
            tokenizer.truncation_side = "right"
            arguments = {
                "truncation": strategy,
                "max_length": length,
                "return_overflowing_tokens": overflowing,
            }
            try:
                outcomes.append(tokenizer(list(texts), list(seconds), stride=1, **arguments)["input_ids"])
            except Exception as error:
                outcomes.append(type(error).__name__)
        if isinstance(outcomes[2], str):
            assert outcomes[:2] == ["DataError"] * 2
        else:
            assert outcomes[0] == outcomes[1] == outcomes[2]


def test_what_a_row_lacks_is_said(ours) -> None:
    batch = ours(["one two three four five", "one"], truncation=True, max_length=5)
    assert batch.dropped == (2, 0)
    windows = ours("one two three four five", truncation=True, max_length=5, return_overflowing_tokens=True)
    assert windows.dropped == (2, 3)
    assert windows["overflow_to_sample_mapping"] == [0, 0]
    assert [e.dropped for e in windows.encodings] == [2, 3]
    assert windows.encodings[0].overflowing == [windows.encodings[1]]


def test_the_ways_between_characters_words_and_tokens(all_three) -> None:
    """Every index of both texts, and those beyond."""
    text, pair = "Unaffable people, naïve ones", "who's there"
    python, fast, peer = (tokenizer(text, pair) for tokenizer in all_three)
    for mine in (python, fast):
        assert mine.n_sequences == peer.n_sequences == 2
        for sequence in (0, 1):
            for i in range(40):
                for way in ("char_to_token", "char_to_word", "word_to_tokens", "word_to_chars"):
                    if way == "char_to_word" and mine.char_to_token(i, sequence_index=sequence) is None:
                        assert mine.char_to_word(i, sequence_index=sequence) is None
                        continue
                    theirs = (
                        getattr(peer, way)(i, sequence_index=sequence)
                        if _knows(peer, way, i, sequence)
                        else None
                    )
                    got = getattr(mine, way)(i, sequence_index=sequence)
                    assert got == (tuple(theirs) if isinstance(theirs, tuple) else theirs), (way, i)
        for i in range(len(peer["input_ids"])):
            for way in ("token_to_chars", "token_to_word", "token_to_sequence"):
                theirs = getattr(peer, way)(i)
                got = getattr(mine, way)(i)
                assert got == (tuple(theirs) if isinstance(theirs, tuple) else theirs), (way, i)
        assert mine.token_to_word(-2) == 3  # the peer's own count from the end fails
        assert mine[0].tokens == peer[0].tokens


def _knows(peer: Any, way: str, index: int, sequence: int) -> bool:
    """The peer raises where there is no such word; ours says None."""
    try:
        getattr(peer, way)(index, sequence_index=sequence)
    except (TypeError, OverflowError):
        return False
    return True


@pytest.mark.parametrize("kind", ["np", "pt", "jax", "tf"])
def test_arrays(kind: str, ours) -> None:
    texts = ["one", "two words"]
    batch = ours(texts, padding=True, return_tensors=kind, return_token_type_ids=True, return_length=True)
    lists = ours(texts, padding=True, return_token_type_ids=True, return_length=True)
    for name, column in lists.items():
        assert ("int64" if kind in {"np", "pt"} else "int32") in str(batch[name].dtype)
        assert np.asarray(batch[name]).tolist() == column
    assert batch.input_ids is batch["input_ids"]
    assert ours("one", return_tensors=kind)["input_ids"].shape == (1, 3)
    assert ours("one").convert_to_tensors(kind, prepend_batch_axis=True)["input_ids"].shape == (1, 3)
    if kind == "pt":
        assert batch.to("meta")["input_ids"].device.type == "meta"
    with pytest.raises(DataError, match="Add padding=True"):
        ours(texts, return_tensors=kind)


@pytest.mark.parametrize(("kind", "wing", "package"), [("jax", "jax", "jax"), ("tf", "keras", "tensorflow")])
def test_arrays_of_what_is_not_installed(
    kind: str, wing: str, package: str, ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    for name in [name for name in sys.modules if name.startswith(f"distilbert.{wing}")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=rf"needs the package {package}.*distilbert\[{wing}\]"):
        ours("one", return_tensors=kind)


def test_batches_survive_pickling_and_act_like_dictionaries(ours) -> None:
    batch = ours(["one two", "three"], padding=True)
    again = pickle.loads(pickle.dumps(batch))
    assert again.data == batch.data
    assert again.tokens(1) == batch.tokens(1) == ["[CLS]", "three", "[SEP]", "[PAD]"]
    assert {**batch} == dict(batch.items())
    assert batch[:1] == {"input_ids": batch["input_ids"][:1], "attention_mask": [[1, 1, 1, 1]]}
    assert type(batch)({"a": 1}).data == {"a": 1}  # how the peer's Trainer moves a batch
    with pytest.raises(AttributeError, match="no column or attribute 'labels'"):
        _ = batch.labels
    with pytest.raises(DataError, match="columns from elsewhere"):
        BatchEncoding({"input_ids": [1]}).tokens()


def test_padding_what_was_made_one_by_one(all_three) -> None:
    rows = [{"input_ids": [101, 5, 102], "labels": 1}, {"input_ids": [101, 5, 6, 7, 102], "labels": 0}]
    arrays = [{"input_ids": np.array(row["input_ids"]), "labels": row["labels"]} for row in rows]
    python, fast, peer = all_three
    for options in (
        {}, {"padding": "max_length", "max_length": 8}, {"pad_to_multiple_of": 4}, {"padding_side": "left"},
        {"return_tensors": "np"}, {"return_attention_mask": False},
    ):  # fmt: skip
        for features in (rows, arrays, {"input_ids": [r["input_ids"] for r in rows]}, rows[0]):
            if features is rows[0] and options.get("return_tensors"):
                continue  # the peer fails on the one number that the label is
            theirs = peer.pad(copy.deepcopy(features), **options)  # it changes what it is given
            for ours in (python, fast):
                mine = ours.pad(features, **options)
                assert set(mine) == set(theirs)
                for name in mine:
                    assert np.array_equal(mine[name], theirs[name]), (name, options)
    with pytest.raises(DataError, match="must have input_ids"):
        python.pad({"labels": [1]})
    with pytest.raises(DataError, match="same columns"):
        python.pad([rows[0], {"input_ids": [1]}])


def test_the_peers_collator_takes_ours(ours) -> None:
    collator = transformers.DataCollatorWithPadding(ours)
    batch = collator([dict(ours("one")), dict(ours("two words"))])
    assert batch["input_ids"].shape == (2, 4)
    masked = transformers.DataCollatorForLanguageModeling(ours, mlm_probability=0.5)(
        [dict(ours("one two three"))]
    )
    assert masked["labels"].shape == (1, 5)


def test_rows_of_ids(all_three) -> None:
    first, second = [5, 6, 7, 8], [9, 10, 11]
    python, _, peer = all_three
    assert python.build_inputs_with_special_tokens(first, second) == peer.build_inputs_with_special_tokens(
        first, second
    )
    for pair in (None, second):
        types = python.create_token_type_ids_from_sequences(first, pair)
        assert types == peer.create_token_type_ids_from_sequences(first, pair)
        mask = [1, 0, 0, 0, 0, 1] + ([0, 0, 0, 1] if pair else [])
        assert python.get_special_tokens_mask(first, pair) == mask
        for options in (
            {},
            {"truncation": True, "max_length": 7},
            {"padding": "max_length", "max_length": 12},
        ):
            theirs = peer.prepare_for_model(first, pair, **options)
            assert dict(python.prepare_for_model(first, pair, **options)) == dict(theirs)
    cut = python.prepare_for_model(
        first, truncation=True, max_length=4, stride=1, return_overflowing_tokens=True, return_length=True
    )
    assert cut["input_ids"] == [101, 5, 6, 102]
    assert (cut["overflowing_tokens"], cut["num_truncated_tokens"], cut["length"]) == ([6, 7, 8], 2, 4)
    row = python.build_inputs_with_special_tokens(first)
    assert python.get_special_tokens_mask(row, already_has_special_tokens=True) == [1, 0, 0, 0, 0, 1]
    for options in ({"num_tokens_to_remove": 2}, {"num_tokens_to_remove": 2, "stride": 1}, {}):
        assert python.truncate_sequences(first, **options) == peer.truncate_sequences(first, **options)
    assert python.truncate_sequences(first, second, 2, "only_second") == peer.truncate_sequences(
        first, second, 2, "only_second"
    )
    with pytest.raises(DataError, match="are one row"):
        python.get_special_tokens_mask(row, first, already_has_special_tokens=True)


def test_added_tokens(all_three, minilm: Path) -> None:
    python, fast = (kind(minilm / "vocab.txt") for kind in KINDS)
    for ours in (python, fast):
        assert (
            ours.add_tokens(["hello", "brandnew", AddedToken("Other", normalized=False)]) == 2
        )  # it has "hello"
        assert ours.add_tokens("brandnew") == 0
        assert (ours.vocab_size, len(ours)) == (30522, 30524)
        assert ours.tokenize("a brandnew Other other") == ["a", "brandnew", "Other", "other"]
        assert ours.convert_tokens_to_ids(["brandnew", "Other", "nosuchtoken"]) == [
            30522,
            30523,
            ours.unk_token_id,
        ]
        assert ours.add_special_tokens({"additional_special_tokens": ["<s>"], "mask_token": "<m>"}) == 2
        assert ours.special_tokens_map["additional_special_tokens"] == ["<s>"]
        assert (ours.mask_token, ours.mask_token_id) == ("<m>", 30525)
        assert ours.decode(ours.encode("x<s>y <m>"), skip_special_tokens=True) == "x y"
        ours.cls_token_id = ours.convert_tokens_to_ids("hello")
        assert ours.encode("a")[0] == ours.cls_token_id
        ours.bos_token = None
        assert ours.bos_token_id is None
        with pytest.raises(ConfigError, match="has one of the names"):
            ours.add_special_tokens({"sun_token": "x"})
        with pytest.raises(ConfigError, match="between brackets"):
            ours.add_special_tokens({"additional_special_tokens": "x"})
    assert python.get_vocab() == fast.get_vocab() == fast.vocab
    assert python.added_tokens_decoder == fast.added_tokens_decoder


def test_words_that_are_never_split(minilm: Path) -> None:
    ours = DistilBertTokenizer(minilm / "vocab.txt", never_split=["Don't", "hello", "-x-"])
    peer = transformers.DistilBertTokenizer(
        minilm / "vocab.txt", never_split=["Don't", "hello", "-x-"], do_lower_case=False
    )
    for text in (
        "Don't Don't. hello!",
        " hello -x-\tdon't -x-y",
        "Don't\u200b a",
        "a Don't中 b",
        "Do\x00n't",
    ):
        mine = DistilBertTokenizer(
            minilm / "vocab.txt", do_lower_case=False, never_split=["Don't", "hello", "-x-"]
        )
        assert mine.encode(text) == peer.encode(text)
    assert ours("Don't") == ours("don ' t"), "lower-cased text has no such word"
    lower = DistilBertTokenizer(minilm / "vocab.txt", never_split=["don't"])
    batch = lower("a D\u200bON'T\u200b中", add_special_tokens=False, return_offsets_mapping=True)
    assert batch["input_ids"] == lower.encode("a [UNK] 中", add_special_tokens=False)
    assert batch["offset_mapping"] == [(0, 1), (2, 8), (9, 10)]
    spaces = DistilBertTokenizer(minilm / "vocab.txt", never_split=["unaffable"], do_basic_tokenize=False)
    assert spaces.tokenize("unaffable") == ["una", "##ffa", "##ble"], "as the peer: of no effect"
    assert ours("say hello", return_offsets_mapping=True)["offset_mapping"][2] == (4, 9)
    with pytest.raises(ConfigError, match="Use DistilBertTokenizer"):
        DistilBertTokenizerFast(minilm / "vocab.txt", never_split=["a"])


@settings(max_examples=200, deadline=None, database=None)
@given(
    words=st.lists(
        st.sampled_from(
            ["Don't", "don't", "DON'T", "-x-", "-x-y", "naïve", "hello", "中", "\u200b", "\x00", " ", ","]
        ),
        max_size=8,
    ),
    lower=st.booleans(),
    accents=st.sampled_from([None, True, False]),
)
def test_words_are_never_split_as_in_the_peers(
    words: list[str], lower: bool, accents: bool | None, minilm
) -> None:
    mine, peers = never_splitting(minilm / "vocab.txt", lower, accents)
    assert mine.encode("".join(words)) == peers.encode("".join(words))


@cache
def never_splitting(file: Path, lower: bool, accents: bool | None) -> list[Any]:
    words = ["don't", "DON'T", "-x-", "naïve", "中"]
    return [
        kind(file, do_lower_case=lower, strip_accents=accents, never_split=words)
        for kind in (DistilBertTokenizer, transformers.DistilBertTokenizer)
    ]


def test_every_argument_has_an_effect(minilm: Path) -> None:
    """Also those that change nothing in the peer's fast tokenizer."""
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "@a",
        "a",
        "b",
        "##b",
        "é",
        "e",
        "a\u200d",
        "中",
        "##中",
        "<u>",
    ]
    ids = {token: i for i, token in enumerate(vocabulary)}

    def tokens(kind: type, text: str, **options: Any) -> list[str]:
        result: list[str] = kind(ids, **{"do_lower_case": True, **options}).tokenize(text)
        return result

    for kind in KINDS:
        assert tokens(kind, "AB") == ["a", "##b"]
        assert tokens(kind, "AB", do_lower_case=False) == ["[UNK]"]
        assert tokens(kind, "é") == ["e"]
        assert tokens(kind, "é", strip_accents=False) == ["é"]
        assert tokens(kind, "b中") == ["b", "中"]
        assert tokens(kind, "b中", tokenize_chinese_chars=False) == ["b", "##中"]
        assert tokens(kind, "a\u200d") == ["a"]
        assert tokens(kind, "a\u200d", clean_text=False) == ["a\u200d"]
        assert tokens(kind, "ba", wordpieces_prefix="@") == ["b", "@a"]
        assert tokens(kind, "a,", do_basic_tokenize=False) == ["[UNK]"]
        assert tokens(kind, "[MASK]", split_special_tokens=True) == ["[UNK]"] * 3
        assert tokens(kind, "c", unk_token="<u>") == ["<u>"]
        for name in ("cls_token", "sep_token", "pad_token", "mask_token"):
            assert getattr(kind(ids, **{name: "<u>"}), f"{name}_id") == ids["<u>"]
        assert kind(ids, cls_token="<u>").encode("a") == [14, 6, 3]
        assert kind(ids, pad_token="<u>")(["a", "ab"], padding=True)["input_ids"][0][-1] == 14
        assert kind(ids, padding_side="left")(["a", "ab"], padding=True)["attention_mask"][0] == [0, 1, 1, 1]
        assert kind(ids, truncation_side="left").encode("a b", truncation=True, max_length=3) == [2, 7, 3]
        assert kind(ids, model_max_length=3).encode("a b", truncation=True) == [2, 6, 3]
        assert "token_type_ids" in kind(ids, model_input_names=["input_ids", "token_type_ids"])("a")
        full = kind(minilm / "vocab.txt")
        assert full.decode(full.encode("don't")) == "[CLS] don't [SEP]"
        plain = kind(minilm / "vocab.txt", clean_up_tokenization_spaces=False)
        assert plain.decode(plain.encode("don't")) == "[CLS] don ' t [SEP]"


def test_processes_and_threads_change_nothing(minilm: Path) -> None:
    texts = [f"text number {i} is naïve" for i in range(600)]
    alone = DistilBertTokenizer(minilm / "vocab.txt")
    several = DistilBertTokenizer(minilm / "vocab.txt", num_proc=2)
    assert several(texts).data == alone(texts).data
    pool = several._pool
    assert pool is not None
    assert several(texts).data == alone(texts).data
    assert several._pool is pool, "the processes stay"
    copied = copy.deepcopy(several)
    for tokenizer in (several, alone):
        tokenizer.add_tokens(["number"])
    assert several(texts).data == alone(texts).data, "they learn of new tokens"
    for process in list(several._pool[1]._processes.values()):
        process.kill()
    with pytest.raises(BrokenProcessPool):
        several(texts)
    assert several(texts).data == alone(texts).data, "others come after them"
    alone = DistilBertTokenizer(minilm / "vocab.txt")
    assert copied(texts).data == alone(texts).data
    for kind in KINDS:
        tokenizer = pickle.loads(pickle.dumps(kind(minilm / "vocab.txt")))
        with ThreadPoolExecutor(4) as pool:
            rows = list(pool.map(tokenizer.encode, texts))
        assert rows == alone(texts)["input_ids"]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "sentence"),
    [
        (["a"], {"padding": "shortest"}, ConfigError, "padding must be True, False or one of"),
        (["a"], {"truncation": "all"}, ConfigError, "truncation must be True, False or one of"),
        (["a"], {"max_length": 0, "truncation": True}, ConfigError, "max_length must be a whole number"),
        (["a"], {"max_length": 1, "truncation": True}, ConfigError, "room for its special tokens"),
        (["a"], {"max_length": "4"}, ConfigError, "max_length must be a whole number"),
        (["a"], {"stride": -1}, ConfigError, "stride must be a whole number of at least 0"),
        (["a"], {"stride": "1"}, ConfigError, "stride must be a whole number"),
        (["a"], {"stride": 1.0}, ConfigError, "stride must be a whole number"),
        (["a"], {"truncation": []}, ConfigError, "truncation must be True, False or one of"),
        (["a"], {"padding": {}}, ConfigError, "padding must be True, False or one of"),
        (
            ["a"],
            {"padding": True, "pad_to_multiple_of": "4"},
            ConfigError,
            "pad_to_multiple_of must be a whole",
        ),
        (
            ["a"],
            {"padding": True, "pad_to_multiple_of": 2.5},
            ConfigError,
            "pad_to_multiple_of must be a whole",
        ),
        (
            ["a"],
            {"padding": True, "pad_to_multiple_of": -4},
            ConfigError,
            "pad_to_multiple_of must be a whole",
        ),
        (
            [[["a"], "b"]],
            {"is_split_into_words": True},
            DataError,
            "a list of its words. Received: 'b' at row 1",
        ),
        ([["a", "b"], ["a", ["b"]]], {}, DataError, "must be a string. Received: \\['b'\\] at row 1"),
        (["a"], {"padding_side": "top", "padding": True}, ConfigError, "must be right or left"),
        (
            ["a"],
            {"padding": True, "truncation": True, "max_length": 12, "pad_to_multiple_of": 8},
            ConfigError,
            "Choose max_length=8",
        ),
        (
            ["a b c d"],
            {"truncation": True, "max_length": 4, "stride": 2, "return_overflowing_tokens": True},
            ConfigError,
            "longer than what they share",
        ),
        ([None], {}, DataError, "There must be a text"),
        ([7], {}, DataError, "must be a string or a list"),
        ([["a", None]], {}, DataError, "valid Unicode.*at row 1"),
        (["\ud800"], {}, DataError, "valid Unicode"),
        ([["a"], ["b", "c"]], {}, DataError, "1 first texts and 2 second ones"),
        (["a", ["b"]], {}, DataError, "must be one text"),
    ],
)
def test_wrong_calls(arguments: list, options: dict, error: type, sentence: str, ours) -> None:
    with pytest.raises(error, match=sentence):
        ours(*arguments, **options)


def test_numbers_of_any_kind(ours) -> None:
    batch = ours(["a b c", "d"], truncation=True, max_length=np.int64(4), padding=True, stride=np.int32(0))
    assert (
        batch["input_ids"] == ours(["a b c", "d"], truncation=True, max_length=4, padding=True)["input_ids"]
    )
    assert batch[np.int64(1)].tokens == batch[1].tokens == ["[CLS]", "d", "[SEP]", "[PAD]"]
    assert ours.convert_ids_to_tokens(np.int64(101)) == "[CLS]"
    with pytest.raises(KeyError):
        batch[1.5]
    for wrong in ("2", None, 0, -3, 1.5):
        with pytest.raises(ConfigError, match="num_proc must be a whole number of at least 1"):
            DistilBertTokenizer({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}, num_proc=wrong)


def test_padding_to_a_length_leaves_longer_rows(all_three) -> None:
    python, fast, peer = all_three
    texts = ["a", "one two three four five six"]
    for options in ({"max_length": 4}, {"max_length": 4, "pad_to_multiple_of": 5}):
        called = {"padding": "max_length", "truncation": False, **options}
        theirs = peer(texts, **called)
        made = peer.pad([{"input_ids": peer.encode(text)} for text in texts], padding="max_length", **options)
        for ours in (python, fast):
            assert ours(texts, **called).data == dict(theirs)
            rows = [{"input_ids": ours.encode(text)} for text in texts]
            assert ours.pad(rows, padding="max_length", **options).data == dict(made)
            assert [len(e) for e in ours(texts, **called).encodings] == list(map(len, theirs["input_ids"]))
            with pytest.raises(DataError, match="one length"):
                ours(texts, return_tensors="np", **called)
            with pytest.raises(DataError, match="one length"):
                ours.pad(rows, padding="max_length", return_tensors="np", **options)


def test_what_is_not_there(ours) -> None:
    batch = ours("one two")
    for place in (99, 4, -5, -99):
        for way in ("token_to_word", "token_to_chars", "token_to_sequence"):
            assert getattr(batch, way)(place) is getattr(batch, way)(0, place) is None
            assert getattr(batch[0], way)(place) is None
    assert batch.token_to_word(-2) == batch[0].token_to_word(-2) == 1


def test_one_text_at_a_time_comes_apart(ours) -> None:
    assert ours.tokenize(["un affable", "x"], is_split_into_words=True) == ["un", "af", "##fa", "##ble", "x"]
    with pytest.raises(DataError, match="One text at a time.*Received: a list"):
        ours.tokenize(["a", "b"])


def test_room_for_one_text_of_a_pair(all_three) -> None:
    """As the library has it, and as the document says: the other text overflows in one row, however long."""
    rows = [
        tokenizer("a b c", "d e f", truncation=True, max_length=4, return_overflowing_tokens=True)
        for tokenizer in all_three
    ]
    assert rows[0]["input_ids"] == rows[1]["input_ids"] == rows[2]["input_ids"]
    assert len(rows[0]["input_ids"][0]) == 4 < max(map(len, rows[0]["input_ids"]))


def test_it_warns_once_of_rows_that_are_too_long(ours, caplog) -> None:
    for _ in range(2):
        ours("word " * 600)
    assert [r.message for r in caplog.records] == [
        "A row must be at most 512 tokens long for the model. Received: 602. Add truncation=True."
    ]
