"""What is held out where nothing was given: of each label its share, by a seed, and nothing twice."""

import logging
from collections import Counter
from typing import Any

import pytest

from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.splitting import split
from distilbert.errors import DataError


def labelled(counts: dict[str, int]) -> Examples:
    labels = [name for name, count in counts.items() for _ in range(count)]
    columns = {"text": [f"text {i}" for i in range(len(labels))], "label": labels}
    return Examples("sequence-classification", columns, "train.csv", list(range(2, len(labels) + 2)))


def parted(examples: Examples, **how: Any) -> tuple[Examples, Examples]:
    learnt, judged = split(examples, **{"share": 0.1, "seed": 0, **how})
    assert judged is not None
    rows = sorted([*learnt.lines, *judged.lines])
    assert rows == sorted(examples.lines), "each example is on one side"
    return learnt, judged


@pytest.mark.parametrize("seed", range(5))
def test_each_label_keeps_its_share(seed: int) -> None:
    examples = labelled({"often": 800, "seldom": 150, "rarely": 50})
    _, judged = parted(examples, seed=seed)
    assert Counter(judged.columns["label"]) == {"often": 80, "seldom": 15, "rarely": 5}
    # By chance alone the rare label would have 5 of 100 in about one split out of six.


def test_many_small_labels_have_their_share_together() -> None:
    _, judged = parted(labelled({f"label {i:03d}": 3 for i in range(100)}))
    assert 25 <= len(judged) <= 35
    assert max(Counter(judged.columns["label"]).values()) == 1


def test_the_seed_decides() -> None:
    examples = labelled({"a": 60, "b": 60})
    assert split(examples, share=0.2, seed=1) == split(examples, share=0.2, seed=1)
    assert split(examples, share=0.2, seed=1) != split(examples, share=0.2, seed=2)


def test_the_same_text_stays_on_one_side() -> None:
    examples = labelled({"a": 100, "b": 100})
    examples.columns["text"][:] = [f"text {i % 40}" for i in range(200)]
    learnt, judged = parted(examples, share=0.2)
    assert not set(learnt.columns["text"]) & set(judged.columns["text"])


def test_questions_about_a_context_stay_on_one_side() -> None:
    columns = {
        "question": [f"question {i}" for i in range(90)],
        "context": [f"context {i // 9}" for i in range(90)],
        "answers": [["x"]] * 90,
    }
    learnt, judged = parted(Examples("question-answering", columns, "q.json", list(range(90))), share=0.3)
    assert len(judged) == 27
    assert not set(learnt.columns["context"]) & set(judged.columns["context"])


def test_fifths_of_a_scale_and_rarest_labels_keep_their_share() -> None:
    scores = [float(i) for i in range(100)]
    columns: dict[str, list[Any]] = {"text": [str(i) for i in range(100)], "score": scores}
    _, judged = parted(Examples("regression", columns, "s.csv", list(range(100))))
    assert sorted(int(score // 20) for score in judged.columns["score"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    sets = [["all", "rare"] if i % 10 == 0 else ["all"] for i in range(200)]
    columns = {"text": [str(i) for i in range(200)], "labels": sets}
    _, judged = parted(Examples("multi-label-classification", columns, "m.jsonl", list(range(200))))
    assert sum("rare" in labels for labels in judged.columns["labels"]) == 2


def test_a_label_with_one_example_is_learnt(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        learnt, _ = parted(labelled({"a": 60, "b": 60, "once": 1}))
    assert "once" in learnt.columns["label"]
    assert "once (line 122 of train.csv)" in caplog.text


def test_few_examples_are_all_learnt_unless_asked() -> None:
    examples = labelled({"a": 90, "b": 90})
    assert split(examples, share=None, seed=0) == (examples, None)
    assert split(examples, share=0.0, seed=0) == (examples, None)
    learnt, judged = split(labelled({"a": 100, "b": 100}), share=None, seed=0)
    assert judged is not None
    assert (len(learnt), len(judged)) == (180, 20)
    with pytest.raises(DataError, match=r"a share of 0\.1 of 4 examples, train\.csv"):
        split(labelled({"a": 2, "b": 2}), share=0.1, seed=0)
