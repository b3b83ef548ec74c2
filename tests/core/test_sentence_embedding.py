"""Tables of texts that belong together: which columns are read, and what they are to teach."""

from pathlib import Path

import numpy as np
import pytest
from task_files import alike, together, write_rows

from distilbert import read_examples
from distilbert.core.pooling import Pooling
from distilbert.core.sentence_folders import SentenceModules, write_modules
from distilbert.core.tasks.reading import as_examples
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.retrieval import FIGURES, nearer, own_ranks
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding, judging
from distilbert.core.tasks.splitting import split
from distilbert.errors import ConfigError, DataError

NAME = SentenceEmbedding.name


@pytest.mark.parametrize(
    ("columns", "named", "loss", "texts"),
    [
        ({"anchor": "a", "positive": "b", "negative": "c"}, None, "margin", ["text", "text_b", "negative"]),
        ({"anchor": "a", "positive": "b"}, None, "contrastive", ["text", "text_b"]),
        ({"query": "a", "positive": "b"}, None, "contrastive", ["text", "text_b"]),
        ({"sentence1": "a", "sentence2": "b"}, NAME, "contrastive", ["text", "text_b"]),
        ({"text_a": "a", "text_b": "b", "negative": "c"}, NAME, "margin", ["text", "text_b", "negative"]),
        ({"sentence1": "a", "sentence2": "b", "score": 2.5}, NAME, "cosine", ["text", "text_b"]),
        ({"text": "a"}, NAME, "teacher", ["text"]),
    ],
)
def test_the_columns_say_what_is_learnt(
    columns: dict, named: str | None, loss: str, texts: list[str]
) -> None:
    second = {
        name: f"other {value}" if isinstance(value, str) else value + 1 for name, value in columns.items()
    }
    examples = as_examples([columns, second], task=named)
    assert examples.task == NAME
    assert [name for name in examples.columns if name != "score"] == texts
    assert [examples.columns[name][0] for name in texts] == ["a", "b", "c"][: len(texts)]
    assert SentenceEmbedding.of(examples).loss == loss


def test_pairs_with_scores_are_numbers_unless_the_task_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "alike.jsonl", alike(10))
    assert read_examples(path).task == Regression.name
    examples = read_examples(path, task=NAME)
    task = SentenceEmbedding.of(examples)
    assert (task.loss, task.unit) == ("cosine", 5.0)
    targets = task.targets(examples, None, source="")
    np.testing.assert_allclose(np.concatenate(targets), np.array(examples.columns["score"], np.float32) / 5)
    np.testing.assert_array_equal(task.truth(examples, source=""), examples.columns["score"])


