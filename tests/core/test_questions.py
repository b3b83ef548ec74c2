"""Questions: how answers are judged, how contexts become windows, and where two models' windows meet."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import WORDS

from distilbert import DistilBertTokenizerFast, read_examples
from distilbert.core.data.readers import OwnReader
from distilbert.core.tasks import squad
from distilbert.core.tasks.context_windows import windows_of_contexts
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.reading import as_examples
from distilbert.errors import ConfigError, DataError

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> DistilBertTokenizerFast:
    """The tiny language."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join([*WORDS, "##s"]) + "\n")
    return DistilBertTokenizerFast(path)


@pytest.fixture(scope="module")
def speller(tmp_path_factory: pytest.TempPathFactory) -> DistilBertTokenizerFast:
    """Takes each word to its letters."""
    path = tmp_path_factory.mktemp("letters") / "vocab.txt"
    path.write_text("\n".join([*WORDS[:5], *LETTERS, *(f"##{c}" for c in LETTERS)]) + "\n")
    return DistilBertTokenizerFast(path)


@pytest.mark.parametrize(
    ("answer", "truths", "exact", "f1"),
    [
        ("Denver Broncos", ["Denver Broncos"], 1, 1),
        ("the Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("Broncos of Denver", ["Denver Broncos"], 0, 2 * 2 / (3 + 2)),
        ("an  APPLE a day", ["apple day"], 1, 1),
        ("theatre", ["atre"], 0, 0),
        ("U.S.", ["US", "United States"], 1, 1),
        ("in 1990 and 1990", ["1990"], 0, 2 * 1 / (4 + 1)),
        ("x", ["a b c", "x y"], 0, 2 * 1 / (1 + 2)),
        ("", [], 1, 1),
        ("x", [], 0, 0),
        ("", ["x"], 0, 0),
        ("a", [], 1, 1),
        ("x", ["the", "x"], 1, 1),
        ("", ["the"], 1, 1),
        ("«x»", ["x"], 0, 0),
    ],
)
def test_answers_are_judged_by_the_published_rules(
    answer: str, truths: list[str], exact: float, f1: float
) -> None:
    """Small letters, no ASCII signs, no articles, one space between words, in this order.

    The best truth counts; a question has no answer where no truth is left.
    """
    assert squad.exact(answer, truths) == exact
    assert squad.f1(answer, truths) == pytest.approx(f1)


def test_every_published_form_of_answers() -> None:
    context = "the ball and the goal"
    one = [squad.Truth("ball", 4)]
    assert squad.read_answers([{"text": "ball", "answer_start": 4}], context) == one
    assert squad.read_answers({"text": ["ball"], "answer_start": [4]}, context) == one
    assert squad.read_answers({"text": "ball", "start": 4}, context) == one
    assert squad.read_answers("ball", context, "4") == one
    assert squad.read_answers("ball", context) == squad.read_answers(["ball"], context) == [("ball", -1)]
    assert squad.read_answers([{"text": "ball", "answer_start": 5}], context) == [("ball", -1)]
    assert squad.read_answers([{"text": "ball", "answer_start": -17}], context) == [("ball", -1)]
    for none in ([], None, "", {"text": [], "answer_start": []}):
        assert squad.read_answers(none, context) == []
    for wrong in (5, [5], [{"answer_start": 4}], {"text": ["a", "b"], "answer_start": [1]}):
        assert squad.read_answers(wrong, context) is None


def test_squads_own_file(tmp_path: Path) -> None:
    asked = [
        {"id": "1", "question": "what?", "answers": [{"text": "ball", "answer_start": 4}]},
        {"id": "2", "question": "who?", "is_impossible": True, "answers": [], "plausible_answers": []},
    ]
    path = tmp_path / "train.json"
    path.write_text(
        json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "the ball", "qas": asked}]}]})
    )
    examples = read_examples(path)
    assert examples.task == "question-answering"
    assert list(examples.rows("question", "context", "answers")) == [
        ("what?", "the ball", [("ball", 4)]),
        ("who?", "the ball", []),
    ]
    assert QuestionAnswering.of(examples).unanswerable
    for content in ("[1]", '{"data": 5}', '{"data": [{"paragraphs": [{}]}]}', "{", "[" * 99999):
        path.write_text(content)
        with pytest.raises(DataError, match="one of SQuAD's"):
            read_examples(path)


def rows_of(tokenizer: DistilBertTokenizerFast, rows: list[dict[str, Any]], **options: int) -> Any:
    examples = as_examples(rows, task="question-answering")
    task = QuestionAnswering(**options)
    return task, examples, task.encode(OwnReader(tokenizer), examples, max_length=24)


