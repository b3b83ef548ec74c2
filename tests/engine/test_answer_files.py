"""A table's answers in a file: whole, in order, and from where a killed run ended."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from small_files import sentences
from task_folders import rows_of, write_task_folder

from distilbert.cli.main import main
from distilbert.engine.answer_files import answer_file
from distilbert.engine.engine import load
from distilbert.errors import DataError, OutputError

ATOL = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task_folder(tmp_path_factory.mktemp("models") / "classes", "sequence-classification")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in sentences(300, seed=4)[0]))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert [row.get("text") for row in ours] == [row.get("text") for row in theirs]
    assert [row.get("label") for row in ours] == [row.get("label") for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.get("scores") == pytest.approx(other.get("scores"), abs=ATOL)


def test_each_kind_of_file_holds_the_same_answers(folder: Path, table: Path, tmp_path: Path) -> None:
    import pyarrow.parquet

    texts = [row["text"] for row in lines(table)]
    with load(folder) as engine:
        true = [{"text": text, **answer.as_dict()} for text, answer in zip(texts, engine(texts), strict=True)]
        for kind in (".jsonl", ".csv", ".parquet"):
            made = answer_file(engine, table, tmp_path / f"answers{kind}")
            assert (made.rows, made.refused, made.resumed) == (300, 0, 0)
    same(lines(tmp_path / "answers.jsonl"), true)
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = [{**row, "scores": json.loads(row["scores"])} for row in csv.DictReader(file)]
    same(rows, true)
    same(pyarrow.parquet.read_table(tmp_path / "answers.parquet").to_pylist(), true)
    assert not list(tmp_path.glob(".*"))  # nothing is left of the way there


def test_rows_that_cannot_be_read_are_errors_in_their_place(folder: Path, tmp_path: Path) -> None:
    import pyarrow.parquet

    texts = sentences(600, seed=6)[0]
    given = [json.dumps({"text": text}) for text in texts]
    given[3], given[550], given[551] = "{broken", json.dumps({"text": " "}), json.dumps({"text": None})
    (tmp_path / "bad.jsonl").write_text("\n".join(given) + "\n")
    with load(folder) as engine:
        made = answer_file(engine, tmp_path / "bad.jsonl", tmp_path / "answers.jsonl")
        assert (made.rows, made.refused) == (600, 3)
        found = lines(tmp_path / "answers.jsonl")
        assert [i for i, row in enumerate(found) if "error" in row] == [3, 550, 551]
        assert "line 4" in found[3]["error"]
        good = [row for i, row in enumerate(found) if i not in (3, 550, 551)]
        assert [row["text"] for row in good] == [
            text for i, text in enumerate(texts) if i not in (3, 550, 551)
        ]
        answer_file(engine, tmp_path / "bad.jsonl", tmp_path / "answers.parquet")
        rows = pyarrow.parquet.read_table(tmp_path / "answers.parquet").to_pylist()
        assert [i for i, row in enumerate(rows) if row["error"]] == [3, 550, 551]
        (tmp_path / "short.csv").write_text("text\nbread\nbread,soup\nsong\n")
        assert answer_file(engine, tmp_path / "short.csv", tmp_path / "short.jsonl").refused == 1
        (tmp_path / "other.csv").write_text("words\nbread\nsong\n")
        with pytest.raises(DataError, match="text or sentence"):
            answer_file(engine, tmp_path / "other.csv", tmp_path / "other.jsonl")
        assert (
            answer_file(
                engine, tmp_path / "other.csv", tmp_path / "other.jsonl", columns={"text": "words"}
            ).rows
            == 2
        )


def test_a_killed_run_is_gone_on_from(folder: Path, table: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "answers.jsonl", tmp_path / "whole.jsonl"
    code = f"""
