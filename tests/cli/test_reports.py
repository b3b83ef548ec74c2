"""A page on a run: its figures are the run's, and it needs nothing else."""

import json
import math
import re
from pathlib import Path

import pytest
from small_files import sentences, write_table, write_teacher, write_texts

from distilbert.cli.main import main
from distilbert.report.training import training_page


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_teacher(tmp_path / "bert")
    texts, labels = sentences(60, words=20)
    write_texts(tmp_path / "texts.txt", texts)
    write_table(tmp_path / "train.csv", texts, labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_distillation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "distill --teacher bert --text texts.txt --layers 2 --steps 6 --out new --report page.html"
    assert main([*command.split(), "--hourly-price", "3.5", "--json", "--quiet"]) == 0
    facts = json.loads(capsys.readouterr().out)
    page = (here / "page.html").read_text()
    last = facts["training"]["held_out"]
    hours = facts["training"]["seconds"] / 3600
    for words in (
        "6 steps", "Layers of the teacher that it began with: 0, 3.", f"{last['agreement']:.1%}",
        f"{facts['text']['sequences']} sequences", "learning rate", "0.0002", f"<td>{hours:.2f}</td>",
        f"<td>{hours * 3.5:.2f}</td>", f"<td>{last['distribution']:.3f}</td>", "after 6 steps",
    ):  # fmt: skip
        assert words in page, words
    assert page.count("<svg") == 2
    assert not re.search(r'(src|href)="[^#]|<script', page), "nothing from anywhere else"


def test_a_pretraining_says_its_perplexities(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "pretrain --model bert --text texts.txt --steps 3 --out new --report page.html --json --quiet"
    assert main(command.split()) == 0
    last = json.loads(capsys.readouterr().out)["training"]["held_out"]
    page = (here / "page.html").read_text()
    for name in ("masked_token_perplexity", "masked_words", "masked_word_perplexity"):
        assert f"<td>{last[name]:.3f}</td>" in page
    assert last["masked_token_perplexity"] == pytest.approx(math.exp(last["masked_lm"]))
    assert f"<b>{last['masked_token_perplexity']:,.2f}</b><span>perplexity of hidden tokens" in page


def test_a_finetuning(here: Path) -> None:
    command = "finetune --model bert --train train.csv --steps 3 --out new --report page.html --quiet"
    assert main(command.split()) == 0
    page = (here / "page.html").read_text()
    assert "A classifier" in page
    assert "did not learn from" not in page


def test_looks_at_a_tasks_answers() -> None:
    """They are no words that were hidden, and the one that was kept is said."""
    facts = {
        "made_by": "finetune", "parameters": 1_000_000, "task": {"name": "sequence-classification"},
        "data": {"labelled": 40}, "recipe": {"batch_size": 8},
        "training": {
            "steps": 15, "seconds": 60.0, "kept": {"step": 10, "accuracy": 0.875}, "stopped_early": True,
        },
    }  # fmt: skip
    judged = [{"step": step, "accuracy": value} for step, value in ((5, 0.5), (10, 0.875), (15, 0.625))]
    page = training_page(facts, {"total": [3.0, 2.0]}, judged)
    assert "<td>accuracy</td><td>0.5000</td><td>0.8750</td><td>0.6250</td>" in page
    assert "after 10 steps, kept" in page
    assert "stopped early" in page
    assert "most likely word" not in page


def test_what_is_counted() -> None:
    facts = {
        "made_by": "distill", "parameters": 2_000_000, "teacher_layers": [],
        "text": {"sequences": 50, "tokens": 1000},
        "training": {
            "steps": 30, "seconds": 7200.0, "tokens": 4_800_000, "tokens_per_second": 700.0, "mfu": 0.4321,
        },
        "recipe": {"batch_size": 8},
    }  # fmt: skip
    judged = [
        {"step": 0, "masked_lm": 4.0, "teacher_masked_lm": 2.0},
        {"step": 30, "masked_lm": 2.5, "teacher_masked_lm": 2.0},
    ]
    page = training_page(facts, {"total": [3.0, 2.0]}, judged, hourly_price=2.0, devices=4)
    assert "<td>8.00</td>" in page, "two hours on four devices"
    assert "<td>16.00</td>" in page
    assert "80.0%" in page
    assert "4.80 M" in page
    assert "tokens, 700 a second" in page
    assert "43.2%" in page
    assert "began with: none." in page
