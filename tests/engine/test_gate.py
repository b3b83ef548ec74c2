"""What answers otherwise than fp32 does not pass, whatever the task, and what hurts is found."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from task_folders import ROWS, rows_of, write_task_folder

from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.likeness import likeness
from distilbert.core.tasks.reading import as_examples
from distilbert.engine import integers
from distilbert.engine.candidates import Candidate, Way
from distilbert.engine.gate import Gate, Limits
from distilbert.engine.integers import Integers
from distilbert.engine.model import Model
from distilbert.engine.nodes import EMBEDDINGS
from distilbert.engine.runtimes.onnx import OnnxRuntime
from distilbert.engine.trying import tried

PARTS = (EMBEDDINGS, "layer0", "layer1")
WHOLE = {"streams": 1, "threads": 1}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of each task, made when it is asked for."""
    made: dict[str, TaskFolder] = {}
    place = tmp_path_factory.mktemp("folders")

    def folder(name: str) -> TaskFolder:
        if name not in made:
            made[name] = TaskFolder.open(write_task_folder(place / name, name, bert=name == "pairs"))
        return made[name]

    return folder


def examples_of(name: str, count: int = 40) -> Any:
    return as_examples(
        rows_of(name, count, seed=3), task="sequence-classification" if name == "pairs" else name
    )


def gate_of(folder: TaskFolder, name: str, **limits: float) -> Gate:
    reference = OnnxRuntime.open(Model.of(folder), **WHOLE)
    return Gate(folder, examples_of(name), reference, limits=Limits(**limits))


def in_integers(folder: TaskFolder, **how: Any) -> OnnxRuntime:
    content = Model.of(folder).graph(partial(Integers, **how)).bytes()
    return OnnxRuntime.of_file(content, **WHOLE)


class Broken(Integers):
    """One layer's weights have all but lost their bits."""

    part = "layer1"

    def _weight(self, kernel: Any, name: str) -> Any:
        return super()._weight(np.sign(kernel) if self.nodes.part == self.part else kernel, name)


@pytest.mark.parametrize("name", ROWS)
def test_the_same_passes_and_another_does_not(name: str, opened: Any) -> None:
    folder = opened(name)
    gate = gate_of(folder, name)
    same = gate.verdict(OnnxRuntime.open(Model.of(folder), **WHOLE), "the same")
    assert same.passed, same
    assert same.agreement == pytest.approx(1.0)
    assert same.greatest <= 1e-6
    assert same.loss == pytest.approx(0.0, abs=1e-9)
    assert same.metric == next(iter(folder.task.metrics)) if name != "sentence-embedding" else same.metric
    broken = OnnxRuntime.of_file(Model.of(folder).graph(Broken).bytes(), **WHOLE)
    other = gate.verdict(broken, "another")
    assert not other.passed
    assert other.agreement < 0.99
    assert other.shift > 100 * same.shift


def test_each_limit_is_kept_by_itself(opened: Any) -> None:
    """Fewer labels alike than asked for, or more of the metric lost, is enough."""
    folder = opened("sequence-classification")
    broken = OnnxRuntime.of_file(Model.of(folder).graph(Broken).bytes(), **WHOLE)
    found = gate_of(folder, "sequence-classification").verdict(broken, "broken")
    assert "agreement" in found.failed
    loose = gate_of(folder, "sequence-classification", agreement=0.0, metric_loss=100.0)
    assert loose.verdict(broken, "broken").passed
    assert found.loss is not None
    assert found.agreement is not None
    tight = gate_of(folder, "sequence-classification", agreement=0.0, metric_loss=found.loss - 1e-6)
    assert "accuracy lost" in tight.verdict(broken, "broken").failed
    kept = gate_of(
        folder, "sequence-classification", agreement=found.agreement, metric_loss=found.loss + 1e-6
    )
    assert kept.verdict(broken, "broken").passed