import os, signal
from distilbert.engine import answer_files, ahead
from distilbert.engine.engine import load
ahead.LOT = answer_files._LINES = 16
def progress(stage, done, total, facts):
    if done >= 96:
        os.kill(os.getpid(), signal.SIGKILL)
answer_files.answer_file(load({str(folder)!r}), {str(table)!r}, {str(out)!r}, progress=progress)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    kept = tmp_path / ".answers.jsonl.answers"
    with kept.open("a") as file:
        file.write('{"text": "half a li')
    with load(folder) as engine:
        made = answer_file(engine, table, out)
        assert (made.rows, made.resumed) == (300, 96)
        answer_file(engine, table, whole)
        same(lines(out), lines(whole))
        assert not kept.exists()
        # One that was killed behind its last answer only has the file to write.
        kept.write_bytes(_kept_as(engine, table) + out.read_bytes())
        assert answer_file(engine, table, out).resumed == 300
        same(lines(out), lines(whole))


def _kept_as(engine: Any, table: Path) -> bytes:
    from distilbert.engine.answer_files import _asked, _line

    return _line(_asked(engine, table, {}, None))


def test_answers_of_other_settings_are_not_gone_on_from(folder: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    out.write_text("what stood there before")

    def stopped(stage: str, done: int, total: Any, facts: Any) -> None:
        if done:
            raise KeyboardInterrupt

    with load(folder) as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilbert.engine.answer_files._LINES", 16)
        with pytest.raises(KeyboardInterrupt):
            answer_file(engine, table, out, progress=stopped)
        assert out.read_text() == "what stood there before"
        with pytest.raises(OutputError, match="same table, of the same model and settings"):
            answer_file(engine, table, out, abstain_below=0.9)
        os.utime(table, ns=(time.time_ns(), time.time_ns() + 10**9))
        with pytest.raises(OutputError, match="remove that file"):
            answer_file(engine, table, out)
        (tmp_path / ".answers.jsonl.answers").unlink()
        assert answer_file(engine, table, out).resumed == 0


def test_the_command_answers_every_task(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("question-answering", "token-classification", "multiple-choice", "sentence-embedding"):
        model = write_task_folder(tmp_path / name, name)
        given = tmp_path / f"{name}.jsonl"
        given.write_text("".join(json.dumps(row) + "\n" for row in rows_of(name, 6)))
        out = tmp_path / f"{name}-answers.jsonl"
        words = [
            "predict",
            "--model",
            str(model),
            "--file",
            str(given),
            "--out",
            str(out),
            "--json",
            "--quiet",
        ]
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)["rows"] == 6
        with load(model) as engine:
            true = engine(rows_of(name, 6))
        for row, answer in zip(lines(out), true, strict=True):
            shared = {key: value for key, value in answer.as_dict().items() if isinstance(value, str)}
            assert shared.items() <= row.items()


def test_what_cannot_be_is_refused(folder: Path, table: Path, tmp_path: Path, capsys: Any) -> None:
    for words, said in (
        (["--file", str(table), "--out", "answers.xml"], "named .jsonl, .csv, .parquet"),
        (["a text", "--out", str(tmp_path / "a.jsonl")], "where their texts come from one"),
        (["--file", "nowhere.csv", "--out", str(tmp_path / "a.jsonl")], "must exist"),
        (["--file", str(table), "--out", str(tmp_path / "no" / "a.jsonl")], "must be writable"),
    ):
        assert main(["predict", "--model", str(folder), *words, "--quiet"]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob(".*"))


def test_answers_do_not_take_their_table_s_place(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text('{"text": "a fine film"}\n')
    (tmp_path / "other.jsonl").symlink_to(table)
    with load(folder) as engine:
        for out in (table, tmp_path / "other.jsonl"):
            with pytest.raises(OutputError, match="place of the table"):
                answer_file(engine, table, out)
        assert table.read_text() == '{"text": "a fine film"}\n'
        assert answer_file(engine, table, tmp_path / "answers.jsonl").rows == 1
