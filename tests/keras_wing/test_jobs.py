"""The jobs in Keras, from the command line and from Python: trained, judged, asked, and gone on with."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import sentences, write_entailment, write_table, write_teacher, write_texts
from task_folders import rows_of, write_task_folder

import distilbert
from distilbert import Finetuning, LabelledTexts
from distilbert.cli.main import main
from distilbert.core.files import read_json
from distilbert.errors import ConfigError, TrainingError

pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

from distilbert.core.training.lone import LoneKeeper
from distilbert.keras.device import pick_device  # after the skip
from distilbert.keras.evaluate import calibrate, evaluate
from distilbert.keras.finetune import Finetuner
from distilbert.keras.predictor import Predictor
from distilbert.keras.train import Learner, Objective

RECIPE = Finetuning(
    steps=30, batch_size=16, micro_batch_size=16, max_length=24, learning_rate=5e-3, precision="fp32",
    dropout=0.0, looks_per_epoch=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bert, an untrained BERT; student, a DistilBERT of it; train.csv and test.csv."""
    root = tmp_path_factory.mktemp("data")
    write_teacher(root / "bert", layers=1)
    assert (
        main(
            [
                "shrink",
                "--teacher",
                str(root / "bert"),
                "--layers",
                "1",
                "--out",
                str(root / "student"),
                "--quiet",
            ]
        )
        == 0
    )
    write_table(root / "train.csv", *sentences(80, seed=1))
    write_table(root / "test.csv", *sentences(30, seed=2))
    return root