def test_windows_hold_every_token_and_know_its_characters(tokenizer: DistilBertTokenizerFast) -> None:
    rng = np.random.default_rng(0)
    contexts = ["  ".join(map(str, rng.choice(WORDS[5:], size))) for size in (1, 10, 100)]
    rows = windows_of_contexts(OwnReader(tokenizer), ["is it?"] * 3, contexts, max_length=24, stride=5)
    assert max(len(ids) for ids in rows.input_ids) == 24
    held: list[list[int]] = [[] for _ in contexts]
    for ids, places, example, second in zip(rows.input_ids, rows.places, rows.of, rows.seconds, strict=True):
        assert len(ids) == len(places)
        assert (places[:, 0] == 1).nonzero()[0][0] == second
        for number, (text, start, end) in zip(ids, places, strict=True):
            if text == 1:
                word = contexts[example][start:end]
                assert tokenizer.convert_ids_to_tokens(int(number)) == word
                held[example].append(int(start))
    for context, starts in zip(contexts, held, strict=True):
        assert len(set(starts)) == len(context.split())
    assert len(held[2]) > len(set(held[2])), "windows overlap"


def test_long_questions_are_cut_and_counted_and_short_rows_refused(
    tokenizer: DistilBertTokenizerFast,
) -> None:
    rows = windows_of_contexts(OwnReader(tokenizer), ["ball " * 30], ["the goal"], max_length=24, stride=5)
    assert rows.dropped.tolist() == [20]
    assert len(rows.input_ids[0]) == 3 + 10 + 2
    with pytest.raises(ConfigError, match="room for a question and a context"):
        windows_of_contexts(OwnReader(tokenizer), ["a"], ["b"], max_length=4, stride=0)


def test_targets_are_tokens_of_the_window_that_holds_the_answer(tokenizer: DistilBertTokenizerFast) -> None:
    context = " ".join(["the"] * 30 + ["soup", "breads"] + ["of"] * 30)
    start = context.index("soup")
    row = {"question": "it", "context": context, "answers": [{"text": "soup bread", "answer_start": start}]}
    task, examples, rows = rows_of(tokenizer, [row, {**row, "answers": []}], doc_stride=6)
    targets = task.targets(examples, rows, source="x")
    tokens = [tokenizer.convert_ids_to_tokens(ids.tolist()) for ids in rows.input_ids]
    found = [words[first : last + 1] for words, (first, last) in zip(tokens, targets, strict=True)]
    assert ["soup", "bread"] in found
    held = [i for i, words in enumerate(tokens) if rows.of[i] == 0 and "soup" in words and "bread" in words]
    assert held == [i for i, words in enumerate(found) if words == ["soup", "bread"]]
    assert all(words == ["[CLS]"] for i, words in enumerate(found) if i not in held)


def test_the_best_answer_of_all_windows(tokenizer: DistilBertTokenizerFast) -> None:
    """Logits by hand: of two windows, one with a long answer, one with one that ends before it begins."""
    context = " ".join(WORDS[5:45])
    task, examples, rows = rows_of(
        tokenizer, [{"question": "it", "context": context, "answers": []}], doc_stride=0, max_answer=3
    )
    logits = [np.full((2, len(ids)), -9.0, np.float32) for ids in rows.input_ids]
    assert len(logits) == 2
    first = int(rows.seconds[0])
    logits[0][0, first + 1], logits[0][1, first + 5] = 9, 9  # five tokens, where three may be
    logits[0][1, first + 2] = 5
    logits[1][0, first + 4], logits[1][1, first + 3] = 8, 8  # the end before the beginning
    logits[1][1, first + 4] = 4
    logits[0][:, 0], logits[1][:, 0] = 6, 6.5
    (answer,) = task.answers(logits, examples, rows)
    assert answer.answer == f"{WORDS[6]} {WORDS[7]}" == context[answer.start : answer.end]
    assert [other.answer for other in answer.others][1] == context.split()[len(rows.input_ids[0]) - 4 + 4]
    # Beginning and end of the best come to 14, and "nothing" to 12 in the window where it is least likely.
    for threshold, told in ((-2.5, ""), (-1.5, answer.answer)):
        may = QuestionAnswering(unanswerable=True, doc_stride=0, max_answer=3, null_threshold=threshold)
        assert may.answers(logits, examples, rows)[0].answer == told


def test_scores_of_answers(tokenizer: DistilBertTokenizerFast) -> None:
    rows = [
        {"question": "it", "context": "the ball", "answers": [{"text": "ball", "answer_start": 4}]},
        {"question": "it", "context": "the ball", "answers": []},
    ]
    task, examples, made = rows_of(tokenizer, rows, unanswerable=True)
    logits = [np.zeros((2, 6), np.float32) for _ in rows]
    for own in logits:
        own[:, 4] = 5.0
    told = task.told(logits, examples, made)
    assert told.tolist() == [[1, 1], [0, 0]]
    truth = task.truth(examples, source="x")
    assert {name: metric(truth, told) for name, metric in task.metrics.items()} == {
        "f1": 0.5,
        "exact_match": 0.5,
        "f1 where answered": 1.0,
        "right where not": 0.0,
    }


