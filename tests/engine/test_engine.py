"""An engine answers what the predictor answers, on every runtime, however texts come."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import sentences
from task_folders import ROWS, rows_of, write_task_folder

import distilbert
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.engine.engine import Engine, Refused, load
from distilbert.errors import CheckpointError, ConfigError, DataError, MissingExtraError
from distilbert.torch.predictor import Predictor

RUNTIMES = ("onnx", "openvino", "torch")
ATOL = 1e-5


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of each task, made when it is asked for."""
    made: dict[str, Path] = {}
    place = tmp_path_factory.mktemp("folders")

    def folder(name: str) -> Path:
        if name not in made:
            kinds = {"bert": True} if name == "pairs" else {}
            made[name] = write_task_folder(place / name, name, **kinds)
        return made[name]

    return folder


def same(ours: Any, theirs: Any, *, atol: float = ATOL) -> None:
    """Two answers that differ in no word, and in numbers by rounding alone."""
    if isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=atol)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for name in theirs:
            same(ours[name], theirs[name], atol=atol)
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other, atol=atol)
    else:
        assert ours == theirs


def as_dicts(answers: Any) -> list[dict[str, Any]]:
    return [answer.as_dict() for answer in answers]


def asked(name: str, count: int = 12) -> Any:
    rows = rows_of(name, count, seed=3)
    return [row["text"] for row in rows] if name == "sequence-classification" else rows


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ROWS)
def test_an_engine_answers_as_the_predictor_does(name: str, runtime: str, folders: Any) -> None:
    rows = asked(name)
    table = [{"text": row} for row in rows] if isinstance(rows[0], str) else rows
    theirs = as_dicts(Predictor.open(folders(name), device="cpu").answers(table))
    with load(folders(name), runtime=runtime, on_long="truncate") as engine:
        assert engine.runtime == runtime
        same(as_dicts(engine(rows)), theirs)
        same(engine(rows[0]).as_dict(), theirs[0])
    # Another model's answers are told apart.
    if runtime == "onnx" and name != "question-answering":
        with pytest.raises(AssertionError):
            same(as_dicts(Predictor.open(folders(name), device="cpu").answers(table[::-1])), theirs)


def test_order_company_and_budget_change_nothing(folders: Any) -> None:
    texts = asked("sequence-classification", 60)
    with load(folders("sequence-classification"), streams=1) as engine:
        alone = [engine(text).as_dict() for text in texts]
        same(as_dicts(engine(texts)), alone)
        same(as_dicts(engine(texts[::-1]))[::-1], alone)
    with load(folders("sequence-classification"), streams=3, budget=40) as engine:
        same(as_dicts(engine(iter(texts))), alone)


def test_a_calibration_is_used(tmp_path: Path) -> None:
    calibration = {"temperature": 3.0}
    folder = write_task_folder(tmp_path / "calibrated", "sequence-classification", calibration=calibration)
    texts = asked("sequence-classification")
    theirs = as_dicts(Predictor.open(folder).answers([{"text": text} for text in texts]))
    with load(folder) as engine:
        same(as_dicts(engine(texts)), theirs)
        engine.opened.calibration.__dict__["temperature"] = 1.0
        with pytest.raises(AssertionError):
            same(as_dicts(engine(texts)), theirs)


def test_answers_are_withheld(folders: Any) -> None:
    with load(folders("sequence-classification")) as engine:
        assert {answer.label for answer in engine(asked("sequence-classification"), abstain_below=1.0)} == {
            "unsure"
        }
    with load(folders("regression")) as engine, pytest.raises(ConfigError, match="withheld"):
        engine(rows_of("regression"), abstain_below=0.5)


# Long texts.


def test_long_texts_are_read_whole(folders: Any) -> None:
    """Windows share a quarter; probabilities are averaged, each counting for its tokens."""
    words = " ".join(sentences(8, seed=5, words=10)[0]).split()[:50]
    with load(folders("sequence-classification")) as engine:
        found = engine(" ".join(words))
        assert engine.tally.windowed == 1
        assert engine.tally.cut == 0
        room = 22  # of 24, without special tokens
        starts = [0, 17, 34]
        parts = [words[start : start + room] for start in starts]
        assert parts[-1][-1] == words[-1]
        each = engine([" ".join(part) for part in parts])
        weights = np.array([len(part) for part in parts])
        for label, score in found.scores.items():
            by_hand = np.average([answer.scores[label] for answer in each], weights=weights)
            assert score == pytest.approx(by_hand, abs=1e-6)
        assert found.scores != pytest.approx(each[0].scores, abs=1e-3)


