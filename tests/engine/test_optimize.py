"""The fastest way that passes is kept beside the model, and used until anything that it rests on changes."""

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import sentences, write_teacher
from task_folders import ROWS, rows_of, write_task_folder

import distilbert
from distilbert.cli.main import main
from distilbert.core.data.token_rows import TokenRows
from distilbert.core.files import RUNTIMES_FOLDER
from distilbert.core.machine import kind_of_processor
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.hidden_words import HiddenWords
from distilbert.core.tasks.reading import as_examples
from distilbert.engine import artefacts, candidates, racing
from distilbert.engine import optimize as job
from distilbert.engine.artefacts import RECORD_FILE, find
from distilbert.engine.model import Model
from distilbert.engine.optimize import optimize
from distilbert.errors import ConfigError, DataError, OutputError

QUICK: dict[str, Any] = {"seconds": 0.0, "streams": 1, "threads": 1}
LOOSE: dict[str, Any] = {"agreement": 0.0, "metric_loss": 100.0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_task_folder(tmp_path / "classes", "sequence-classification")


@pytest.fixture
def integers_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers are measured to be the fastest."""

    def rates(runtimes: Any, *given: Any, **how: Any) -> dict[str, float]:
        return {name: 1000.0 if "int8" in name else 10.0 for name in runtimes}

    monkeypatch.setattr(job, "rates", rates)


def data(name: str = "sequence-classification", count: int = 30) -> Any:
    return rows_of(name, count, seed=3)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def kept(folder: Path) -> Path:
    return folder / RUNTIMES_FOLDER / kind_of_processor()


def model_of(folder: Path) -> Model:
    return Model.of(TaskFolder.open(folder))


@pytest.mark.parametrize("name", ROWS)
def test_what_is_kept_is_what_auto_opens(name: str, tmp_path: Path, integers_win: None) -> None:
    folder = write_task_folder(tmp_path / "model", name, bert=name == "pairs")
    rows = data(name)
    given = [(row["text_a"], row["text_b"]) if "text_a" in row else row for row in rows[:5]]
    with distilbert.load(folder, runtime="onnx") as engine:
        assert (engine.runtime, engine.precision) == ("onnx", "fp32")
        exact = [answer.as_dict() for answer in engine(given)]
    made = optimize(folder, rows, runtimes=["onnx"], **LOOSE, **QUICK)
    assert [(t.runtime, t.precision, t.chosen) for t in made.trials if not t.untried] == [
        ("onnx", "fp32", False), ("onnx", "int8", True),
    ]  # fmt: skip
    assert made.folder == kept(folder)
    assert (made.rows, made.calibrated_by) == (20, 10)
    with distilbert.load(folder) as engine:
        assert (engine.runtime, engine.precision) == ("onnx", "int8")
        coarse = [answer.as_dict() for answer in engine(given)]
    assert coarse != exact
    with distilbert.load(folder, runtime="onnx") as engine:
        assert [answer.as_dict() for answer in engine(given)] == exact
    record = json.loads((kept(folder) / RECORD_FILE).read_text())
    assert record["chosen"]["precision"] == "int8"
    assert record["machine"]["versions"]["onnxruntime"]


def test_pipelines_and_predict_use_it_and_say_so(
    folder: Path, tmp_path: Path, integers_win: None, capsys: pytest.CaptureFixture
) -> None:
    optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    with distilbert.pipeline("text-classification", folder) as pipeline:
        assert (pipeline.runtime, pipeline.precision) == ("onnx", "int8")
    (tmp_path / "texts.txt").write_text("a song\na ball\n")
    out = str(tmp_path / "answers.jsonl")
    given = ["predict", "--model", str(folder), "--file", str(tmp_path / "texts.txt"), "--out", out]
    assert main([*given, "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runtime"], told["precision"]) == ("onnx", "int8")
    # Another model of the same folder is computed in fp32: nothing was verified of it.
    with distilbert.pipeline("feature-extraction", folder) as pipeline:
        assert pipeline.precision == "fp32"


def test_a_gate_that_nothing_passes_leaves_fp32(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deliberately broken quantisation is refused, with every layer."""
    real = candidates.Integers

    class Broken(real):  # type: ignore[misc,valid-type]  # the class is a variable's value
        def _weight(self, kernel: Any, name: str) -> Any:
            return super()._weight(np.sign(kernel), name)

        def product(self, x: str, weights: Any, name: str) -> str:
            part, self.nodes.part = self.nodes.part, "layer0"  # whatever is to be kept in fp32
            made = (
                self._product(x, weights.weight.T, name)
                if part != "head"
                else super().product(x, weights, name)
            )
            self.nodes.part = part
            return made

    monkeypatch.setattr(candidates, "Integers", Broken)
    made = optimize(folder, data(), runtimes=["onnx"], **QUICK)
    tried = [trial for trial in made.trials if trial.precision == "int8" and not trial.untried]
    assert [len(trial.exact) for trial in tried] == [0, 1, 2]
    assert not any(trial.passed or trial.chosen or trial.tokens_per_second for trial in tried)
    assert (made.chosen.runtime, made.chosen.precision) == ("onnx", "fp32")
    with distilbert.load(folder) as engine:
        assert engine.precision == "fp32"


# What it rests on.


def change_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"gelu"', '"relu"'))


def add_weights(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "pytorch_model.bin")


def change_graph(folder: Path) -> None:
    path = kept(folder) / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_record(folder: Path) -> None:
    (kept(folder) / RECORD_FILE).write_text('{"chosen": 3}')


def verified_elsewhere(folder: Path) -> None:
    path = kept(folder) / RECORD_FILE
    record = json.loads(path.read_text())
    record["sealed"]["versions"] = {"onnxruntime": "1.0.0"}
    path.write_text(json.dumps(record))


def not_installed(folder: Path) -> None:
    path = kept(folder) / RECORD_FILE
    record = json.loads(path.read_text())
    record["sealed"]["versions"] = {"no-such-runtime": "1.0.0"}
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (change_weights, "the model has changed"),
        (change_config, "the model has changed"),
        (add_weights, "the model has changed"),
        (change_graph, "its files have changed"),
        (damage_record, "damaged"),
        (verified_elsewhere, "verified with onnxruntime 1.0.0"),
        (not_installed, "and none is installed"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_has_changed_is_not_opened(
    change: Any, why: str, folder: Path, integers_win: None, caplog: pytest.LogCaptureFixture
) -> None:
    optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    model = model_of(folder)
    assert find(model) is not None
    change(folder)
    with caplog.at_level(logging.WARNING):
        assert find(model) is None
    assert why in caplog.text
    assert "distilbert optimize" in caplog.text


def test_a_copy_is_as_good(folder: Path, tmp_path: Path, integers_win: None) -> None:
    """Other times and another place, and the same content."""
    optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    shutil.copytree(folder, tmp_path / "copy")
    found = find(model_of(tmp_path / "copy"))
    assert found is not None
    assert found.folder == kept(tmp_path / "copy")


def test_another_processor_opens_none(
    folder: Path, integers_win: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    monkeypatch.setattr(artefacts, "kind_of_processor", lambda: "x86_64-avx2")
    assert find(model_of(folder)) is None


def test_a_model_that_is_replaced_takes_nothing_along(folder: Path, integers_win: None) -> None:
    optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    distilbert.convert(folder, to="safetensors", out=folder.with_name("other"))
    distilbert.convert(folder.with_name("other"), to="safetensors", out=folder, force=True)
    assert not (folder / RUNTIMES_FOLDER).exists()


def test_a_folder_that_cannot_be_written_has_its_place_in_the_cache(
    folder: Path, own_cache: Path, integers_win: None
) -> None:
    (folder / RUNTIMES_FOLDER).write_text("in the way")
    before = files(folder)
    made = optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    assert made.folder.is_relative_to(own_cache)
    assert files(folder) == before
    with distilbert.load(folder) as engine:
        assert engine.precision == "int8"
    change_weights(folder)
    assert find(model_of(folder)) is None


def test_nowhere_to_keep_it_is_an_error(
    folder: Path, own_cache: Path, integers_win: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / RUNTIMES_FOLDER).write_text("in the way")
    own_cache.write_text("too")
    with pytest.raises(OutputError):
        optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)


@pytest.mark.parametrize("again", [False, True])
def test_an_end_before_its_time_leaves_all_as_it_was(
    again: bool, folder: Path, integers_win: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if again:
        optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    before = files(folder)

    def stopped(path: Path, content: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artefacts, "write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        optimize(folder, data(), runtimes=["onnx"], **LOOSE, **QUICK)
    assert files(folder) == before
    assert (folder / RUNTIMES_FOLDER).exists() == again


# OpenVINO's.


def test_openvino_in_whole_numbers(tmp_path: Path, integers_win: None) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("nncf", reason="nncf is not installed")
    listener = logging.NullHandler()
    logging.getLogger("nncf").addHandler(listener)
    folder = write_task_folder(tmp_path / "model", "sequence-classification")
    texts = [row["text"] for row in data()]
    with distilbert.load(folder, runtime="openvino") as engine:
        exact = np.array([list(answer.scores.values()) for answer in engine(texts)])
    made = optimize(folder, data(), runtimes=["openvino"], **LOOSE, **QUICK)
    logging.getLogger("nncf").removeHandler(listener)
    assert listener.level == logging.NOTSET, "it listens to others, too"
    assert made.chosen.runtime == "openvino"
    assert made.chosen.precision.startswith("int8")
    with distilbert.load(folder) as engine:
        assert engine.precision == made.chosen.precision
        coarse = np.array([list(answer.scores.values()) for answer in engine(texts)])
    assert 1e-6 < np.abs(coarse - exact).max() < 0.2
    # The table of words stays in whole numbers when it is compiled.
    words = distilbert.DistilBertConfig.from_pretrained(folder)
    kinds = _constants(kept(folder) / "openvino_model.xml")
    assert kinds[words.vocab_size, words.dim] == "i8"


def _constants(path: Path) -> dict[tuple[int, ...], str]:
    """The type of what lies there in each shape."""
    import openvino

    constants = [op for op in openvino.Core().read_model(path).get_ops() if op.get_type_name() == "Constant"]
    return {tuple(op.get_output_shape(0)): op.get_element_type().get_type_name() for op in constants}


def test_bfloat16_is_for_processors_that_multiply_it_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "has_fast_bfloat16", lambda: False)
    assert "bfloat16" in candidates.without("openvino", "bf16")
    assert "bfloat16" in candidates.without("openvino", "int8+bf16")
    monkeypatch.setattr(candidates, "has_fast_bfloat16", lambda: True)
    assert "bfloat16" not in candidates.without("openvino", "bf16")


# Language models.


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_language_model_is_held_by_its_guesses(
    runtime: str, tmp_path: Path, integers_win: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime.replace("onnx", "onnxruntime"), reason=f"{runtime} is not installed")
    folder = tmp_path / "model"
    write_teacher(folder, layers=2)
    rows = [{"text": text} for text in sentences(40, seed=1)[0]]
    given = {"runtimes": [runtime], **QUICK}
    made = optimize(folder, rows, **{**LOOSE, **given})
    assert made.chosen.precision.startswith("int8")
    assert made.counted == "hidden words with the same guess"
    assert made.chosen.verdict.metric is None
    masked = "the [MASK] of the day"
    with (
        distilbert.pipeline("fill-mask", folder) as coarse,
        distilbert.pipeline("fill-mask", folder, runtime=runtime) as exact,
    ):
        assert (coarse.precision, exact.precision) == (made.chosen.precision, "fp32")
        found, true = (
            {guess["token"]: guess["score"] for guess in pipe(masked, top_k=1000)} for pipe in (coarse, exact)
        )
    assert found.keys() == true.keys()
    assert 0 < max(abs(found[token] - true[token]) for token in true) < 0.05
    # A deliberately broken one guesses otherwise, and is refused.
    if runtime == "onnx":
        weight = candidates.Integers._weight
        monkeypatch.setattr(
            candidates.Integers, "_weight", lambda self, kernel, name: weight(self, np.sign(kernel), name)
        )
        assert optimize(folder, rows, **given).chosen.precision == "fp32"


def test_hidden_words_are_a_text_s_own() -> None:
    task, ids = HiddenWords(4), [np.array([2, *words, 3], np.int32) for words in ((7, 8, 9), (9,), ())]

    class Told:
        def rows(self, texts: Any, *, max_length: int) -> TokenRows:
            return TokenRows([own[:max_length] for own in ids], np.zeros(3, np.int64))

    examples = Examples("sequence-classification", {"text": ["", "", ""]})
    rows = task.encode(Told(), examples, max_length=9)  # type: ignore[arg-type]  # tells what it is told
    again = task.encode(Told(), examples, max_length=9)  # type: ignore[arg-type]  # likewise
    for own, other, whole in zip(rows.input_ids, again.input_ids, ids, strict=True):
        assert own.tolist() == other.tolist()
        (place,) = task.hidden(own)
        assert 0 < place < max(2, len(whole) - 1)
        assert np.delete(own, place).tolist() == np.delete(whole, place).tolist()
    guesses = task.answers([np.log([[0.1, 0.7, 0.2]])], examples)
    assert (guesses[0].index, guesses[0].score) == (1, pytest.approx(0.7))


# What is said and refused.


def test_the_command_says_what_it_tried(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = tmp_path / "dev.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in data()))
    given = ["optimize", str(folder), "--data", str(table), "--runtimes", "onnx", "--seconds", "0", "--quiet"]
    assert main([*given, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tried"] == ["onnx fp32", "onnx int8"]
    assert not (folder / RUNTIMES_FOLDER).exists()
    assert main([*given, "--agreement", "0", "--metric-loss", "100", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {trial["precision"] for trial in told["trials"] if trial["runtime"] == "onnx"} == {"fp32", "int8"}
    assert told["chosen"]["chosen"] is True
    assert main(given) == 0
    shown = capsys.readouterr().out
    assert "agreement: texts with the same label" in shown
    assert "kept in" in shown
    assert main([*given, "--agreement", "2"]) == 2


def test_what_cannot_be_tried_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="one or more of onnx, openvino"):
        optimize(folder, data(), runtimes=["torch"])
    with pytest.raises(DataError, match="at least three"):
        optimize(folder, data(count=2))
    with pytest.raises(ConfigError, match="agreement"):
        optimize(folder, data(), agreement=1.5)
    with pytest.raises(DataError, match="must be of the task"):
        optimize(folder, as_examples(data("regression"), task="regression"))


def test_measuring_takes_turns(folder: Path) -> None:
    """Each runtime is asked for the same rows, as often as the others."""
    asked: list[str] = []

    class Counting:
        name, precision, streams = "counting", "fp32", 1

        def __init__(self, own: str) -> None:
            self.own = own

        def run(self, feed: Any) -> Any:
            asked.append(self.own)
            return [np.zeros((len(feed["input_ids"]), 2), np.float32)]

    model = model_of(folder)
    from distilbert.engine.waiting import Row

    rows = [Row(np.arange(2, 2 + size, dtype=np.int32)) for size in (3, 9, 20)]
    found = racing.rates(
        {"one": Counting("one"), "other": Counting("other")}, model, rows, pad_token_id=0, seconds=0.0, seed=0
    )
    assert set(found) == {"one", "other"}
    assert asked.count("one") == asked.count("other")
    changes = sum(a != b for a, b in pairwise(asked))
    assert changes == 2 * (racing.TURNS + 1) - 1
