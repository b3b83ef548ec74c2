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
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
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
    with pytest.raises(DataError, match="What judges vectors is pairs of texts with a score"):
        SentenceEmbedding().truth(as_examples(together(4)), source="")
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