@pytest.mark.parametrize("name", ["multi-label-classification", "regression", "sentence-embedding", "pairs"])
def test_other_answers_are_averaged_too(name: str, folders: Any) -> None:
    one, other = (" ".join(sentences(6, seed=seed, words=10)[0]) for seed in (1, 2))
    single = {"text": one} if name != "sentence-embedding" else one
    row = single if name in ("multi-label-classification", "sentence-embedding") else (one, other)
    with load(folders(name)) as engine, load(folders(name), on_long="truncate") as cutting:
        windowed, cut = engine(row).as_dict(), cutting(row).as_dict()
        assert (engine.tally.windowed, cutting.tally.cut) == (1, 1)
        with pytest.raises(AssertionError):
            same(windowed, cut, atol=1e-3)


def test_what_fits_is_read_in_one_piece(folders: Any) -> None:
    """Windows of equal texts say what one of them says."""
    with load(folders("sentence-embedding")) as engine:
        short = engine("bread soup")
        assert engine.tally.windowed == 0
        assert len(short.vector) == 16


def test_a_long_text_may_be_an_error(folders: Any) -> None:
    long = "bread " * 30
    for name, row in (
        ("sequence-classification", long),
        ("question-answering", {"question": "is it", "context": long}),
        ("token-classification", long),
    ):
        refused = pytest.raises(DataError, match=r"at most 24 tokens .*1 that have more, the first in row 1")
        with load(folders(name), on_long="error") as engine, refused:
            engine([row])
    with pytest.raises(ConfigError, match="window, truncate or error"):
        load(folders("regression"), on_long="forget")


def test_contexts_and_words_keep_their_characters(folders: Any) -> None:
    context = " ".join(sentences(20, seed=9, words=10)[0])
    with load(folders("question-answering")) as engine:
        answer = engine({"question": "is it", "context": context})
        assert isinstance(engine.task, QuestionAnswering)
        assert context[answer.start : answer.end] == answer.answer
        assert engine.tally.windowed == 1
    with load(folders("token-classification")) as engine:
        answer = engine(context)
        assert len(answer.tags) == len(context.split())
        assert all(context[e.start : e.end] == e.text for e in answer.entities)


# What comes in.


def test_odd_texts_have_answers(tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "longer", "sequence-classification", longest=256)
    texts = ["", " ", "😀😀😀", "\x00\x01\x1b", "bread " * 100_000, "é" * 300, "\u200b"]
    with load(folder) as engine:
        for text, answer in zip(texts, engine(texts), strict=True):
            assert sum(answer.scores.values()) == pytest.approx(1), text[:20]
        assert engine([]) == []
        assert list(engine(iter([]))) == []