def test_what_is_no_number_fails(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = opened("regression")
    nothing = in_integers(folder)
    monkeypatch.setattr(OnnxRuntime, "run", lambda self, feed: [np.full((len(feed["input_ids"]), 1), np.nan)])
    found = nothing.run({"input_ids": np.zeros((2, 3))})
    assert np.isnan(found[0]).all()
    monkeypatch.undo()
    gate = gate_of(folder, "regression")
    monkeypatch.setattr(OnnxRuntime, "run", lambda self, feed: [np.full((len(feed["input_ids"]), 1), np.nan)])
    assert "no numbers" in gate.verdict(nothing, "nothing").failed


def test_examples_without_answers_judge_the_agreement_alone(opened: Any) -> None:
    folder = opened("sequence-classification")
    rows = [{"text": row["text"]} for row in rows_of("sequence-classification", 30)]
    examples = as_examples(rows, task="sequence-classification", labelled=False)
    gate = Gate(folder, examples, OnnxRuntime.open(Model.of(folder), **WHOLE), limits=Limits())
    found = gate.verdict(in_integers(folder), "integers")
    assert (found.metric, found.value, found.loss) == (None, None, None)
    assert found.agreement is not None


# What agreement counts, by hand.


def test_likeness_of_labels_words_numbers_and_vectors(opened: Any) -> None:
    classes = opened("sequence-classification").task
    examples = examples_of("sequence-classification", 4)
    one = [np.array([2.0, 0, 0]), np.array([0, 2.0, 0]), np.array([0, 0, 2.0]), np.array([2.0, 0, 0])]
    one = [row[: len(classes.labels)] for row in one]
    other = [*one[:3], -one[3]]
    found = likeness(classes, one, other, examples, None)  # type: ignore[arg-type]  # labels need no rows
    assert found.agreement == 0.75
    assert found.shifts.shape == (4 * len(classes.labels),)
    assert found.greatest == pytest.approx(found.shifts[-len(classes.labels) :].max())
    numbers = opened("regression").task
    values = [np.array([value]) for value in (1.0, 2.0, 4.0, 3.0)]
    doubled = [2 * value for value in values]
    found = likeness(numbers, values, doubled, examples_of("regression", 4), None)  # type: ignore[arg-type]  # nor these
    assert found.agreement == pytest.approx(1.0)
    assert found.shift == pytest.approx(2.5)
    vectors = opened("sentence-embedding").task
    pairs = [np.array([[1.0, 0], [0, 1.0]]), np.array([[1.0, 0], [1.0, 0]])]
    turned = [np.array([[1.0, 0], [1.0, 1.0]]), pairs[1]]
    found = likeness(vectors, pairs, turned, examples_of("sentence-embedding", 2), None)  # type: ignore[arg-type]  # nor these
    assert found.agreement == pytest.approx((3 + np.sqrt(0.5)) / 4)
    assert found.greatest == pytest.approx(np.sqrt(0.5))


# What fails in whole numbers.


def way_of(folder: TaskFolder, made: list[tuple[str, ...]]) -> Way:
    def make(exact: Any) -> Candidate:
        made.append(tuple(exact))
        content = Model.of(folder).graph(partial(Broken, exact=exact)).bytes()
        return Candidate(partial(OnnxRuntime.of_file, content, precision="int8"))

    return Way("onnx", "int8", make, PARTS)


def test_the_layer_that_hurts_stays_in_fp32(opened: Any) -> None:
    folder = opened("sequence-classification")
    gate = gate_of(folder, "sequence-classification", agreement=0.9, metric_loss=5)
    made: list[tuple[str, ...]] = []
    found = list(tried(way_of(folder, made), gate, gate, lambda candidate: candidate.open(**WHOLE)))
    assert [one.trial.exact for one in found] == [(), ("layer1",)]
    assert [one.trial.passed for one in found] == [False, True]
    assert made == [(), *((part,) for part in PARTS), ("layer1",)]


def test_what_fails_with_any_layer_fails_as_a_whole(opened: Any) -> None:
    folder = opened("sequence-classification")
    gate = gate_of(folder, "sequence-classification", agreement=1.0, metric_loss=0)
    gate._limits = Limits(agreement=1.1)  # which nothing has
    found = list(tried(way_of(folder, []), gate, gate, lambda candidate: candidate.open(**WHOLE)))
    assert [len(one.trial.exact) for one in found] == [0, 1, 2]
    assert not any(one.trial.passed for one in found)


def test_whole_numbers_are_the_nearest() -> None:
    kernel = np.array([[1.0, 0.0, -3.0], [0.26, 0.0, 1.5]], np.float32)
    whole, scale = integers.whole_numbers(kernel, 127)
    assert whole.tolist() == [[127, 0, -127], [33, 0, 64]]
    assert scale == pytest.approx([1 / 127, 1 / 127, 3 / 127])
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(40, 7)).astype(np.float32)
    for most in (integers.MOST, integers.MOST_WITHOUT_DOT_PRODUCTS):
        whole, scale = integers.whole_numbers(kernel, most)
        assert np.abs(whole).max(axis=0).tolist() == [most] * 7
        assert (np.abs(whole * scale - kernel) <= scale / 2 + 1e-6).all()