def softmax(x: np.ndarray) -> np.ndarray:
    likely = np.exp(x - x.max(-1, keepdims=True))
    return likely / likely.sum(-1, keepdims=True)


def test_models_with_the_same_tokens_have_the_same_distribution(tokenizer: DistilBertTokenizerFast) -> None:
    rng = np.random.default_rng(0)
    context = " ".join(map(str, rng.choice(WORDS[5:], 70)))
    task, examples, rows = rows_of(
        tokenizer, [{"question": "is it", "context": context, "answers": []}], doc_stride=4
    )
    asked = task.encode(OwnReader(tokenizer), task.asked(examples, rows), max_length=24)
    assert [ids.tolist() for ids in asked.input_ids] == [ids.tolist() for ids in rows.input_ids]
    logits = [rng.normal(size=(2, len(ids))).astype(np.float32) for ids in asked.input_ids]
    met = task.met(logits, asked, examples, rows, temperature=2.0)
    for own, theirs in zip(met, logits, strict=True):
        np.testing.assert_allclose(softmax(own / 2), softmax(theirs / 2), atol=1e-6)


@pytest.mark.parametrize("spells", ["the teacher", "the pupil"])
def test_models_with_other_tokens_meet_at_characters(
    spells: str, tokenizer: DistilBertTokenizerFast, speller: DistilBertTokenizerFast
) -> None:
    """What a teacher gives letters goes to their word; what it gives a word, to its first or last letter."""
    examples = as_examples(
        [{"question": "is it", "context": "the  ball, team", "answers": []}], task="question-answering"
    )
    task = QuestionAnswering()
    pupil, teacher = (tokenizer, speller) if spells == "the teacher" else (speller, tokenizer)
    rows = task.encode(OwnReader(pupil), examples, max_length=60)
    asked = task.encode(OwnReader(teacher), task.asked(examples, rows), max_length=60)
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(2, len(asked.input_ids[0]))).astype(np.float32)]
    (met,) = task.met(logits, asked, examples, rows, temperature=1.0)
    theirs, mine = softmax(logits[0]), softmax(met)
    np.testing.assert_allclose(mine.sum(-1), 1.0)
    places, others = rows.places[0], asked.places[0]

    def share(of: np.ndarray, where: np.ndarray, side: int, text: int, start: int, end: int) -> float:
        inside = (where[:, 0] == text) & (where[:, 1] >= start) & (where[:, 2] <= end)
        return float(of[side, inside].sum())

    for text, start, end in ((1, 0, 3), (1, 5, 9), (1, 9, 10), (1, 11, 15), (0, 0, 2), (0, 3, 5)):
        for side in (0, 1):
            expected = share(theirs, others, side, text, start, end)
            assert share(mine, places, side, text, start, end) == pytest.approx(expected, abs=1e-6)
            if spells == "the pupil":
                at = (places[:, 0] == text) & (places[:, 2 if side else 1] == (end if side else start))
                assert mine[side, at].sum() == pytest.approx(expected, abs=1e-6)
    special = np.flatnonzero(places[:, 0] < 0)
    np.testing.assert_allclose(mine[:, special], theirs[:, others[:, 0] < 0], atol=1e-6)


def test_a_teacher_that_needs_several_windows_for_one_says_nothing_of_it(
    tokenizer: DistilBertTokenizerFast, speller: DistilBertTokenizerFast
) -> None:
    rows = [
        {"question": "is it", "context": " ".join(WORDS[5:18]), "answers": []},
        {"question": "is", "context": "of", "answers": []},
    ]
    task, examples, made = rows_of(tokenizer, rows)
    asked = task.encode(OwnReader(speller), task.asked(examples, made), max_length=24)
    assert len(asked) > 2
    logits = [np.zeros((2, len(ids)), np.float32) for ids in asked.input_ids]
    met = task.met(logits, asked, examples, made, temperature=1.0)
    assert np.isnan(met[0]).all()
    assert np.isfinite(met[1]).all()


def test_the_files_of_public_sets(data_folder: Path) -> None:
    found = {
        name: read_examples(data_folder / "tasks" / f"{name}.jsonl.gz")
        for name in ("squad11.dev", "wnut17.dev")
    }
    assert {name: (examples.task, len(examples)) for name, examples in found.items()} == {
        "squad11.dev": ("question-answering", 10570),
        "wnut17.dev": ("token-classification", 1009),
    }
    assert isinstance(found["wnut17.dev"], Examples)
    assert not QuestionAnswering.of(found["squad11.dev"]).unanswerable
