"""What is likely wrong is said before hours go into it; what is right is not doubted."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import BertForMaskedLM, Distiller, LanguageModelling, Pretrainer
from distilbert.cli.main import main
from distilbert.torch.doctor import entropy

RECIPE = LanguageModelling(
    steps=60, learning_rate=2e-3, max_length=24, min_length=3, held_out=0, batch_size=16
)
TEXTS = [text for words in (6, 12) for text in sentences(60, words=words, seed=words)[0]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that has learnt a little, one at random whose answers are wild, and the text."""
    folder = tmp_path_factory.mktemp("doctor")
    write_teacher(folder / "untrained")
    recipe = RECIPE.with_changes(steps=150)
    Pretrainer(folder / "untrained", recipe=recipe, device="cpu").run(TEXTS, out=folder / "teacher")
    model = BertForMaskedLM.from_pretrained(folder / "untrained")
    with torch.no_grad():
        model.get_output_embeddings().bias.normal_(0, 3)
    (folder / "wild").mkdir()
    for file in (folder / "untrained").iterdir():
        (folder / "wild" / file.name).write_bytes(file.read_bytes())
    model.save_pretrained(folder / "wild")
    (folder / "texts.txt").write_text("\n".join(TEXTS))
    return folder


def said(teacher: Path, texts: list[str] = TEXTS, layers: int = 2, **changes: object) -> list[str]:
    distiller = Distiller(teacher, layers=layers, recipe=RECIPE.with_changes(**changes), device="cpu")
    return [str(finding) for finding in distiller.examine(texts)]


def test_nothing_is_wrong_with_what_is_right(folders: Path) -> None:
    assert said(folders / "teacher") == []


def test_a_head_that_was_never_trained(folders: Path) -> None:
    (finding,) = said(folders / "wild")
    assert "no better than their frequency" in finding
    assert "distilbert pretrain" in finding


@pytest.mark.parametrize(("rate", "word"), [(0.1, "above"), (1e-8, "below")])
def test_rates_that_are_far_off(folders: Path, rate: float, word: str) -> None:
    (finding,) = said(folders / "teacher", learning_rate=rate)
    assert f"{rate:g} is far {word}" in finding


def test_a_text_in_another_language(folders: Path) -> None:
    foreign = ["слово за словом и ничего знакомого в этом тексте"] * 200
    assert any("left out" in finding for finding in said(folders / "teacher", [*TEXTS, *foreign]))


def test_a_student_that_is_its_teacher(folders: Path) -> None:
    (finding,) = said(folders / "teacher", layers=4)
    assert "before it has learnt anything" in finding


def test_words_told_by_frequency() -> None:
    class Known:
        def counts(self, size: int) -> np.ndarray:
            return np.array([50, 10, 10, 20])[:size]

    assert entropy(Known(), 4, [0]) == pytest.approx(-(0.5 * math.log(0.25) + 0.5 * math.log(0.5)))


def test_looking_changes_nothing(folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = RECIPE.with_changes(steps=3)
    quiet = Distiller(folders / "teacher", layers=2, recipe=recipe, device="cpu")
    with caplog.at_level(logging.WARNING):
        quiet.run(TEXTS, out=tmp_path / "quiet")
    assert not caplog.records
    warned = Distiller(folders / "wild", layers=2, recipe=recipe, device="cpu")
    with caplog.at_level(logging.WARNING):
        warned.run(TEXTS, out=tmp_path / "warned")
    assert "no better than their frequency" in caplog.text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilbert.torch.distill.examine", lambda *_: [])
        Distiller(folders / "wild", layers=2, recipe=recipe, device="cpu").run(TEXTS, out=tmp_path / "unseen")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("warned", "unseen"))
    assert one == other


def test_the_command(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = folders / "recipe.json"
    recipe.write_text(json.dumps({"min_length": 3, "max_length": 24}))
    text = f"--recipe {recipe} --text {folders}/texts.txt"
    command = f"doctor {text} --layers 2 --device cpu --quiet --teacher {folders}/"
    assert main(f"{command}teacher --learning-rate 1e-3".split()) == 0
    assert "Nothing is likely wrong" in capsys.readouterr().out
    assert main(f"{command}wild --json".split()) == 1
    assert "frequency" in json.loads(capsys.readouterr().out)[0]["what"]
