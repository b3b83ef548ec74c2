"""The whole, small: the smallest that meets the target, with a proof that anybody's change makes fail."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import SUBJECTS, sentences, write_table, write_teacher, write_texts
from task_files import KINDS

import distilbert
from distilbert import Compressor, Finetuner, Finetuning, LabelledTexts, verify
from distilbert.cli.main import main
from distilbert.compression import proof as proofs
from distilbert.compression.measuring import Figure
from distilbert.compression.proof import PROOF_FILE, ROWS_FILE
from distilbert.core.tasks import metrics
from distilbert.engine import optimize as optimizing
from distilbert.errors import ConfigError, DataError, OutputError

RECIPE = Finetuning(steps=12, batch_size=16, unlabelled_batch_size=16, max_length=32, learning_rate=2e-3)
QUICK: dict[str, Any] = {
    "layers": [1, 2],
    "dims": [32],
    "runtimes": ["onnx"],
    "seconds": 0.0,
    "recipe": RECIPE,
}
TARGET = "agreement>=0.6, size<=40MB"


@pytest.fixture(scope="module", autouse=True)
def integers_win() -> Iterator[None]:
    """Which way is the fastest is chance among models this small; here it is always that in whole numbers."""

    def rates(runtimes: Any, *given: Any, **how: Any) -> dict[str, float]:
        return {name: 1000.0 if "int8" in name else 10.0 for name in runtimes}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizing, "rates", rates)
        patch.setattr(metrics, "RESAMPLES", 40)  # intervals are another test's
        yield


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT that tells the subjects, and the tables that go with it."""
    root = tmp_path_factory.mktemp("compression")
    write_teacher(root / "bert")
    recipe = Finetuning(steps=60, learning_rate=2e-3, max_length=32)
    Finetuner(root / "bert", recipe=recipe).run(LabelledTexts(*sentences(200)), out=root / "big")
    write_table(root / "train.csv", *sentences(90, seed=1))
    write_table(root / "dev.csv", *sentences(60, seed=2))
    write_texts(root / "more.txt", sentences(60, seed=3)[0])
    return root / "big"


def train_of(teacher: Path) -> Any:
    return distilbert.read_examples(teacher.parent / "train.csv")


def dev_of(teacher: Path) -> Any:
    return distilbert.read_examples(teacher.parent / "dev.csv")


def run_of(teacher: Path, out: Path, target: str = TARGET, **how: Any) -> Any:
    given = {**QUICK, **{name: how.pop(name) for name in list(how) if name in (*QUICK, "base", "progress")}}
    compressor = Compressor(how.pop("given", teacher), target=target, **given)
    return compressor.run(
        how.pop("train", train_of(teacher)), out=out, budget=600.0, evaluate=dev_of(teacher), **how
    )


@pytest.fixture(scope="module")
def made(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("made") / "small"
    return run_of(teacher, out, texts=sentences(60, seed=3)[0])


@pytest.fixture
def small(made: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "small"))


def test_the_folder_meets_its_target_and_says_so(made: Any) -> None:
    assert made.met
    facts = json.loads((made.folder / PROOF_FILE).read_text())
    assert facts["met"]
    assert facts["figures"]["agreement"]["value"] >= 0.6
    assert facts["figures"]["size"]["value"] <= 40
    for name in ("p50", "p99", "texts/s", "memory", "accuracy"):
        figure = facts["figures"][name]
        assert 0 < figure["low"] <= figure["value"] <= figure["high"], name
    # Of the two that were trained the smaller one, as both meet it.
    assert facts["chosen"]["shape"]["layers"] == 1
    assert [len(rung) for rung in facts["rungs"]] == [2, 1]
    lines = [json.loads(line) for line in (made.folder / ROWS_FILE).read_text().splitlines()]
    alike = np.mean([line["teacher"] == line["answer"] for line in lines])
    assert facts["figures"]["agreement"]["value"] == pytest.approx(alike)
    with distilbert.load(made.folder) as engine:
        assert f"{engine.runtime} {engine.precision}" == facts["computed_by"]
        assert [engine(line["text"]).label for line in lines] == [line["answer"] for line in lines]
    assert not made.folder.with_name("small.compressing").exists()


