"""Students of teachers that are no model folders: what they learn, and what is said of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import SUBJECTS, sentences, write_table, write_teacher, write_texts

from distilbert import Finetuner, Finetuning, LabelledTexts
from distilbert.cli.main import main
from distilbert.core.progress import silent
from distilbert.core.teachers.folders import FolderTeacher
from distilbert.core.teachers.label_files import write_labels
from distilbert.core.teachers.targets import Targets
from distilbert.errors import ConfigError
from distilbert.torch.task_teachers import open_teacher

LABELS = tuple(sorted(SUBJECTS))
SHORT = Finetuning(
    steps=4, batch_size=8, micro_batch_size=16, max_length=32, learning_rate=1e-3, dropout=0.0,
    precision="fp32", unlabelled_batch_size=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bert``, the classifier ``teacher``, and labels of some texts: the teacher's, and hard ones."""
    root = tmp_path_factory.mktemp("teachers")
    write_teacher(root / "bert", layers=2)
    texts, labels = sentences(200, seed=1)
    Finetuner(root / "bert", recipe=SHORT.with_changes(steps=60)).run(
        LabelledTexts(texts, labels), out=root / "teacher"
    )
    write_table(root / "train.csv", texts[:40], labels[:40])
    write_table(root / "test.csv", texts[40:100], labels[40:100])
    write_texts(root / "more.txt", texts[100:140])
    found = open_teacher(root / "teacher").targets(texts, LABELS, progress=silent)
    write_labels(root / "soft.jsonl", texts, found, LABELS)
    with (root / "hard.jsonl").open("w") as file:
        for text, best in zip(texts, found.answers, strict=True):
            file.write(json.dumps({"text": text, "label": LABELS[best]}) + "\n")
    return root


def data(work: Path) -> tuple[LabelledTexts, LabelledTexts, list[str]]:
    train, test = (LabelledTexts.read(work / name) for name in ("train.csv", "test.csv"))
    return train, test, (work / "more.txt").read_text().splitlines()


def test_a_file_of_a_models_answers_teaches_as_the_model_does(work: Path, tmp_path: Path) -> None:
    train, test, more = data(work)
    runs = {
        name: Finetuner(work / "bert", teacher=work / name, recipe=SHORT).run(
            train, unlabelled=more, evaluate=test, out=tmp_path / name
        )
        for name in ("teacher", "soft.jsonl", "hard.jsonl")
    }
    losses = {name: run.log.losses["teacher"] for name, run in runs.items()}
    np.testing.assert_allclose(losses["soft.jsonl"], losses["teacher"], rtol=1e-4)
    assert abs(losses["hard.jsonl"][0] / losses["teacher"][0] - 1) > 0.01, "hard labels teach otherwise"
    for name in ("teacher_accuracy", "agreement"):
        found = {teacher: run.facts["agreement"][name] for teacher, run in runs.items()}
        assert found["teacher"] == found["soft.jsonl"]
    facts = runs["soft.jsonl"].facts
    assert facts["teacher"] == {
        "kind": "file of labels", "file": "soft.jsonl", "rows": 200, "contradictions": 0, "answered": 80,
        "unanswered": 0,
    }  # fmt: skip
    assert facts["agreement"]["rows"] == 60
    assert facts["agreement"]["student_accuracy"] == facts["evaluation"]["accuracy"]


