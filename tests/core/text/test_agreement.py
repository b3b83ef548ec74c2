"""Our two tokenizers and the ``tokenizers`` library agree on any text, whatever the settings.

CI takes some thousands of texts; any number else is asked for like this:

  DISTILBERT_CASES=1000000 python -m pytest tests/core/text/test_agreement.py -n 2
"""

import os
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from any_text import any_text, any_text_with
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distilbert import DistilBertTokenizer, DistilBertTokenizerFast
from distilbert.core.text import AddedToken

ADDED = (
    AddedToken("<x>"),
    AddedToken("new york"),
    AddedToken("new", single_word=True),
    AddedToken("FOO", single_word=True, normalized=False),
    AddedToken("Ä-", lstrip=True, rstrip=True),
    AddedToken("ing", single_word=True),
    AddedToken("[S]", special=True, lstrip=True),
    AddedToken("\ufe0f"),  # nothing, where accents are stripped
    AddedToken(" b", rstrip=True),
    AddedToken("MASK]", normalized=False),
)

#: Lower-casing, accents, ideographs, cleaning, added tokens.
SETTINGS = (
    {},
    {"do_lower_case": False},
    {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
    {"do_lower_case": True, "strip_accents": False},
    {"do_lower_case": True, "clean_text": False},
    {"do_lower_case": True, "added": ADDED},
    {"do_lower_case": False, "added": ADDED, "split_special_tokens": True},
    {"do_lower_case": True, "wordpieces_prefix": "", "tokenize_chinese_chars": False},
    {"do_basic_tokenize": False, "added": ADDED},
)

#: Texts of one example: what is drawn costs more than what is tested.
TEXTS = 16
CASES = int(os.environ.get("DISTILBERT_CASES", "3000"))


@cache
def tokenizers_of(vocabulary: Path, setting: int) -> tuple[Any, Any, Any]:
    """Ours in Python, ours over the library, and the library's own, put together here."""
    from tokenizers import AddedToken as TheirToken
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    given = dict(SETTINGS[setting])
    added: Sequence[AddedToken] = given.pop("added", ())
    python = DistilBertTokenizer(vocabulary, **given)
    fast = DistilBertTokenizerFast(vocabulary, **given)
    for ours in (python, fast):
        ours.add_tokens(added)

    prefix = given.get("wordpieces_prefix", "##")
    model = models.WordPiece.from_file(str(vocabulary), unk_token="[UNK]", continuing_subword_prefix=prefix)
    theirs = Tokenizer(model)
    if given.get("do_basic_tokenize", True):
        theirs.normalizer = normalizers.BertNormalizer(
            clean_text=given.get("clean_text", True),
            handle_chinese_chars=given.get("tokenize_chinese_chars", True),
            strip_accents=given.get("strip_accents"),
            lowercase=python.do_lower_case,
        )
        theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        theirs.normalizer, theirs.pre_tokenizer = normalizers.Sequence([]), pre_tokenizers.WhitespaceSplit()
    theirs.decoder = decoders.WordPiece(prefix=prefix)
    theirs.post_processor = processors.BertProcessing(
        ("[SEP]", python.sep_token_id), ("[CLS]", python.cls_token_id)
    )
    theirs.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    for token in added:
        if not theirs.normalizer.normalize_str(token.content):
            theirs.add_tokens([f"instead of {token.content!r}"])  # it would be found everywhere
            continue
        flags = {n: getattr(token, n) for n in ("single_word", "lstrip", "rstrip", "normalized")}
        add = theirs.add_special_tokens if token.special else theirs.add_tokens
        add([TheirToken(token.content, **flags)])
    theirs.encode_special_tokens = given.get("split_special_tokens", False)
    return python, fast, theirs


@pytest.fixture(scope="module", params=["uncased", "cased", "multilingual-cased"])
def vocabulary(request: pytest.FixtureRequest) -> Path:
    if request.param == "uncased":
        folder: Path = request.getfixturevalue("minilm")
        return folder / "vocab.txt"
    return request.getfixturevalue("data_folder") / "vocab" / f"bert-base-{request.param}" / "vocab.txt"


some_texts = st.lists(
    st.one_of(any_text, any_text_with(*(str(token) for token in ADDED), "NEW", "ä-", "b", "[MASK]", " ")),
    min_size=TEXTS,
    max_size=TEXTS,
)


@settings(
    max_examples=max(1, CASES // TEXTS // 3),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    database=None,
)
@given(texts=some_texts, setting=st.sampled_from(range(len(SETTINGS))))
def test_any_text(texts: list[str], setting: int, vocabulary: Path) -> None:
    python, fast, theirs = tokenizers_of(vocabulary, setting)
    options = {
        "return_offsets_mapping": True,
        "return_special_tokens_mask": True,
        "return_token_type_ids": True,
    }
    ours = python(texts, verbose=False, **options)
    also = fast(texts, verbose=False, **options)
    assert ours.data == also.data
    for i, (text, encoding) in enumerate(zip(texts, theirs.encode_batch(texts), strict=True)):
        assert ours["input_ids"][i] == encoding.ids
        assert ours["offset_mapping"][i] == encoding.offsets
        assert ours["special_tokens_mask"][i] == encoding.special_tokens_mask
        assert ours.word_ids(i) == also.word_ids(i) == encoding.word_ids
        assert ours.tokens(i) == also.tokens(i) == [theirs.id_to_token(number) for number in encoding.ids]
        assert python.tokenize(text) == fast.tokenize(text)
        for skip in (True, False):
            decoded = theirs.decode(encoding.ids, skip_special_tokens=skip)
            for tokenizer in (python, fast):
                mine = tokenizer.decode(encoding.ids, skip, clean_up_tokenization_spaces=False)
                assert mine == decoded


@settings(
    max_examples=max(1, CASES // 100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    database=None,
)
@given(texts=some_texts, setting=st.sampled_from(range(len(SETTINGS))), words=st.booleans())
def test_any_pair_and_any_words(texts: list[str], setting: int, words: bool, vocabulary: Path) -> None:
    python, fast, theirs = tokenizers_of(vocabulary, setting)
    columns = ("input_ids", "token_type_ids", "special_tokens_mask", "offset_mapping")
    options = {f"return_{name}": True for name in ("token_type_ids", "special_tokens_mask")}
    options |= {"return_offsets_mapping": True, "is_split_into_words": words, "verbose": False}
    half = TEXTS // 2
    firsts, seconds = texts[:half], texts[half:]
    if words:
        firsts, seconds = [texts[:1], texts[1:half]], [texts[half:-2], texts[-2:]]
    ours, also = (tokenizer(firsts, seconds, **options) for tokenizer in (python, fast))
    assert ours.data == also.data
    pairs = list(zip(firsts, seconds, strict=True))
    for i, encoding in enumerate(theirs.encode_batch(pairs, is_pretokenized=words)):
        found = (encoding.ids, encoding.type_ids, encoding.special_tokens_mask, encoding.offsets)
        assert tuple(ours[name][i] for name in columns) == found
        assert ours.word_ids(i) == also.word_ids(i) == encoding.word_ids
        assert ours.sequence_ids(i) == also.sequence_ids(i) == encoding.sequence_ids


@settings(max_examples=max(1, CASES // 20), deadline=None, database=None)
@given(text=any_text, setting=st.sampled_from([i for i, s in enumerate(SETTINGS) if "added" not in s]))
@example(text="\uac00", setting=0)  # two pieces of one character, the second of which begins where it does
def test_offsets_of_any_text(text: str, setting: int, vocabulary: Path) -> None:
    """Spans lie in the text and ascend; what stands there is, normalised, the letters of the token."""
    for tokenizer in tokenizers_of(vocabulary, setting)[:2]:
        batch = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        normalize, prefix = tokenizer._pipeline.normalizer(), tokenizer._pipeline.wordpieces_prefix
        spans = batch["offset_mapping"]
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(one[0] <= other[0] and one[1] <= other[1] for one, other in pairwise(spans))
        words = batch.word_ids()
        for i, (token, (start, end)) in enumerate(zip(batch.tokens(), spans, strict=True)):
            if token not in tokenizer.all_special_tokens:
                goes_on = i > 0 and words[i - 1] == words[i]
                letters = token.removeprefix(prefix) if goes_on else token
                assert letters in normalize(text[start:end]).text


def test_offsets_index_back(minilm: Path) -> None:
    """By hand: what each token came from, through dropped, added, decomposed and widened characters."""
    text = "Ünï\u0000codé  ﬁ中İ."
    for kind in (DistilBertTokenizer, DistilBertTokenizerFast):
        batch = kind(minilm / "vocab.txt")(text, add_special_tokens=False, return_offsets_mapping=True)
        came_from = [text[start:end] for start, end in batch["offset_mapping"]]
        assert came_from == ["Ünï\u0000codé", "ﬁ", "中", "İ", "."]
        assert batch.tokens()[0] == "unicode"


#: What Python's own functions would do in place of the table, and a text that tells.
NEARLY_RIGHT = {
    "a final sigma of its own": (str.lower, "ΟΔΟΣ", True),
    "composed characters": (lambda text: unicodedata.normalize("NFC", text), "e\u0301", False),
    "unassigned code points dropped": (lambda text: text.replace("\u0378", ""), "a\u0378b", True),
    "a narrower range of ideographs": (lambda text: text.replace("\U0002b8ff", "x"), "\U0002b8ffx", True),
}


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
@pytest.mark.parametrize("wrong", NEARLY_RIGHT)
def test_a_definition_that_is_nearly_right_is_caught(wrong: str, kind: type) -> None:
    change, text, lower = NEARLY_RIGHT[wrong]
    characters = sorted({*text, *text.lower(), *change(text)})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    tokenizer = kind({token: i for i, token in enumerate(tokens)}, do_lower_case=lower)
    assert tokenizer.encode(text) != tokenizer.encode(change(text))