def test_nothing_that_decides_was_learnt_or_chosen_by(made: Any, teacher: Path) -> None:
    lines = [json.loads(line)["text"] for line in (made.folder / ROWS_FILE).read_text().splitlines()]
    assert not set(lines) & {*sentences(90, seed=1)[0], *sentences(60, seed=3)[0]}
    assert made.facts["data"]["choosing"]["rows"] + len(lines) == 60


def test_the_page_has_it_all(made: Any) -> None:
    page = (made.folder / "report.html").read_text()
    for title in (
        "The target",
        "Teacher and student",
        "p99",
        "By class",
        "By length",
        "Where they differ",
        "Cost",
    ):
        assert title in page
    assert all(subject in page for subject in SUBJECTS)


def test_a_head_to_begin_with_answers_better_than_a_drawn_one(teacher: Path, tmp_path: Path) -> None:
    """Without a step of training; and as the linear map that it was fitted as, to rounding."""
    from distilbert.compression.candidates import Beginnings, Shape
    from distilbert.compression.data import Data
    from distilbert.compression.heads import _centred, _fitted, _states, begin_with_head
    from distilbert.compression.hearing import Said
    from distilbert.compression.target import Target

    data = Data.of(train_of(teacher), evaluate=dev_of(teacher), target=Target.parse(TARGET))
    model = distilbert.Predictor.open(teacher)
    said, true = (np.array(model.item_logits(model.rows(part))) for part in (data.train, data.deciding))
    begun, shape = Beginnings(teacher, data.texts(), tmp_path), Shape(2, 32, "whole")
    known = Said(said, np.ones(len(said), np.bool_))
    how: dict[str, Any] = {"max_length": 32, "seed": 0}
    headed = begin_with_head(begun.folder(shape), tmp_path / "headed", data.task, data.train, known, **how)
    found, drawn = (
        np.array((opened := distilbert.Predictor.open(place)).item_logits(opened.rows(data.deciding)))
        for place in (headed, begun.answering(shape, data.task, max_length=32))
    )
    alike = [np.mean(own.argmax(1) == true.argmax(1)) for own in (found, drawn)]
    assert alike[0] > alike[1]
    assert alike[0] > 0.6
    source = begun.folder(shape)
    slope, bias = _fitted(_states(source, data.task, data.train, 32), _centred(said.astype(np.float64)))
    meant = _states(source, data.task, data.deciding, 32) @ slope + bias
    assert np.abs(found - meant).max() < 1e-4


# The proof.


def held(folder: Path) -> dict[str, bool]:
    return {check.what: check.holds for check in verify(folder, seconds=0.0)}


def test_a_proof_holds_where_nothing_has_changed(small: Path) -> None:
    found = held(small)
    # How fast this machine is at the moment is another test's.
    assert all(holds for what, holds in found.items() if what not in ("p50", "p99", "texts/s", "memory"))
    assert {"files", "rows", "answers", "agreement", "accuracy", "p50", "size", "memory"} <= set(found)


def change_weight(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_row(folder: Path) -> None:
    path = folder / ROWS_FILE
    path.write_text(path.read_text().replace(" the ", " a ", 1))


def add_file(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "what"), [(change_weight, "files"), (change_row, "rows"), (add_file, "files")]
)
def test_what_was_changed_fails(change: Any, what: str, small: Path, capsys: pytest.CaptureFixture) -> None:
    change(small)
    found = held(small)
    assert [name for name, holds in found.items() if not holds] == [what]
    assert main(["verify", str(small), "--quiet"]) == 1
    assert f"the proof fails in {what}" in capsys.readouterr().out


def test_an_answer_that_is_off_fails(small: Path) -> None:
    """One that is told otherwise in the rows, with the rows' sum made to fit."""
    import hashlib

    lines = [json.loads(line) for line in (small / ROWS_FILE).read_text().splitlines()]
    lines[3]["answer"] = next(name for name in SUBJECTS if name != lines[3]["answer"])
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (small / ROWS_FILE).write_text(content)
    proof = json.loads((small / PROOF_FILE).read_text())
    proof["rows"]["sha256"] = hashlib.sha256(content.encode()).hexdigest()
    (small / PROOF_FILE).write_text(json.dumps(proof))
    checks = {check.what: check for check in verify(small, seconds=0.0)}
    assert not checks["answers"].holds
    assert "1 of" in checks["answers"].found


