"""Tags and spans, words and their windows, and files of annotated words."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from small_files import WORDS

from distilbert import DistilBertTokenizerFast, read_examples
from distilbert.core.data.readers import OwnReader
from distilbert.core.data.token_rows import TokenRows
from distilbert.core.tasks.reading import as_examples
from distilbert.core.tasks.tags import WordSpan, in_order, rewritten, spans, tags_of
from distilbert.core.tasks.token_classification import TokenClassification
from distilbert.core.tasks.words import joined, split, windows_of_words
from distilbert.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> DistilBertTokenizerFast:
    """The tiny language, with pieces for plurals."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join([*WORDS, "##s", "##ish"]) + "\n")
    return DistilBertTokenizerFast(path)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-a I-a O", [("a", 1, 3)]),
        ("B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)]),
        ("B-a I-b", [("a", 0, 1), ("b", 1, 2)]),
        ("I-a I-a O I-b", [("a", 0, 2), ("b", 3, 4)]),
        ("S-a B-b I-b E-b E-b", [("a", 0, 1), ("b", 1, 4), ("b", 4, 5)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("", []),
    ],
)
def test_the_spans_of_tags(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert list(spans(tags.split())) == [WordSpan(*span) for span in found]


def test_schemes_are_read_and_written() -> None:
    bio, bioes, bilou = (
        "B-a I-a I-a O B-b B-a I-a".split(),
        "B-a I-a E-a O S-b B-a E-a".split(),
        "B-a I-a L-a O U-b B-a L-a".split(),
    )
    assert rewritten(bio, scheme="BIOES") == bioes
    assert rewritten(bioes, scheme="BIO") == rewritten(bilou, scheme="BIO") == bio
    assert in_order(["O", *bioes]) == ("O", "B-a", "I-a", "E-a", "S-b")
    assert in_order(["VERB", "ADJ", "O"]) == ("ADJ", "O", "VERB"), "plain tags"
    with pytest.raises(ConfigError, match="one of BIO, BIOES"):
        rewritten(bio, scheme="IO")


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_spans_survive_their_tags(scheme: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        limits = np.sort(rng.choice(20, 6, replace=False))
        found = [
            WordSpan(str(rng.choice(["a", "b"])), int(start), int(end))
            for start, end in zip(limits[::2], limits[1::2], strict=True)
        ]
        assert list(spans(tags_of(found, 20, scheme=scheme))) == found


def by_the_conll_rules(tags: list[str]) -> list[tuple[str, int, int]]:
    """The published evaluation's own conditions, one by one (conlleval, with E and S)."""
    found, begin = [], 0
    before, label_before = "O", ""
    for i, tag in enumerate([*tags, "O"]):
        kind, label = tag[0], tag[2:]
        ends = (
            before in ("E", "S")
            or (before in ("B", "I") and kind in ("B", "S", "O"))
            or (before != "O" and label_before != label)
        )
        begins = (
            kind in ("B", "S")
            or (before in ("E", "S", "O") and kind in ("E", "I"))
            or (kind != "O" and label_before != label)
        )
        if ends:
            found.append((label_before, begin, i))
        if begins:
            begin = i
        before, label_before = kind, label
    return found


def test_entities_are_those_of_the_conll_evaluation() -> None:
    rng = np.random.default_rng(1)
    tags = ["O", *(f"{kind}-{name}" for kind in "BIES" for name in ("x", "y"))]
    for _ in range(500):
        text = [str(rng.choice(tags)) for _ in range(12)]
        assert [tuple(span) for span in spans(text)] == by_the_conll_rules(text)


def test_entities_are_seqevals() -> None:
    """On any tags, also those that no scheme would write."""
    seqeval = pytest.importorskip(
        "seqeval.metrics.sequence_labeling",
        reason="seqeval is no part of [dev]: pip install --use-pep517 --no-deps seqeval",
    )
    from distilbert.core.tasks.metrics import span_f1, span_precision, span_recall

    rng = np.random.default_rng(0)
    tags = ["O", *(f"{kind}-{name}" for kind in "BIES" for name in ("x", "y"))]
    texts = [[[str(rng.choice(tags)) for _ in range(12)] for _ in range(60)] for _ in range(2)]
    for text in texts[0]:
        assert [tuple(span) for span in spans(text)] == [
            (n, s, e + 1) for n, s, e in seqeval.get_entities(text)
        ]
    true, told = ([set(spans(text)) for text in side] for side in texts)
    truth = np.array([[len(t), 12] for t in true])
    counts = np.array([[len(f), len(f & t), 0] for f, t in zip(told, true, strict=True)])
    for name, ours in (("f1", span_f1), ("precision", span_precision), ("recall", span_recall)):
        assert ours(truth, counts) == pytest.approx(getattr(seqeval, f"{name}_score")(*texts))


def test_words_are_the_same_for_every_model() -> None:
    text = "Ann's (3.5 kg) soup—文字, naïve_x\n"
    words, offsets = split(text)
    assert words == ["Ann", "'", "s", "(", "3", ".", "5", "kg", ")", "soup", "—", "文", "字", ",", "naïve_x"]
    assert [text[start:end] for start, end in offsets] == words
    assert joined(["a", "bc", "."]) == ("a bc .", [(0, 1), (2, 4), (5, 6)])


def rows_of(tokenizer: DistilBertTokenizerFast, texts: list[list[str]], *, max_length: int) -> TokenRows:
    reader = OwnReader(tokenizer)
    written, places = zip(*map(joined, texts), strict=True)
    return windows_of_words(reader.words(written, places), reader.frame, max_length=max_length)


def test_every_word_is_answered_once_and_far_from_edges(tokenizer: DistilBertTokenizerFast) -> None:
    rng = np.random.default_rng(0)
    texts = [
        [str(word) + str(rng.choice(["", "s", "ish"])) for word in rng.choice(WORDS[5:], int(size))]
        for size in (0, 1, 7, 60, 200)
    ]
    rows = rows_of(tokenizer, texts, max_length=24)
    assert rows.dropped.sum() == 0
    assert max(len(ids) for ids in rows.input_ids) <= 24
    answered: list[list[int]] = [[] for _ in texts]
    for ids, example, places in zip(rows.input_ids, rows.of, rows.places, strict=True):
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        for column, word in places:
            first = tokenizer(texts[example][word], add_special_tokens=False)["input_ids"][0]
            assert ids[column] == first, "a word's answer is read at its first piece"
            answered[example].append(int(word))
    assert [sorted(words) for words in answered] == [list(range(len(words))) for words in texts]
    inner = [p for e, p in zip(rows.of, rows.places, strict=True) if e == 4][1:-1]
    assert all(places[:, 0].min() > 2 for places in inner), "neighbours share words, and the middle answers"


def test_a_word_longer_than_a_row(tokenizer: DistilBertTokenizerFast) -> None:
    rows = rows_of(tokenizer, [["ball", "ball" + "ish" * 30, "ball"]], max_length=10)
    assert rows.dropped.tolist()[0] == 1 + 30 - 8
    assert sorted(word for places in rows.places for word in places[:, 1].tolist()) == [0, 1, 2]


def test_labels_stand_at_first_pieces(tokenizer: DistilBertTokenizerFast) -> None:
    examples = as_examples([{"tokens": ["balls", "the", "soupish"], "tags": ["B-x", "O", "B-y"]}])
    task = TokenClassification.of(examples)
    rows = task.encode(OwnReader(tokenizer), examples, max_length=16)
    assert len(rows.input_ids[0]) == 7
    assert task.labels == ("O", "B-x", "B-y")
    assert task.targets(examples, rows, source="x")[0].tolist() == [-100, 1, -100, 0, 2, -100, -100]


def test_entities_by_characters_become_tags() -> None:
    text = "New York, in the U.S.A., is big."
    row = {
        "text": text,
        "entities": [
            {"start": 17, "end": 23, "label": "country"},
            {"start": 0, "end": 8, "label": "city"},
        ],
    }
    examples = as_examples([row])
    words, tags = examples.columns["words"][0], examples.columns["tags"][0]
    assert words[5:11] == ["U", ".", "S", ".", "A", "."]
    assert [(s.label, s.start, s.end) for s in spans(tags)] == [("city", 0, 2), ("country", 5, 11)]
    listed = as_examples([{"text": text, "entities": [[0, 8, "city"]]}])
    assert listed.columns["tags"][0][:3] == ["B-city", "I-city", "O"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"tokens": ["a", "b"], "tags": ["O"]},
            "Every word must have a tag. Received: 2 words and 1 tags at row 1",
        ),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "Every row must have a list of words"),
        ({"tokens": ["a"], "tags": [None]}, "Every row must have a list of tags"),
        ({"text": "a b", "entities": [[0, 9, "x"]]}, "a start and an end within the text"),
        ({"text": "a b", "entities": [[0, 2, "x"], [1, 3, "y"], [0, 1, "z"]]}, "must not share a word"),
        ({"text": "a b", "entities": "x"}, "Every entity must have a label"),
    ],
)
def test_tags_that_cannot_be_used(row: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError) as refused:
        as_examples([row], task="token-classification")
    assert sentence in str(refused.value)


