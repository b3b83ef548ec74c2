"""``distilbert label``, and students of what it wrote: each kind of teacher, and what is refused."""

import json
from pathlib import Path

import pytest
from loopback_chat import chat_server
from small_files import SUBJECTS, sentences, write_entailment, write_table, write_teacher, write_texts

from distilbert.cli.main import main

CLASSES = ",".join(SUBJECTS)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work")
    write_teacher(root / "bert", layers=2)
    write_entailment(root / "entailment")
    texts, labels = sentences(60, seed=1)
    write_table(root / "train.csv", texts[:30], labels[:30])
    write_table(root / "test.csv", texts[30:50], labels[30:50])
    write_texts(root / "texts.txt", texts[20:])
    run = ["finetune", "--model", str(root / "bert"), "--train", str(root / "train.csv"), "--quiet"]
    assert main([*run, "--steps", "2", "--out", str(root / "classifier")]) == 0
    return root


@pytest.fixture
def here(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in work.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_chat_model_teaches_a_student(here: Path, capsys: pytest.CaptureFixture) -> None:
    """Labelled in two goes under a cap, then learnt from; the same answers again when asked by finetune."""
    with chat_server() as chat:
        asked = f"--teacher {chat.address} --teacher-model small --kept-answers kept.jsonl"
        run = f"label {asked} --classes {CLASSES} --text texts.txt --out labels.jsonl --quiet"
        assert main([*run.split(), "--dry-run", "--json", "--price-in", "1"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["requests"] == 40
        assert plan["cost_at_most"] > 0
        assert not chat.asked
        assert main([*run.split(), "--max-calls", "25"]) == 0
        said = capsys.readouterr().out
        assert "25 of 40 texts labelled. 25 requests" in said
        assert "Stopped asking at the greatest number of requests, 25" in said
        assert main(run.split()) == 2
        assert "labels.jsonl, which exists" in capsys.readouterr().err
        assert main([*run.split(), "--force", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["labelled"], facts["asked"]["requests"]) == (40, 15)
        assert len(chat.asked) == 40

        train = (
            "finetune --model bert --train train.csv --eval test.csv --unlabelled texts.txt --steps 2 --quiet"
        )
        assert main([*train.split(), "--teacher", "labels.jsonl", "--out", "of-a-file", "--json"]) == 0
        of_a_file = json.loads(capsys.readouterr().out)
        assert main([*train.split(), *asked.split(), "--out", "none", "--dry-run"]) == 0
        assert len(chat.asked) == 40, "a plan asks nothing"
        capsys.readouterr()
        assert main([*train.split(), *asked.split(), "--out", "of-a-server", "--json"]) == 0
        of_a_server = json.loads(capsys.readouterr().out)
        assert len(chat.asked) == 60
    assert of_a_file["teacher"]["unanswered"] == 20, "the labelled texts that were not in the file"
    assert of_a_file["agreement"]["rows"] == of_a_server["agreement"]["rows"] == 20
    assert of_a_server["teacher"]["kind"] == "chat model"
    assert of_a_server["asked"]["kept_from_earlier"] == 40
    assert of_a_server["agreement"]["teacher_accuracy"]["value"] == 1


def test_models_label_too(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main("label --teacher classifier --text texts.txt --out a.jsonl --quiet".split()) == 0
    zero = f"label --teacher entailment --classes {CLASSES} --text texts.txt --out b.jsonl --quiet"
    assert main(zero.split()) == 0
    assert main([*zero.replace("b.jsonl", "c.jsonl").split(), "--hypothesis", "it is that {}"]) == 0
    rows = {
        name: [json.loads(line) for line in (here / name).open()]
        for name in ("a.jsonl", "b.jsonl", "c.jsonl")
    }
    assert {len(found) for found in rows.values()} == {40}
    assert all(set(row["probabilities"]) == set(SUBJECTS) for found in rows.values() for row in found)
    assert rows["b.jsonl"] != rows["c.jsonl"]
    assert "40 of 40 texts labelled" in capsys.readouterr().out
    learn = "finetune --model bert --train train.csv --teacher entailment --steps 1 --out d --quiet"
    assert main(learn.split()) == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--teacher entailment", "must be told them.*--classes"),
        ("--teacher entailment --classes food", "at least two classes"),
        ("--teacher entailment --classes food,food", "at least two classes"),
        ("--teacher classifier --classes a,b", "must have the labels"),
        ("--teacher bert --classes a,b", "Only a fine-tuned folder"),
        ("--teacher http://127.0.0.1:9/v1 --classes a,b", "needs the name of the model"),
        ("--teacher classifier --max-calls 3", "--max-calls is for a teacher on a server"),
        (
            "--teacher http://127.0.0.1:9/v1 --teacher-model m --classes a,b --prompt none",
            "prompt must be a readable",
        ),
        (
            "--teacher http://127.0.0.1:9/v1 --teacher-model m --key-variable NONE_SUCH --classes a,b",
            "must be set",
        ),
        ("--teacher classifier --out a.txt", "a .jsonl file"),
        ("--teacher classifier --out none/a.jsonl", "a folder that exists"),
    ],
)
def test_what_is_refused(flags: str, said: str, here: Path, capsys: pytest.CaptureFixture) -> None:
    import re

    before = sorted(here.iterdir())
    assert main(["label", "--text", "texts.txt", "--out", "x.jsonl", *flags.split(), "--quiet"]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert sorted(here.iterdir()) == before
