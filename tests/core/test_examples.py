"""Tables as examples: which task they are of, under which names columns are found, and what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from distilbert import read_examples
from distilbert.core.tasks.examples import Examples, shared, warn_of_repeated
from distilbert.core.tasks.reading import TASKS, as_examples
from distilbert.errors import ConfigError, DataError


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


#: Rows of a table, the task they are taken for, and what becomes of the last of them.
TABLES = {
    "one text": (
        [{"text": "a", "label": 0}, {"text": "b", "label": 1}],
        "sequence-classification",
        ("b", "1"),
    ),
    "a pair": (
        [{"text_a": "a", "text_b": "b", "label": "x"}],
        "sequence-classification",
        ("a", "b", "x"),
    ),
    "a pair of nli": (
        [{"premise": "a", "hypothesis": "b", "label": "x"}],
        "sequence-classification",
        ("a", "b", "x"),
    ),
    "a pair of qnli": (
        [{"question": "a?", "sentence": "b", "label": "x"}],
        "sequence-classification",
        ("a?", "b", "x"),
    ),
    "a score": ([{"text_a": "a", "text_b": "b", "score": 5}], "regression", ("a", "b", 5.0)),
    "fractions as labels": (
        [{"text": "a", "label": 1.0}, {"text": "b", "label": 2.5}],
        "regression",
        ("b", 2.5),
    ),
    "whole numbers as labels": (
        [{"text": "a", "label": 1.0}, {"text": "b", "label": 2.0}],
        "sequence-classification",
        ("b", "2.0"),
    ),
    "lists of labels": (
        [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": []}],
        "multi-label-classification",
        ("b", []),
    ),
    "options": (
        [{"context": "", "question": "q", "choices": ["a", "b", "c"], "answer": 2}],
        "multiple-choice",
        ("", "q", ["a", "b", "c"], 2),
    ),
    "options by letter": (
        [{"article": "c", "question": "q", "options": ["a", "b"], "answer": "B"}],
        "multiple-choice",
        ("c", "q", ["a", "b"], 1),
    ),
    "options in columns": (
        [{"sent1": "c", "sent2": "q", "ending0": "a", "ending1": "b", "label": "1"}],
        "multiple-choice",
        ("c", "q", ["a", "b"], 1),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_tell_the_task(name: str, tmp_path: Path) -> None:
    rows, task, last = TABLES[name]
    examples = read_examples(jsonl(tmp_path / "a.jsonl", *rows))
    assert examples.task == task
    assert tuple(column[-1] for column in examples.columns.values()) == last
    assert len(examples) == len(rows)
    given = as_examples(rows)
    assert given.columns == examples.columns
    inputs = set(TASKS[task].inputs) & set(examples.columns)
    alone = read_examples(tmp_path / "a.jsonl", task=task, labelled=False)
    assert set(alone.columns) == inputs, "what is to be answered is read without its answers"


def test_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("note,stars,other\ngood,4,x\nbad,1,y\n")
    assert read_examples(path, columns={"text": "note", "label": "stars"}).columns == {
        "text": ["good", "bad"],
        "label": ["4", "1"],
    }
    assert read_examples(path, columns={"text": "note", "score": "stars"}).columns["score"] == [4.0, 1.0]
    two = read_examples(path, columns={"text_a": "note", "text_b": "other", "label": "stars"})
    assert two.columns["text_b"] == ["x", "y"]
    with pytest.raises(DataError, match="are called text, text_a, text_b, label. Received: txt"):
        read_examples(path, columns={"txt": "note"})
    with pytest.raises(DataError, match=r"a column named text_c.*columns note, stars, other"):
        read_examples(path, columns={"text": "note", "text_b": "text_c", "label": "stars"})


def test_a_task_that_is_named_goes_before_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\none,1\ntwo,2\n")
    assert read_examples(path).columns["label"] == ["1", "2"]
    assert read_examples(path, task="regression").columns["score"] == [1.0, 2.0]
    path.write_text("text,labels\none,a | b\ntwo,\n")
    with pytest.raises(DataError, match="'' as labels at line 3"):
        read_examples(path)
    found = read_examples(path, task="multi-label-classification")
    assert found.columns["labels"] == [["a", "b"], []]
    with pytest.raises(ConfigError, match=r"one of token-classification, .*Received: task='translation'"):
        read_examples(path, task="translation")


def test_every_kind_of_file(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"text": "one", "labels": ["x"]}, {"text": "two", "labels": ["x", "y"]}]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    one, other = (read_examples(tmp_path / name) for name in ("a.jsonl.gz", "a.parquet"))
    assert one.columns == other.columns
    assert one.at(1) == f"line 2 of {tmp_path / 'a.jsonl.gz'}"


REFUSED = {
    "a label of another type": (
        [{"text": "a", "label": 1}, {"text": "b", "label": "1"}],
        "of one type. Received: 1 (a whole number) at line 1, and '1' (text) at line 2 of",
    ),
    "no number": (
        [{"text": "a", "score": 1}, {"text": "b", "score": "high"}],
        "a number to learn. Received: 'high' as score at line 2",
    ),
    "a number that is none": (
        [{"text": "a", "score": float("inf")}],
        "a number to learn. Received: inf as score at line 1",
    ),
    "an empty second text": (
        [{"text_a": "a", "text_b": " ", "label": 1}],
        "Received: ' ' as text_b at line 1",
    ),
    "a label that is no name": (
        [{"text": "a", "labels": ["x"]}, {"text": "a", "labels": ["x", None]}],
        "a list of labels, or a text of them with | between. Received: ['x', None] as labels at line 2",
    ),
    "one option": (
        [{"question": "a", "choices": ["x"], "answer": 0}],
        "at least two options. Received: ['x'] as choices at line 1",
    ),
    "an answer beyond": (
        [{"question": "a", "choices": ["x", "y"], "answer": 2}],
        "the option itself. Received: (2, ['x', 'y']) as answer at line 1",
    ),
    "no question": (
        [{"query_": "a", "choices": ["x", "y"], "answer": 1}],
        "named question or goal or sent2 or text or query. Received: columns query_, choices, answer",
    ),
    "no answers": (
        [{"question": "a", "choices": ["x", "y"]}],
        "must have a column named answer or label",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    rows, sentence = REFUSED[name]
    with pytest.raises(DataError) as refused:
        read_examples(jsonl(tmp_path / "a.jsonl", *rows))
    assert sentence in str(refused.value)
    assert "a.jsonl" in str(refused.value)


def test_what_is_no_table() -> None:
    for table in ([], ["text"], "train.csv", [{"text": "a", "label": 1}, "b"]):
        with pytest.raises(DataError, match="given as rows, each a dictionary"):
            as_examples(table)
    with pytest.raises(DataError, match="of the task regression. Received: examples for multiple-choice"):
        as_examples(Examples("multiple-choice", {"question": ["a"]}), task="regression")
    with pytest.raises(DataError, match="must have their answers"):
        as_examples(Examples("regression", {"text": ["a"]}))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"text": "a", "label": 1}] * 2, "at least two labels to tell apart. Received: only 1"),
        ([{"text": "a", "label": 1}, {"text": "a", "label": 2}], "Texts to learn from must differ"),
        ([{"text": "a", "score": 1}, {"text": "b", "score": 1}], "Numbers to learn must differ"),
        ([{"text": "a", "labels": ["x"]}, {"text": "b", "labels": []}], "at least two labels"),
        (
            [{"question": q, "choices": ["x", "y"], "answer": 1} for q in "ab"],
            "must differ from row to row. Received: option 1 in all 2 rows",
        ),
    ],
)
def test_what_nothing_can_be_learnt_from(rows: list[dict[str, Any]], sentence: str) -> None:
    examples = as_examples(rows)
    with pytest.raises(DataError) as refused:
        TASKS[examples.task].of(examples)
    assert sentence in str(refused.value)


def test_labels_that_a_model_does_not_have_are_named_with_their_line(tmp_path: Path) -> None:
    rows = [{"text": "a", "labels": ["x"]}, {"text": "b", "labels": ["y"]}]
    task = TASKS["multi-label-classification"].of(as_examples(rows))
    other = read_examples(jsonl(tmp_path / "b.jsonl", *rows, {"text": "c", "labels": ["x", "z"]}))
    with pytest.raises(DataError, match=r"Received: z in the test data, first in row 3, line 3 of .*b.jsonl"):
        task.truth(other, source="the test data")


def test_rows_that_two_tables_share() -> None:
    one = as_examples([{"text_a": a, "text_b": b, "label": a} for a, b in ("xy", "yx", "zz")])
    other = as_examples([{"text_a": a, "text_b": b, "label": "q"} for a, b in ("xy", "yy", "zz", "zz")])
    assert shared(one, other) == 3, "each row counts, whatever its label"


def test_rows_that_a_table_has_twice(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"text": text, "label": label} for text, label in ("ab", "ac", "ab", "db", "xb")]
    warn_of_repeated(as_examples(rows[2:], source="the table"))
    assert caplog.text == ""
    warn_of_repeated(as_examples(rows, source="the table"))
    assert (
        "2 of the 5 examples of the table have the texts of earlier ones; texts with several answers: 1."
        in caplog.text
    )
    caplog.clear()
    triplets = [{"anchor": "a", "positive": "b", "negative": other} for other in "xyx"]
    warn_of_repeated(as_examples(triplets))
    assert "1 of the 3 examples" in caplog.text, "one pair may stand beside several others"


def test_the_files_of_public_sets(data_folder: Path) -> None:
    tasks = data_folder / "tasks"
    found = {
        name: read_examples(tasks / f"{name}.jsonl.gz")
        for name in ("sst2.dev", "stsb.dev", "qnli.dev", "piqa.dev", "cosmosqa.dev", "commonsenseqa.dev")
    }
    assert {name: (examples.task, len(examples)) for name, examples in found.items()} == {
        "sst2.dev": ("sequence-classification", 872),
        "stsb.dev": ("regression", 1500),
        "qnli.dev": ("sequence-classification", 5463),
        "piqa.dev": ("multiple-choice", 1838),
        "cosmosqa.dev": ("multiple-choice", 2985),
        "commonsenseqa.dev": ("multiple-choice", 1221),
    }
    assert set(found["cosmosqa.dev"].columns) == {"context", "question", "choices", "answer"}