def test_files_of_words_and_tags(tmp_path: Path) -> None:
    content = (
        "-DOCSTART- -X- O\n\n# a comment of the file\nEU NNP B-ORG\nrejects VBZ O\n\n\n"
        "Peter NNP B-PER\n# NN O\n"
    )
    path = tmp_path / "a.conll.gz"
    path.write_bytes(gzip.compress(content.encode()))
    examples = read_examples(path)
    assert examples.task == "token-classification"
    assert examples.columns["words"] == [["EU", "rejects"], ["Peter", "#"]]
    assert examples.columns["tags"] == [["B-ORG", "O"], ["B-PER", "O"]]
    assert examples.at(1) == f"line 8 of {path}"
    (tmp_path / "b.bio").write_text("EU NNP B-ORG\nrejects O\n")
    with pytest.raises(DataError, match="a word, its tag, .*'rejects O' at line 2"):
        read_examples(tmp_path / "b.bio")
    (tmp_path / "c.iob").write_text("\n\n")
    with pytest.raises(DataError, match="at least one text"):
        read_examples(tmp_path / "c.iob")
    with pytest.raises(DataError, match="must exist"):
        read_examples(tmp_path / "d.conll")


def test_a_teacher_and_its_pupil_meet_at_words(tokenizer: DistilBertTokenizerFast, tmp_path: Path) -> None:
    """Whatever pieces and windows each has: a teacher of letters, in short rows, tells each word its own."""
    letters = [*WORDS[:5], *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    (tmp_path / "vocab.txt").write_text("\n".join(letters) + "\n")
    other = DistilBertTokenizerFast(tmp_path / "vocab.txt")
    rows = [{"tokens": [*WORDS[5:30], "balls"], "tags": ["O"] * 25 + ["B-x"]}]
    examples = as_examples(rows)
    task = TokenClassification.of(examples)
    mine = task.encode(OwnReader(tokenizer), examples, max_length=16)
    theirs = task.encode(OwnReader(other), task.asked(examples, mine), max_length=21)
    assert len(mine) != len(theirs)
    logits = []
    for ids, places in zip(theirs.input_ids, theirs.places, strict=True):
        own = np.full((len(ids), 2), 1e3, np.float32)
        own[places[:, 0]] = np.stack([places[:, 1], -places[:, 1]], axis=1)
        logits.append(own)
    met = task.met(logits, theirs, examples, mine, temperature=2.0)
    for own, places in zip(met, mine.places, strict=True):
        np.testing.assert_array_equal(own[places[:, 0], 0], places[:, 1])
        others = np.setdiff1d(np.arange(len(own)), places[:, 0])
        assert np.isnan(own[others]).all()