def test_texts_without_an_answer_learn_their_own_label_alone(work: Path, tmp_path: Path) -> None:
    """Half of the labelled texts have no answer: their gradient is that of a run without a teacher."""
    train, _, _ = data(work)

    class Half:
        kind, paid = "half a teacher", False

        def __init__(self, known: np.ndarray) -> None:
            self.known = known

        def targets(self, texts: list[str], labels: object, *, progress: object) -> Targets:
            given = np.tile(np.array([[9.0, 0.0, 0.0]], np.float32), (len(texts), 1))
            return Targets(given, self.known)

        def facts(self) -> dict[str, object]:
            return {}

        account = facts

    def first_losses(known: np.ndarray, recipe: Finetuning) -> dict[str, float]:
        out = tmp_path / f"{known.sum()} {recipe.micro_batch_size}"
        run = Finetuner(work / "bert", teacher=Half(known), recipe=recipe).run(train, out=out)
        return {name: values[0] for name, values in run.log.losses.items()}

    everything = SHORT.with_changes(steps=1, batch_size=40, micro_batch_size=40)
    half, other = np.arange(40) < 20, np.arange(40) >= 20
    one, two = (
        first_losses(half, everything),
        first_losses(other, everything.with_changes(micro_batch_size=7)),
    )
    both = first_losses(np.ones(40, bool), everything)
    assert one["labels"] == pytest.approx(both["labels"], rel=1e-5), "every gold label counts"
    assert (one["teacher"] + two["teacher"]) / 2 == pytest.approx(both["teacher"], rel=1e-5)
    assert abs(one["teacher"] / two["teacher"] - 1) > 1e-3


def test_who_is_meant(work: Path) -> None:
    assert open_teacher(work / "soft.jsonl").kind == "file of labels"
    assert open_teacher(str(work / "teacher")).kind == "classifier"
    teacher = open_teacher(work / "teacher")
    assert open_teacher(teacher) is teacher
    with pytest.raises(ConfigError, match="name of the model that answers.*--teacher-model"):
        open_teacher("https://127.0.0.1/v1")


def test_the_command_says_how_far_both_agree(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(work)
    run = "finetune --model bert --train train.csv --eval test.csv --teacher soft.jsonl --unlabelled more.txt"
    more = ["--steps", "2", "--out", str(tmp_path / "a"), "--report", str(tmp_path / "a.html"), "--quiet"]
    assert main([*run.split(), *more]) == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "a" / "distilbert.json").read_text())["agreement"]
    page = (tmp_path / "a.html").read_text()
    for shown in (said, page):
        assert "both answer alike" in shown
        assert f"{found['agreement']['value']:.1%}" in shown
        assert f"{found['teacher_accuracy']['low']:.1%} to {found['teacher_accuracy']['high']:.1%}" in shown


def test_the_command_says_that_nothing_was_answered(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(work)
    learnt = {json.loads(line)["text"] for line in (work / "hard.jsonl").open()}
    learnt -= set(LabelledTexts.read(work / "test.csv").texts)
    lines = [line for line in (work / "hard.jsonl").open() if json.loads(line)["text"] in learnt]
    (tmp_path / "some.jsonl").write_text("".join(lines))
    run = f"finetune --model bert --train train.csv --eval test.csv --teacher {tmp_path}/some.jsonl --steps 1"
    more = ["--out", str(tmp_path / "a"), "--report", str(tmp_path / "a.html"), "--quiet"]
    assert main([*run.split(), *more]) == 0
    for shown in (capsys.readouterr().out, (tmp_path / "a.html").read_text()):
        assert "The teacher answered none of the 60 rows of" in shown
        assert "95% interval</th>" not in shown.split("Beside its teacher")[-1].split("Time and cost")[0]
        assert "share" not in shown.split("nothing is judged by it")[0].split("The teacher answered")[-1]


def test_nothing_is_held_of_a_teacher_that_was_asked(work: Path) -> None:
    import gc
    import weakref

    train, test, more = data(work)
    seen = []
    original = FolderTeacher.targets

    class Watched(FolderTeacher):
        def targets(self, *args: object, **options: object) -> Targets:
            seen.append(weakref.ref(self))
            return original(self, *args, **options)

    finetuner = Finetuner(work / "bert", teacher=work / "teacher", recipe=SHORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilbert.core.teachers.folders.FolderTeacher", Watched)
        job = finetuner._prepare(train, more, test, torch.device("cpu"))
    gc.collect()
    assert len(seen) == 2
    assert all(reference() is None for reference in seen)
    assert job.objective.taught is not None