def test_columns_of_other_names_are_named(tmp_path: Path) -> None:
    rows = [{"q": f"one {i}", "d": f"two {i}", "bad": f"three {i}", "s": i / 4} for i in range(4)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    triplets = read_examples(path, columns={"anchor": "q", "positive": "d", "negative": "bad"})
    assert (triplets.task, triplets.columns["negative"][1]) == (NAME, "three 1")
    scored = read_examples(path, task=NAME, columns={"text_a": "q", "text_b": "d", "score": "s"})
    assert scored.columns["score"] == [0, 0.25, 0.5, 0.75]
    assert SentenceEmbedding.of(scored).unit == 1.0


def test_lines_of_text_are_examples(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n")
    assert read_examples(tmp_path / "texts.txt", task=NAME).columns["text"] == ["one", "two"]


def test_a_loss_can_be_chosen_where_the_columns_allow_it() -> None:
    triplets, scored = as_examples(together(6)), as_examples(alike(6), task=NAME)
    assert SentenceEmbedding.of(triplets).learning("contrastive", triplets).loss == "contrastive"
    assert SentenceEmbedding.of(scored).learning("contrastive", scored).loss == "contrastive"
    assert SentenceEmbedding.of(scored).learning("auto", scored).loss == "cosine"
    for loss, examples, missing in (("cosine", triplets, "score"), ("margin", scored, "negative")):
        with pytest.raises(DataError, match=f"by the {loss} loss, examples must have {missing}"):
            SentenceEmbedding.of(examples).learning(loss, examples)


def test_what_teaches_nothing_is_refused(tmp_path: Path) -> None:
    same = [{**row, "score": 3.0} for row in alike(4)]
    with pytest.raises(DataError, match="Scores to learn must differ"):
        SentenceEmbedding.of(as_examples(same, task=NAME))
    with pytest.raises(DataError, match="What judges vectors is pairs of texts, with a score or without"):
        SentenceEmbedding().truth(as_examples([{"text": "one"}, {"text": "two"}], task=NAME), source="")
    rows = alike(4)
    rows[2]["score"] = "much"
    with pytest.raises(DataError, match=r"'much' as score at line 3 of .*rows\.jsonl"):
        read_examples(write_rows(tmp_path / "rows.jsonl", rows), task=NAME)
    write_modules(
        tmp_path,
        SentenceModules(Pooling(include_prompt=False), prompts={"q": "ask"}, default_prompt_name="q"),
    )
    with pytest.raises(ConfigError, match="read prompts as part of the text"):
        SentenceEmbedding().on(tmp_path)


def test_cosines_by_hand() -> None:
    vectors = [np.array([[3, 4], [4, 3]], np.float32), np.array([[1, 0], [-2, 0]], np.float32)]
    vectors.append(np.zeros((2, 2), np.float32))
    np.testing.assert_allclose(SentenceEmbedding().told(vectors, None), [0.96, -1, 0])
    assert str(SentenceEmbedding().answers(vectors)[0]) == "0.9600"
    assert SentenceEmbedding().answers([np.ones((1, 2), np.float32)])[0].as_dict() == {"vector": [1, 1]}


def test_what_judges_vectors_follows_from_what_is_known_of_texts() -> None:
    triplets = as_examples(together(6))
    pairs = triplets.without("negative")
    found = ["mrr@10", "recall@1", "recall@10"]
    task = SentenceEmbedding.of(triplets)
    assert list(judging(task, triplets).metrics) == ["triplet_accuracy", *found]
    assert list(judging(task, pairs).metrics) == found
    assert list(judging(task, as_examples(alike(6), task=NAME)).metrics) == ["spearman", "pearson"]
    number = Regression.of(as_examples(alike(6)))
    assert judging(number, triplets) is number
    kept, held = split(as_examples(together(40)), share=0.25, seed=0)
    assert (len(kept), len(held)) == (30, 10)


def drawn(rows: int, texts: int, *, seed: int = 0) -> tuple[list[np.ndarray], list[tuple[str, ...]]]:
    """Vectors of anchors and others, those that belong together somewhat near; each text once."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, texts, 8)).astype(np.float32)
    vectors[:, 1] += vectors[:, 0]
    return list(vectors), [tuple(f"{row} {text}" for text in range(texts)) for row in range(rows)]


@pytest.mark.parametrize("texts", [2, 3])
def test_what_is_found_is_what_the_peer_finds(texts: int) -> None:
    peer = pytest.importorskip(
        "sentence_transformers.evaluation", reason="the peer sentence-transformers is not installed"
    )
    vectors, names = drawn(60, texts)
    ranks = own_ranks(vectors, names)
    corpus = {name: vector for row, own in zip(vectors, names, strict=True)
              for vector, name in zip(row[1:], own[1:], strict=True)}  # fmt: skip
    evaluator = peer.InformationRetrievalEvaluator(
        {own[0]: own[0] for own in names},
        {name: name for name in corpus},
        {own[0]: {own[1]} for own in names},
    )
    hits = []
    for row in vectors:
        scores = [
            (float(row[0] @ vector / np.linalg.norm(row[0]) / np.linalg.norm(vector)), name)
            for name, vector in corpus.items()
        ]
        hits.append([{"corpus_id": name, "score": score} for score, name in sorted(scores, reverse=True)])
    theirs = evaluator.compute_metrics(hits)
    found = {name: figure(np.ones(60), ranks) for name, figure in FIGURES.items()}
    assert found["mrr@10"] == pytest.approx(theirs["mrr@k"][10])
    assert found["recall@1"] == pytest.approx(theirs["recall@k"][1]) == theirs["accuracy@k"][1]
    assert found["recall@10"] == pytest.approx(theirs["recall@k"][10])
    assert 0.2 < found["recall@1"] < found["recall@10"] <= 1
    far = [np.concatenate([row[:1], row[1:][::-1]]) if texts == 3 else -row * [[-1], [1]] for row in vectors]
    assert FIGURES["mrr@10"](np.ones(60), own_ranks(far, names)) < found["mrr@10"] / 2


def test_places_by_hand() -> None:
    one, near, far = [1.0, 0.0], [0.9, 0.1], [0.0, 1.0]
    vectors = [np.array(rows, np.float32) for rows in ([one, near], [one, far], [far, one])]
    # Both texts of one anchor are right, so that neither is before the other.
    assert own_ranks(vectors, [("a", "b"), ("a", "c"), ("d", "e")]).tolist() == [2.0, 2.0, 3.0]
    # A text that is the anchor itself is no answer, right or wrong.
    assert own_ranks(vectors, [("a", "b"), ("a", "c"), ("d", "a")]).tolist() == [1.0, 1.0, 3.0]
    # Where all vectors are the same nothing is found but by chance.
    same = [np.ones((2, 2), np.float32)] * 9
    assert own_ranks(same, [(f"{i}", f"own {i}") for i in range(9)]).tolist() == [5.0] * 9
    triplets = [np.array(rows, np.float32) for rows in ([one, near, far], [one, far, near], [one, far, far])]
    assert nearer(triplets).tolist() == [1.0, 0.0, 0.0]