def measured_as(monkeypatch: pytest.MonkeyPatch, folder: Path, **other: Figure) -> None:
    """Measurements that are the proof's, but for some."""
    figures = json.loads((folder / PROOF_FILE).read_text())["figures"]
    known = {
        name: Figure(**one)
        for name, one in figures.items()
        if name in ("p50", "p99", "texts/s", "size", "memory")
    }
    monkeypatch.setattr(proofs, "measure", lambda *given, **how: {**known, **other})


def test_a_figure_off_by_more_than_its_interval_fails(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured_as(monkeypatch, small)
    assert main(["verify", str(small), "--quiet"]) == 0
    p50 = json.loads((small / PROOF_FILE).read_text())["figures"]["p50"]
    touching = Figure(2 * p50["high"], p50["high"], 3 * p50["high"])
    measured_as(monkeypatch, small, p50=touching)
    assert held(small)["p50"], "intervals that touch"
    slower = Figure(2 * p50["high"], 1.01 * p50["high"], 3 * p50["high"])
    measured_as(monkeypatch, small, p50=slower)
    assert not held(small)["p50"]
    measured_as(monkeypatch, small, p50=Figure.exactly(p50["low"] / 10))
    assert held(small)["p50"], "faster is no failure"
    measured_as(monkeypatch, small, size=Figure.exactly(50.0))
    assert {"size", "target: size<=40MB"} <= {name for name, holds in held(small).items() if not holds}


def test_a_folder_without_a_proof_is_refused(teacher: Path, small: Path) -> None:
    with pytest.raises(distilbert.DistilBertError, match="must hold proof.json"):
        verify(teacher)
    (small / PROOF_FILE).write_text('{"format": 1}')
    with pytest.raises(distilbert.DistilBertError, match="what distilbert compress wrote"):
        verify(small)


# A target that cannot be met.


def test_a_target_that_must_fail_names_its_term(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """No model answers in a nanosecond: the nearest is written, and the exit status says so."""
    root = teacher.parent
    words = [
        "compress", "--teacher", str(teacher), "--train", str(root / "train.csv"),
        "--eval", str(root / "dev.csv"),
        "--target", "agreement>=0.5, p50<=0.000001ms", "--budget", "10m", "--out", str(tmp_path / "small"),
        "--layers", "1", "--dims", "32", "--runtimes", "onnx", "--seconds", "0", "--steps", "4",
        "--learning-rate", "2e-3", "--max-length", "32", "--quiet",
    ]  # fmt: skip
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "does not meet" in said
    facts = json.loads((tmp_path / "small" / PROOF_FILE).read_text())
    assert "p50<=1e-06ms" in facts["unmet"]
    assert "No candidate reaches it on this machine" in facts["remedies"]["p50<=1e-06ms"]
    assert facts["command"].startswith("distilbert compress --teacher")
    with distilbert.load(tmp_path / "small") as engine:
        assert engine("a song of the choir").label in SUBJECTS


# Interrupted.


class Interruption:
    """Ends a run at the so manyth beginning of a stage."""

    def __init__(self, stage: str, at: int) -> None:
        self.stage, self.left = stage, at

    def __call__(self, stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
        if stage == self.stage and done == 0:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt


def test_a_resumed_run_gives_the_same(teacher: Path, made: Any, tmp_path: Path) -> None:
    """Ended as the second candidate learns, and again as the first finished one is judged."""
    out = tmp_path / "small"
    more = sentences(60, seed=3)[0]
    with pytest.raises(KeyboardInterrupt):
        run_of(teacher, out, texts=more, progress=Interruption("fine-tune", 2))
    assert not out.exists()
    with pytest.raises(OutputError, match="--resume"):
        run_of(teacher, out, texts=more)
    with pytest.raises(ConfigError, match="another target"):
        run_of(teacher, out, "agreement>=0.7", texts=more, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run_of(teacher, out, texts=more, resume=True, progress=Interruption("judge onnx int8", 1))
    again = run_of(teacher, out, texts=more, resume=True)
    assert again.facts["chosen"]["shape"] == made.facts["chosen"]["shape"]
    assert (out / "model.safetensors").read_bytes() == (made.folder / "model.safetensors").read_bytes()
    assert (out / ROWS_FILE).read_bytes() == (made.folder / ROWS_FILE).read_bytes()


# Whoever teaches, and whatever.


def test_a_file_of_labels_teaches_a_model_of_ones_own(teacher: Path, tmp_path: Path) -> None:
    """Its answers alone: what they are not known of is neither learnt nor judged by."""
    texts = [*sentences(90, seed=1)[0], *sentences(60, seed=2)[0]]
    distilbert.label(teacher, texts, out=tmp_path / "labels.jsonl")
    with pytest.raises(ConfigError, match="--base"):
        Compressor(tmp_path / "labels.jsonl", target=TARGET)
    done = run_of(
        teacher, tmp_path / "small", given=tmp_path / "labels.jsonl", base=teacher.parent / "bert", layers=[2]
    )
    assert done.figures["agreement"].value > 0.5
    assert done.facts["teacher"]["figures"] == {}


def test_numbers_are_compressed_too(tmp_path: Path) -> None:
    rows, held_out = KINDS["scored"](120, seed=1), KINDS["scored"](60, seed=2)
    write_teacher(tmp_path / "bert")
    recipe = Finetuning(steps=60, learning_rate=2e-3, max_length=32)
    Finetuner(tmp_path / "bert", recipe=recipe).run(rows, out=tmp_path / "big")
    compressor = Compressor(tmp_path / "big", target="agreement>=0.1", **{**QUICK, "layers": [2]})
    done = compressor.run(rows, out=tmp_path / "small", budget=600.0, evaluate=held_out)
    assert {"pearson", "agreement"} <= set(done.figures)
    found = {check.what: check.holds for check in verify(tmp_path / "small", seconds=0.0)}
    assert found["answers"]
    assert found["agreement"]


# Bad input, before any long work.


def labels_of(tmp_path: Path, teacher: Path, choose: Any) -> Path:
    path = tmp_path / "labels.jsonl"
    tables = [sentences(90, seed=1), sentences(60, seed=2)]
    rows = [pair for table in tables for pair in zip(*table, strict=True)]
    path.write_text(
        "".join(json.dumps({"text": t, "label": choose(i, own)}) + "\n" for i, (t, own) in enumerate(rows))
    )
    return path


def test_a_teacher_that_knows_nothing_is_refused(teacher: Path, tmp_path: Path) -> None:
    names = list(np.random.default_rng(0).choice(list(SUBJECTS), 200))
    path = labels_of(tmp_path, teacher, lambda i, own: str(names[i]))
    with pytest.raises(DataError, match="better than chance"):
        run_of(teacher, tmp_path / "small", given=path, base=teacher.parent / "bert")


def test_labels_that_the_teacher_never_says_are_refused(teacher: Path, tmp_path: Path) -> None:
    path = labels_of(tmp_path, teacher, lambda i, own: "food" if own == "sport" else own)
    with pytest.raises(DataError, match="never sport"):
        run_of(teacher, tmp_path / "small", given=path, base=teacher.parent / "bert")


def test_too_few_rows_are_refused_with_their_number(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"150 rows.*30 in half of"):
        run_of(teacher, tmp_path / "small", "agreement>=0.98")


def test_a_budget_that_is_too_short_is_refused(teacher: Path, tmp_path: Path) -> None:
    compressor = Compressor(teacher, target=TARGET, **QUICK)
    with pytest.raises(ConfigError, match="room for one candidate"):
        compressor.run(train_of(teacher), out=tmp_path / "small", budget=0.5, evaluate=dev_of(teacher))


def test_other_tasks_are_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sequence-classification or regression"):
        run_of(teacher, tmp_path / "small", train=KINDS["tagged"](30))


def test_a_plan_is_shown_and_gone_on_with(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = teacher.parent
    words = [
        "compress", "--teacher", str(teacher), "--train", str(root / "train.csv"),
        "--eval", str(root / "dev.csv"),
        "--text", str(root / "more.txt"), "--target", "agreement>=0.5, size<=40MB", "--budget", "10m",
        "--out", str(tmp_path / "small"), "--layers", "1", "2", "--runtimes", "onnx", "--seconds", "0",
        "--steps", "2", "--max-length", "32", "--quiet", "--plan",
    ]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Candidates, measured untrained" in said
    assert "Expected:" in said
    assert not (tmp_path / "small").exists()
    assert main(words) == 2
    assert main([*words, "--json", "--resume"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["way"] for row in rows} == {"onnx fp32", "onnx int8"}
    assert not any(row["dropped"] for row in rows)
