"""A teacher that knows nothing of a task, or calls its labels by each other's names, is found out."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher
from task_files import asked, choices, pairs, scored, several, tagged

from distilbert import Finetuner, Finetuning
from distilbert.core.data.token_rows import is_known
from distilbert.core.tasks.reading import as_examples, task_named
from distilbert.core.training.label_findings import of_teacher

CPU = torch.device("cpu")
RECIPE = Finetuning(steps=1, batch_size=8, max_length=32, doc_stride=8, precision="fp32", eval_share=0)


def texts(count: int, *, seed: int = 0) -> list[dict[str, str]]:
    found, labels = sentences(count, seed=seed)
    return [{"text": text, "label": label} for text, label in zip(found, labels, strict=True)]


#: Rows of a task, what is said of a teacher of it that knows nothing, and how many labels it has.
KINDS: dict[str, tuple[Any, str, int]] = {
    "texts": (texts, "labels go with the true ones no more than chance .*, over 60 texts", 3),
    "pairs": (pairs, "labels go with the true ones no more than chance .*, over 60 texts", 3),
    "several": (several, "labels go with the true ones no more than chance .*, over 60 texts", 3),
    "scored": (scored, "numbers go with the true ones no more than chance .*, over 60 texts", 0),
    "choices": (choices, "chooses the right option of ..% of 60 questions, .* chance may have it", 0),
    "tagged": (tagged, r"tags go with the true ones no more than chance .*, over \d\d\d words", 7),
    "asked": (asked, r"answers share ..?% of .* in \d\d texts.* chance may have it", 0),
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("findings") / "bert", layers=1)


def items_of(bert: Path, rows: list[dict[str, Any]]) -> tuple[Any, Any, list[np.ndarray]]:
    """The task that rows set, its items, and what each is to be told."""
    examples = as_examples(rows)
    task = task_named(examples.task).of(examples)
    pupil = Finetuner(bert, recipe=RECIPE, device="cpu")._pupil(task, CPU)[0]
    made = pupil.rows(examples)
    return task, made, task.targets(examples, made, source="the rows")


def answers(task: Any, made: Any, targets: list[np.ndarray], *, knows: float) -> list[np.ndarray]:
    """A teacher's logits: noise, and what is true."""
    rng = np.random.default_rng(1)
    found = []
    for i, target in enumerate(targets):
        if not np.issubdtype(target.dtype, np.integer):
            found.append((knows * target + rng.normal(size=target.shape)).astype(np.float32))
            continue
        size = {"multiple-choice": 0, "question-answering": len(made.input_ids[i])}.get(task.name)
        if size == 0:
            size = made.starts[i + 1] - made.starts[i]
        logits = rng.normal(size=(*target.shape, size or len(task.labels))).astype(np.float32)
        known = is_known(target)
        logits[known] += knows * np.eye(logits.shape[-1], dtype=np.float32)[target[known]]
        logits[~known] = np.nan
        found.append(logits)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_a_teacher_that_knows_nothing(name: str, bert: Path) -> None:
    rows, said, _ = KINDS[name]
    task, made, targets = items_of(bert, rows(60, seed=1))
    (finding,) = of_teacher(task, made, targets, answers(task, made, targets, knows=0.0))
    assert finding.what.startswith("The teacher")
    assert "distilbert finetune" in finding.remedy
    assert re.search(said, finding.what), finding.what
    assert not list(of_teacher(task, made, targets, answers(task, made, targets, knows=4.0)))
    silent = [np.full_like(own, np.nan) for own in answers(task, made, targets, knows=0.0)]
    assert not list(of_teacher(task, made, targets, silent)), "who says nothing is not doubted"


@pytest.mark.parametrize("name", [name for name, (_, _, labels) in KINDS.items() if labels])
def test_labels_in_another_order(name: str, bert: Path) -> None:
    """Two of them are called by each other's names; among tags that is none of the commonest."""
    task, made, targets = items_of(bert, KINDS[name][0](200, seed=1))
    order = [1, 0, *range(2, len(task.labels))] if name != "tagged" else [0, 3, 4, 1, 2, 5, 6]
    taught = [own[..., order] for own in answers(task, made, targets, knows=9.0)]
    (finding,) = of_teacher(task, made, targets, taught)
    one, other = [task.labels[i] for i in np.flatnonzero(np.array(order) != np.arange(len(order)))[:2]]
    if name == "tagged":
        assert task.labels[0] == "O"
        other = task.labels[3]
    assert f"says {one} for {other}, " in finding.what
    assert "Correct id2label" in finding.remedy


def test_a_run_says_it_at_its_start(bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A teacher whose answers were mixed up; and the doctor says the same."""
    for name, column in (("scored", "score"), ("tagged", "tags")):
        rows = KINDS[name][0](60, seed=1)
        Finetuner(bert, recipe=RECIPE, device="cpu").run(rows, out=tmp_path / name)
        given = [row[column] for row in rows]
        for row, other in zip(rows, [*given[1:], given[0]], strict=True):
            row[column] = (other * 9)[: len(row["tokens"])] if name == "tagged" else other
        finetuner = Finetuner(bert, teacher=tmp_path / name, recipe=RECIPE, device="cpu")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            finetuner.run(rows, out=tmp_path / f"{name}-pupil")
        (finding,) = [f for f in finetuner.examine(rows) if "no more than chance" in f.what]
        assert str(finding) in caplog.text