def said(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """What a command that succeeds says as JSON; answers are an object a line."""
    assert main([*map(str, words), "--json", "--quiet"]) == 0
    out = capsys.readouterr().out
    return [json.loads(line) for line in out.splitlines()] if words[0] == "predict" else json.loads(out)


def test_the_commands_train_judge_and_answer(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what Keras has trained PyTorch judges alike, to the digit, and answers alike."""
    monkeypatch.chdir(tmp_path)
    flags = [w for n in ("steps", "batch_size", "max_length", "learning_rate", "dropout")
             for w in (f"--{n.replace('_', '-')}", getattr(RECIPE, n))]  # fmt: skip
    facts = said(
        capsys, "finetune", "--backend", "keras", "--model", data / "student", "--train", data / "train.csv",
        "--eval", data / "test.csv", "--out", "out", "--report", "run.html", *flags,
    )  # fmt: skip
    assert facts["evaluation"]["accuracy"]["value"] > 0.9
    assert facts["training"]["kept"]["accuracy"] > 0.9
    assert facts["calibration"]["temperature"] > 0
    assert (tmp_path / "run.html").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "run.html"]
    judged, answers = {}, {}
    for wing in ("keras", "torch"):
        command = ("--model", "out", "--backend", wing)
        judged[wing] = said(capsys, "evaluate", *command, "--data", data / "test.csv")
        answers[wing] = said(capsys, "predict", *command, "ball goal team", "song piano", "soup bread rice")
    assert [row["label"] for row in answers["keras"]] == ["sport", "music", "food"]
    for one, other in zip(answers["keras"], answers["torch"], strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    flags = ["--backend", "keras", "--model", "out", "soup", "--quiet"]
    silent = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    alone = subprocess.run(
        [sys.executable, "-m", "distilbert", "predict", *flags],
        env=silent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert alone.stdout.strip()
    assert not alone.stderr, "TensorFlow says nothing of its own"
    scores = facts["evaluation"]
    assert {name: judged["keras"][name] for name in scores} == scores
    assert judged["torch"]["accuracy"] == scores["accuracy"]
    assert (
        main(["predict", "--backend", "keras", "--model", "out", "--file", "x.txt", "--out", "y.jsonl"]) == 2
    )
    assert "Leave --backend out" in capsys.readouterr().err
    assert main(["evaluate", "--backend", "keras", "--model", "out", "--text", "x.txt"]) == 2


class Killed(Exception):  # noqa: N818  # what a signal does
    pass


def test_a_run_goes_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """With its dropout, its looks, and the weights of the best of them."""
    recipe = RECIPE.with_changes(steps=12, checkpoint_every=4, dropout=0.1, looks_per_epoch=2.5, seed=3)
    train, test = (LabelledTexts.read(data / f"{name}.csv") for name in ("train", "test"))

    def run(out: Path, *, stop_at: int | None = None, resume: bool = False) -> Any:
        def progress(stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
            if stage == "fine-tune" and done == stop_at:
                raise Killed

        finetuner = Finetuner(data / "student", recipe=recipe, device="cpu", progress=progress)
        return finetuner.run(train, evaluate=test, out=out, resume=resume)

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "halved", stop_at=10)
    assert Predictor.open(tmp_path / "halved.checkpoints" / "step-00000008").task.labels
    other = Finetuner(data / "student", recipe=recipe.with_changes(learning_rate=1e-3), device="cpu")
    with pytest.raises(ConfigError, match="another learning_rate"):
        other.run(train, evaluate=test, out=tmp_path / "halved", resume=True)
    elsewhere = distilbert.Finetuner(data / "student", recipe=recipe, device="cpu")
    with pytest.raises(ConfigError, match="another backend"):
        elsewhere.run(train, evaluate=test, out=tmp_path / "halved", resume=True)
    again = run(tmp_path / "halved", resume=True)
    assert again.log.losses == whole.log.losses
    assert again.log.judged == whole.log.judged
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halved"))
    assert one == two


def run_with(data: Path, recipe: Finetuning, train: Any, out: Path) -> list[float]:
    """The losses of a run."""
    return Finetuner(data / "student", recipe=recipe).run(train, out=out).log.losses["total"]


def objective_of(data: Path, recipe: Finetuning) -> Any:
    finetuner = Finetuner(data / "student", recipe=recipe)
    train = LabelledTexts.read(data / "train.csv")
    return finetuner._prepare(train, (), None, pick_device("cpu"), rehearsed=True).objective


def first_step(objective: Objective, recipe: Finetuning) -> tuple[dict[str, float], Learner]:
    from distilbert.core.training.course import Course
    from distilbert.core.training_log import TrainingLog

    learner = Learner(objective, recipe, Course(objective.model, {}, None, TrainingLog()))
    means, _ = learner.accumulate(next(objective.steps(0, learner.share)))
    return means, learner


def test_a_step_in_parts_is_the_same_step(data: Path) -> None:
    """Sums are divided once, by the counts of the whole step; a mean of means would be another number."""
    found = {}
    for size in (16, 5):
        recipe = RECIPE.with_changes(micro_batch_size=size, class_weights="balanced")
        found[size] = first_step(objective_of(data, recipe), recipe)
    (whole, one), (parted, other) = found[16], found[5]
    assert whole == pytest.approx(parted, rel=1e-5)
    assert one.clip() == pytest.approx(other.clip(), rel=1e-5)
    for name, slope, again in zip(one.rates, one._slopes, other._slopes, strict=True):
        np.testing.assert_allclose(slope, again, atol=1e-5, err_msg=name)


def test_one_graph_is_for_rows_of_any_number_and_length(data: Path) -> None:
    recipe = RECIPE.with_changes(micro_batch_size=7)
    objective = objective_of(data, recipe)
    _, learner = first_step(objective, recipe)
    steps, shapes = objective.steps(0, learner.share), set()
    for _ in range(4):
        batches = next(steps)
        shapes |= {batch.given["input_ids"].shape for batch in batches}
        learner.accumulate(batches)
    assert len(shapes) > 4
    assert len(objective.slopes) == 1
    first_step(objective, recipe.with_changes(dropout=0.1))
    assert len(objective.slopes) == 2, "a graph that drops is another one"


def test_what_learns_and_what_does_not(data: Path, tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(steps=2, freeze="embeddings", weight_decay=0.1)
    objective = objective_of(data, recipe)
    learner = first_step(objective, recipe.with_changes(layer_rate_decay=0.5))[1]
    assert set(learner.rates.values()) == {0.5, 1.0}, "one block, and what stands on it"
    run_with(data, recipe, LabelledTexts.read(data / "train.csv"), tmp_path / "out")
    before, after = (distilbert.AutoModelForSequenceClassification.from_pretrained(f).arrays()
                     for f in (data / "student", tmp_path / "out"))  # fmt: skip
    moved = {key for key, array in after.items() if not np.array_equal(array, before[key])}
    assert moved
    assert not any("embeddings" in key for key in moved)
    assert {"pre_classifier.weight", "classifier.bias"} <= moved


def test_a_run_that_diverges_stops_and_leaves_what_there_was(data: Path, tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(learning_rate=1e30, max_grad_norm=1e30)
    train = LabelledTexts.read(data / "train.csv")
    with pytest.raises(TrainingError, match="must stay finite"):
        run_with(data, recipe, train, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    finetuner = Finetuner(data / "student", recipe=RECIPE.with_changes(label_weight=1e-12, learning_rate=1.0))
    found = [str(one) for one in finetuner.examine(train)]
    assert any("peak learning rate of 1 is far above" in one for one in found)


def test_what_is_pytorchs_alone_is_refused(data: Path, tmp_path: Path) -> None:
    train = LabelledTexts.read(data / "train.csv")
    with pytest.raises(ConfigError, match="Adapters learn in PyTorch"):
        Finetuner(data / "student", recipe=RECIPE.with_changes(lora_rank=2)).run(train, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="Sentence embeddings are trained and made in PyTorch"):
        Finetuner(data / "student", task="sentence-embedding", recipe=RECIPE).run(
            rows_of("sentence-embedding"), out=tmp_path / "out"
        )
    entailing = write_entailment(tmp_path / "entailment")
    with pytest.raises(ConfigError, match="An entailment model is asked about labels in PyTorch"):
        Finetuner(data / "student", teacher=entailing, recipe=RECIPE).run(train, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="Trackers are told of runs in PyTorch"):
        Finetuner(data / "student", recipe=RECIPE).run(train, out=tmp_path / "out", track="tensorboard")
    with pytest.raises(ConfigError, match="feed-forwards are compiled in PyTorch"):
        Finetuner(data / "student", recipe=RECIPE.with_changes(compile=True)).run(train, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="cpu or gpu. Received: tpu"):
        Finetuner(data / "student", recipe=RECIPE, device="tpu").run(train, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_student_is_distilled_by_command_and_goes_on_bit_for_bit(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Narrower than its teacher: what widens its states is kept with the copies, and not with the student."""
    texts = write_texts(tmp_path / "texts.txt", sentences(60, seed=4)[0])
    flags = [
        "--backend", "keras", "--teacher", data / "bert", "--text", texts, "--layers", "1", "--dim", "16",
        "--steps", "6", "--batch-size", "8", "--max-length", "24", "--min-length", "3", "--held-out", "2",
        "--judge-every", "3", "--checkpoint-every", "2", "--dropout", "0.1", "--precision", "fp32",
    ]  # fmt: skip
    facts = said(capsys, "distill", *flags, "--out", tmp_path / "whole")
    assert set(facts["training"]["final_losses"]) == {"masked_lm", "distribution", "cosine", "total"}
    assert set(facts["training"]["held_out"]) >= {"masked_lm", "agreement", "distribution"}
    kept, places = LoneKeeper.keep, []

    def killed(self: LoneKeeper, course: Any, randomness: Any) -> Path:
        places.append(kept(self, course, randomness))
        if len(places) == 2:
            raise KeyboardInterrupt
        return places[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoneKeeper, "keep", killed)
        assert main([*map(str, ["distill", *flags, "--out", tmp_path / "halved"]), "--quiet"]) == 130
    assert [place.name for place in places] == ["step-00000002", "step-00000004"]
    capsys.readouterr()
    again = said(capsys, "distill", *flags, "--out", tmp_path / "halved", "--resume")
    assert again["training"]["final_losses"] == facts["training"]["final_losses"]
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halved"))
    assert one == two
    student = distilbert.DistilBertForMaskedLM.from_pretrained(tmp_path / "whole")
    assert (student.config.dim, student.config.n_layers) == (16, 1)
    assert main([*map(str, ["distill", *flags, "--relation-weight", "1", "--out", tmp_path / "no"])]) == 2
    assert "is learnt in PyTorch" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pairs", "multiple-choice", "token-classification", "question-answering"])
def test_a_folder_is_judged_and_answers_as_in_pytorch(name: str, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "model", name, bert=name == "pairs")
    rows = rows_of(name, 24, seed=5)
    ours, torch_s = Predictor.open(folder), distilbert.Predictor.open(folder)
    examples = torch_s.task.read(list(enumerate(rows)), source="rows", columns={})
    made = torch_s.rows(examples)
    for one, other in zip(ours.item_logits(made), torch_s.item_logits(made), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert len(ours.item_logits(made)) == len(made)
    if name == "pairs":
        found, told = evaluate(ours, rows), distilbert.evaluate(torch_s, rows)
        assert found["accuracy"] == told["accuracy"]
        assert calibrate(folder, rows)["temperature"] == pytest.approx(
            distilbert.calibrate(folder, rows)["temperature"], rel=1e-3
        )
        assert read_json(folder / "distilbert.json")["calibration"]["rows"] == 24
        rough = Predictor.open(folder, precision="bf16")
        apart = np.abs(np.stack(rough.item_logits(made)) - np.stack(ours.item_logits(made))).max()
        assert 1e-4 < apart < 0.2, "bfloat16 was computed in"
        exact = rough.exact().item_logits(made)
        np.testing.assert_allclose(np.stack(exact), np.stack(ours.item_logits(made)), atol=1e-6)