def test_what_cannot_be_read_is_refused_in_its_place(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distilbert.engine.ahead.LOT", 32)
    texts = asked("sequence-classification", 200)
    texts[5] = "\ud800"
    texts[170] = None
    with load(folders("sequence-classification")) as engine:
        found = list(engine.stream(texts, errors="return"))
        assert [i for i, answer in enumerate(found) if isinstance(answer, Refused)] == [5, 170]
        assert len(found) == 200
        assert "error" in found[5].as_dict()
        good = [text for i, text in enumerate(texts) if i not in (5, 170)]
        same(as_dicts(a for a in found if not isinstance(a, Refused)), as_dicts(engine(good)))
        with pytest.raises(DataError):
            list(engine.stream(texts))
        with pytest.raises(DataError):
            engine(["fine", 3])
        with pytest.raises(ConfigError, match="errors='ignore'"):
            engine.stream(texts, errors="ignore")


def test_an_iterator_is_answered_as_it_comes(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read ahead than a bounded number of texts, and none is kept."""
    monkeypatch.setattr("distilbert.engine.ahead.LOT", 16)
    read = 0

    def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield "bread and soup"

    with load(folders("sequence-classification")) as engine:
        answers = engine(endless())
        for number in range(1, 501):
            next(answers)
            assert read <= number + 9 * 16
        answers.close()
        assert engine("bread").label  # and it goes on with others


# Processes and threads.


def test_threads_share_an_engine(folders: Any) -> None:
    texts = asked("sequence-classification", 40)
    with load(folders("sequence-classification")) as engine:
        true = as_dicts(engine(texts))
        found: dict[int, Any] = {}

        def ask(number: int) -> None:
            found[number] = as_dicts(engine(texts[number:]))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, answers in found.items():
            same(answers, true[number:])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_fork_opens_its_own(runtime: str, folders: Any) -> None:
    """In a fresh interpreter: what else is loaded here may not survive a fork."""
    code = f"""
import os
from distilbert.engine.engine import load
engine = load({str(folders("sequence-classification"))!r}, runtime={runtime!r})
before = engine("bread and soup").scores
child = os.fork()
if child == 0:
    same = all(abs(engine("bread and soup").scores[k] - v) < 1e-6 for k, v in before.items())
    engine.close()
    os._exit(0 if same else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert engine("bread and soup").scores == before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_no_framework_is_in_the_process(runtime: str, folders: Any) -> None:
    code = f"""
import json, sys
import distilbert
engine = distilbert.load({str(folders("sequence-classification"))!r}, runtime={runtime!r})
answer = engine(["bread and soup"])[0]
print(json.dumps([answer.label, sorted({{name.split(".")[0] for name in sys.modules}})]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    label, modules = json.loads(ran.stdout)
    assert label
    heavy = {"torch", "transformers", "onnx", "jax", "tensorflow", "scipy", "pandas", "pyarrow"}
    assert not heavy & set(modules)


# What cannot be.


def test_a_folder_that_answers_nothing_is_refused(tmp_path: Path, folders: Any) -> None:
    from small_files import write_teacher

    with pytest.raises(CheckpointError, match="Only a fine-tuned folder"):
        load(write_teacher(tmp_path / "bert"))
    with pytest.raises(ConfigError, match="auto, or one of onnx, openvino, torch"):
        load(folders("regression"), runtime="tensorrt")
    with pytest.raises(ConfigError, match="streams"):
        load(folders("regression"), streams=0)


def test_a_missing_runtime_is_a_command(monkeypatch: pytest.MonkeyPatch, folders: Any) -> None:
    from distilbert.engine import runtimes

    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'distilbert\[runtime\]'"):
        load(folders("regression"))
    with pytest.raises(MissingExtraError, match=r"pip install 'distilbert\[openvino\]'"):
        load(folders("regression"), runtime="openvino")


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    from distilbert.core.weight_files import Weights, write_arrays

    folder = write_task_folder(tmp_path / "broken", "sequence-classification")
    with Weights(folder) as file:
        arrays = {name: np.array(file[name]) for name in file.shapes}
    next(a for n, a in arrays.items() if n.startswith("classifier"))[...] = np.nan
    write_arrays(folder, arrays)
    with load(folder) as engine, pytest.raises(CheckpointError, match="must be finite"):
        engine("bread")


def test_a_real_model_embeds_as_before(minilm: Path) -> None:
    texts = ["A fine day.", "", "The weather is lovely today, and so is the food."]
    with distilbert.load(minilm) as engine:
        found = np.array([answer.vector for answer in engine(texts)])
    true = distilbert.Embedder.open(minilm, device="cpu").encode(texts)
    assert np.abs(found - true).max() <= ATOL
    assert isinstance(engine, Engine)


def test_the_first_batches_of_two_threads_do_not_wait_for_each_other(folders: Any) -> None:
    """OpenVINO looks up numpy's types at a first batch; two threads that do so at once stop for good."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    code = f"""if True:
        import os, sys, threading
        import numpy as np
        from distilbert.core.tasks.folders import TaskFolder
        from distilbert.engine.model import Model
        from distilbert.engine.runtimes.openvino import OpenVino

        model = Model.of(TaskFolder.open({str(folders("sequence-classification"))!r}))
        runtime = OpenVino.open(model, streams=2, threads=1)
        feed = {{port.any_name: np.ones([1, 4], np.int64) for port in runtime.compiled.inputs}}
        together = threading.Barrier(2)
        sys.setswitchinterval(1e-6)

        def run():
            together.wait()
            runtime.run(feed)

        threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        os._exit(any(thread.is_alive() for thread in threads))
    """
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
