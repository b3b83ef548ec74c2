"""Tables by label and by kind of entity, by hand and against seqeval; mistakes in their order."""

import numpy as np
import pytest

from distilbert.core.data.token_rows import TokenRows
from distilbert.core.tasks.classes import class_table, confusion, entity_table
from distilbert.core.tasks.decisions import decisions
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.mistakes import LISTED, SHOWN, mistakes
from distilbert.core.tasks.multiple_choice import MultipleChoice
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sequence_classification import SequenceClassification

TRUTH = [["B-a", "I-a", "O", "B-b"], ["B-a", "O"], ["B-b", "I-b", "B-b"]]
TOLD = [["B-a", "I-a", "B-b", "O"], ["B-a", "I-a"], ["B-b", "I-b", "B-a"]]


def rows_of(count: int) -> TokenRows:
    return TokenRows([np.zeros(3, np.int32)] * count, np.zeros(count, np.int64))


def test_a_table_by_hand() -> None:
    table = class_table(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ["a", "b", "c"])
    assert table["a"] == {
        "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "rows": 3,
    }  # fmt: skip
    assert table["b"]["precision"] == 0.5
    assert table["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 0}
    found = confusion(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ["a", "b", "c"])
    assert found["counts"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_a_table_of_several_labels() -> None:
    truth, told = np.array([[1, 0], [1, 1], [0, 0]]), np.array([[1, 1], [0, 1], [0, 0]])
    table = class_table(truth, told, ["a", "b"])
    assert (table["a"]["precision"], table["a"]["recall"], table["a"]["rows"]) == (1.0, 0.5, 2)
    assert (table["b"]["precision"], table["b"]["recall"], table["b"]["rows"]) == (0.5, 1.0, 1)


def test_entities_by_hand() -> None:
    """Of a: two true, three told, one of them right. Of b: three true, two told, one of them right."""
    table = entity_table(TRUTH, TOLD)
    assert table["a"] == {
        "precision": pytest.approx(1 / 3), "recall": 0.5, "f1": pytest.approx(2 / 5), "rows": 2,
    }  # fmt: skip
    assert table["b"] == {
        "precision": 0.5, "recall": pytest.approx(1 / 3), "f1": pytest.approx(2 / 5), "rows": 3,
    }  # fmt: skip


def test_entities_are_seqevals() -> None:
    seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    report = seqeval.classification_report(TRUTH, TOLD, output_dict=True, zero_division=0)
    for kind, own in entity_table(TRUTH, TOLD).items():
        assert own["f1"] == pytest.approx(report[kind]["f1-score"])
        assert own["recall"] == pytest.approx(report[kind]["recall"])
        assert own["rows"] == report[kind]["support"]


def test_the_surest_mistakes_come_first_and_no_others() -> None:
    count = 3 * LISTED
    texts = [f"{i} " + "x" * 400 for i in range(count)]
    examples = Examples(
        "sequence-classification", {"text": texts, "label": ["a"] * count}, "t.csv", range(2, count + 2)
    )
    task = SequenceClassification(("a", "b"))
    logits = [np.array([0.0, (i % 7 - 3) / 2]) for i in range(count)]
    rows = rows_of(count)
    found = mistakes(task, logits, examples, rows, decisions(task, logits, examples, rows))
    assert len(found) == LISTED
    assert found[0]["at"] == "line 8 of t.csv"
    assert found[0]["confidence"] == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert all(one["told"] == "b" and one["true"] == "a" for one in found)
    sure = [one["confidence"] for one in found]
    assert sure == sorted(sure, reverse=True)
    assert len(found[0]["text"]) == SHOWN
    right = Examples(examples.task, {"text": texts, "label": ["a"] * count})
    none = [np.array([1.0, 0.0])] * count
    assert mistakes(task, none, right, rows, decisions(task, none, right, rows)) == []


def test_mistakes_of_options_and_of_numbers() -> None:
    choices = Examples(
        "multiple-choice",
        {"question": ["q", "r"], "choices": [["no", "yes"], ["one", "two", "three"]], "answer": [1, 2]},
    )
    logits = [np.array([0.0, 3.0]), np.array([1.0, 0.0, 0.0])]
    rows = rows_of(2)
    decided = decisions(MultipleChoice(), logits, choices, rows)
    (only,) = mistakes(MultipleChoice(), logits, choices, rows, decided)
    assert (only["text"], only["true"], only["told"], only["at"]) == (
        "r",
        "three",
        "one",
        "row 2 of the examples",
    )
    assert only["confidence"] == pytest.approx(np.e / (np.e + 2))
    numbers = Examples("regression", {"text": ["a", "b", "c"], "score": [1.0, 2.0, 3.0]})
    logits = [np.array([1.5]), np.array([2.0]), np.array([0.5])]
    found = mistakes(Regression(), logits, numbers, rows, decisions(Regression(), logits, numbers, rows))
    assert [(one["text"], one["off"]) for one in found] == [("c", -2.5), ("a", 0.5)]
