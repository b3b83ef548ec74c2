"""Every task from the command line: what is printed of it, and what is refused in one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from answers import close
from safetensors.numpy import load_file, save_file
from small_files import write_teacher
from task_files import KINDS, asked, pairs, write_rows

from distilbert import Predictor, calibrate, evaluate, read_examples
from distilbert.cli.main import main


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bert, a table of each kind, and what two steps make of it."""
    root = tmp_path_factory.mktemp("work")
    write_teacher(root / "bert", layers=1)
    for kind, rows in KINDS.items():
        write_rows(root / f"{kind}.jsonl", rows(40, seed=1))
        command = [
            "finetune",
            "--model",
            str(root / "bert"),
            "--train",
            str(root / f"{kind}.jsonl"),
            "--quiet",
        ]
        assert main([*command, "--steps", "2", "--max-length", "32", "--out", str(root / kind)]) == 0
    return root


@pytest.fixture
def here(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in work.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: Pairs without a score are learnt from, and not judged by.
JUDGED = [kind for kind in KINDS if kind != "together"]


@pytest.mark.parametrize("kind", JUDGED)
def test_a_folder_needs_nothing_else(kind: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "--model", kind, "--data", f"{kind}.jsonl", "--quiet", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["rows"] == 40
    assert main(["evaluate", "--model", kind, "--data", f"{kind}.jsonl", "--quiet"]) == 0
    said = capsys.readouterr().out
    figures = {
        name: found["value"] for name, found in scores.items() if isinstance(found, dict) and "value" in found
    }
    assert figures
    for name, value in figures.items():
        assert f"{name}  {value:.4f}" in said
    assert main(["predict", "--model", kind, "--file", f"{kind}.jsonl", "--quiet", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 40
    assert main(["predict", "--model", kind, "--file", f"{kind}.jsonl", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 40


@pytest.mark.parametrize("kind", JUDGED)
def test_an_engine_predicts_what_a_framework_does(
    kind: str, here: Path, capsys: pytest.CaptureFixture
) -> None:
    """With whatever was fitted after training: a temperature, thresholds."""
    shutil.copytree(here / kind, here / "fitted")
    plain = json.loads((here / "fitted" / "distilbert.json").read_text())
    if kind in ("pairs", "several", "asked"):
        fitted = calibrate(here / "fitted", read_examples(here / f"{kind}.jsonl"))
        assert fitted != plain.get("calibration")
    command = ["predict", "--model", "fitted", "--file", f"{kind}.jsonl", "--quiet", "--json"]
    told = []
    for flags in (["--backend", "torch"], [], ["--runtime", "torch"], ["--model", kind]):
        assert main([*command, *flags]) == 0
        told.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert close(told[1], told[0])
    assert close(told[2], told[0])
    # Without what was fitted the answers are others.
    assert close(told[3], told[0]) is (kind not in ("pairs", "several", "asked"))


def test_columns_by_flag_and_rows_as_words(here: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [{"one": row["text_a"], "two": row["text_b"], "says": row["label"]} for row in pairs(40)]
    write_rows(here / "other.jsonl", rows)
    command = "evaluate --model pairs --data other.jsonl --columns text_a=one,text_b=two,label=says --quiet"
    assert main(command.split()) == 0
    capsys.readouterr()
    row = '{"text_a": "ball", "text_b": "soup"}'
    assert main(["predict", "--model", "pairs", row, row, "--quiet"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.split("\t")[2:] == ["ball", "soup"]


REFUSED = {
    "one text for a pair": ('predict --model pairs {"text":"ball"}', "trained on pairs reads two texts"),
    "no object": (
        "predict --model pairs ball",
        "JSON object with text, text_b. Received: 'ball' as number 1",
    ),
    "no such column": (
        "finetune --model bert --train pairs.jsonl --columns text_a=x,text_b=text_b --out new",
        "a column named x. Received: columns text_a, text_b, label in pairs.jsonl",
    ),
    "no such name of a column": (
        "finetune --model bert --train pairs.jsonl --columns txt=x --out new",
        "are called text, text_a, text_b, label. Received: txt",
    ),
    "types that are mixed": (
        "finetune --model bert --train mixed.jsonl --out new",
        "of one type. Received: 1 (a whole number) at line 1, and 'x' (text) at line 2 of mixed.jsonl",
    ),
    "tags that are too few": (
        "finetune --model bert --train short.jsonl --out new",
        "Received: 2 words and 1 tags at line 2 of short.jsonl",
    ),
    "answers elsewhere": (
        "finetune --model bert --train misplaced.jsonl --out new",
        "Received: 1 that do not, the first",
    ),
    "another task's table": (
        "evaluate --model scored --data several.jsonl",
        "a number to learn. Received: ['sport'] as labels at line 1 of several.jsonl",
    ),
    "a label that was not learnt": (
        "evaluate --model pairs --data unseen.jsonl",
        "Received: chess in the evaluation data, first in row 1, line 1 of unseen.jsonl",
    ),
    "a teacher of another task": (
        "finetune --model bert --teacher pairs --train scored.jsonl --out new",
        "must answer with a number",
    ),
    "threshold that is none": ("predict --model odd {}", "null_threshold must be a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_input_is_one_sentence(name: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    write_rows(here / "mixed.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": "x"}])
    tagged = [{"tokens": ["a", "b"], "tags": ["O", "B-x"]}, {"tokens": ["a", "b"], "tags": ["O"]}]
    write_rows(here / "short.jsonl", tagged)
    rows = [row for row in asked(9) if row["answers"]]
    rows[1]["answers"][0]["answer_start"] += 1
    write_rows(here / "misplaced.jsonl", rows)
    write_rows(here / "unseen.jsonl", [{**pairs(1)[0], "label": "chess"}])
    shutil.copytree(here / "asked", here / "odd")
    facts = json.loads((here / "odd" / "distilbert.json").read_text())
    facts["task"]["null_threshold"] = "high"
    (here / "odd" / "distilbert.json").write_text(json.dumps(facts))
    command, sentence = REFUSED[name]
    assert main([*command.split(" "), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert sentence in said.err
    assert not (here / "new").exists()


def test_misplaced_answers_may_be_dropped(here: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [row for row in asked(20) if row["answers"]]
    rows[1]["answers"][0]["answer_start"] += 1
    write_rows(here / "misplaced.jsonl", rows)
    command = (
        "finetune --model bert --train misplaced.jsonl --misplaced drop --steps 1 --max-length 32 --out new"
    )
    assert main([*command.split(), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["labelled"] == len(rows) - 1


def test_unlabelled_rows_are_what_the_task_reads(here: Path, capsys: pytest.CaptureFixture) -> None:
    """Of tags they may be lists of words, in a table, or lines of text."""
    tokens = [{"tokens": row["tokens"]} for row in KINDS["tagged"](12, seed=3)]
    write_rows(here / "more.jsonl", tokens)
    (here / "more.txt").write_text("".join(" ".join(row["tokens"]) + "\n" for row in tokens))
    write_rows(here / "plain.jsonl", [{"text": " ".join(row["tokens"])} for row in tokens])
    for name in ("more.jsonl", "more.txt", "plain.jsonl"):
        run = (
            f"finetune --model bert --train tagged.jsonl --teacher tagged --unlabelled {name} --max-length 32"
        )
        assert main([*run.split(), "--steps", "1", "--out", f"of-{name}", "--quiet", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["data"]["unlabelled"] == 12
    command = "doctor --model bert --train tagged.jsonl --teacher tagged --unlabelled more.jsonl --quiet"
    assert main(command.split()) in (0, 1)


def test_what_comes_next_is_said_in_columns_that_are_read(here: Path, capsys: pytest.CaptureFixture) -> None:
    run = "finetune --model bert --train pairs.jsonl --steps 1 --max-length 32 --out next --quiet"
    assert main(run.split()) == 0
    assert "(columns text, text_b)" in capsys.readouterr().out
    answers = []
    for first in ("text", "text_a"):
        write_rows(here / "rows.jsonl", [{first: row["text_a"], "text_b": row["text_b"]} for row in pairs(5)])
        assert main(["predict", "--model", "next", "--file", "rows.jsonl", "--quiet"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "together"])
def test_how_far_teacher_and_student_agree(kind: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copytree(here / kind, here / "teacher")
    if kind in ("several", "asked"):
        calibrate(here / "teacher", read_examples(here / f"{kind}.jsonl"))
    run = (
        f"finetune --model bert --train {kind}.jsonl --eval {kind}.jsonl --teacher teacher --steps 1 --quiet"
    )
    run += " --max-length 32 --precision fp32"
    assert main([*run.split(), "--out", "taught", "--report", "page.html"]) == 0
    found = json.loads((here / "taught" / "distilbert.json").read_text())["agreement"]
    said = capsys.readouterr().out
    metric = found["metric"]
    for who, folder in (("teacher", "teacher"), ("student", "taught")):
        assert main(["evaluate", "--model", folder, "--data", f"{kind}.jsonl", "--quiet", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)[metric]
        assert found[f"{who}_{metric}"] == pytest.approx(told), "each by the thresholds of its folder"
    assert ("agreement" in found) == (metric == "accuracy")
    for shown in (said, (here / "page.html").read_text()):
        assert "the student's share of that" in shown.replace("&#x27;", "'")
        form = ".1%" if metric == "accuracy" else ".3f"
        assert f"{found['student_' + metric]['value']:{form}}" in shown
    assert f"On 40 rows of {kind}.jsonl" in said


@pytest.mark.parametrize("kind", ["several", "asked"])
def test_beside_a_teacher_without_thresholds_none_are_fitted(kind: str, here: Path) -> None:
    """Those of the student, fitted on these very rows, would make it look the better one."""
    run = f"finetune --model bert --train {kind}.jsonl --eval {kind}.jsonl --teacher {kind} --steps 1 --quiet"
    assert main([*run.split(), "--max-length", "32", "--precision", "fp32", "--out", "taught"]) == 0
    found = json.loads((here / "taught" / "distilbert.json").read_text())["agreement"]
    opened = Predictor.open(here / "taught")
    rows = read_examples(here / f"{kind}.jsonl")
    metric = found["metric"]
    assert found[f"student_{metric}"] == pytest.approx(evaluate(opened.uncalibrated(), rows)[metric])
    assert found[f"student_{metric}"] != pytest.approx(evaluate(opened, rows)[metric])


def test_a_teacher_is_judged_by_its_labels_names(here: Path, capsys: pytest.CaptureFixture) -> None:
    """Its labels stand in another order, with the head's rows, so that it says the same as before."""
    folder = shutil.copytree(here / "pairs", here / "turned")
    config, facts = (json.loads((folder / file).read_text()) for file in ("config.json", "distilbert.json"))
    labels = facts["task"]["labels"][::-1]
    config |= {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    facts["task"]["labels"] = labels
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "distilbert.json").write_text(json.dumps(facts))
    arrays = load_file(folder / "model.safetensors")
    for key in ("classifier.weight", "classifier.bias"):
        arrays[key] = np.ascontiguousarray(arrays[key][::-1])
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    run = "finetune --model bert --train pairs.jsonl --eval pairs.jsonl --max-length 32 --steps 1"
    found = []
    for teacher in ("pairs", "turned"):
        assert main([*run.split(), "--teacher", teacher, "--out", f"of-{teacher}", "--quiet", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["agreement"]["teacher_accuracy"])
    assert found[0] == found[1]
