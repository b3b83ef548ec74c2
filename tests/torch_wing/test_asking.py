"""A teacher that is asked once: what is kept is what it says, and students learn from it alike."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import Distiller, LanguageModelling, ask
from distilbert.core.data.answers import Answers
from distilbert.errors import ConfigError, DataError, OutputError
from distilbert.torch.losses import answers_sum, distribution_sum

RECIPE = LanguageModelling(
    steps=12, batch_size=8, micro_batch_size=8, max_length=24, min_length=3, dropout=0.0, learning_rate=1e-3,
    held_out=5, cosine_weight=0.0, precision="fp32",
)  # fmt: skip
TEXTS = [text for words in (6, 12) for text in sentences(40, words=words, seed=words)[0]]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("asking") / "teacher")


@pytest.fixture(scope="module")
def asked(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("answers")
    for top in (2, 52):
        ask(teacher, TEXTS, out=folder / str(top), recipe=RECIPE, epochs=2, top=top, device="cpu")
    return {top: folder / str(top) for top in (2, 52)}


def losses(teacher: Path, out: Path, recipe: LanguageModelling = RECIPE, **options) -> dict[str, list[float]]:
    distiller = Distiller(teacher, layers=2, recipe=recipe, device="cpu", **options)
    return distiller.run(TEXTS, out=out).log.losses


def test_all_words_teach_as_the_teacher_does(teacher: Path, asked: dict[int, Path], tmp_path: Path) -> None:
    """Up to the rounding of what is kept, over all of its two epochs; a third would hide words anew."""
    live = losses(teacher, tmp_path / "live")
    kept = losses(teacher, tmp_path / "kept", answers=asked[52])
    assert kept["distribution"] == pytest.approx(live["distribution"], rel=5e-3)
    assert kept["masked_lm"] == pytest.approx(live["masked_lm"], rel=1e-4)
    assert kept["masked_lm"][0] == live["masked_lm"][0]


def test_few_words_teach_less_and_never_more(teacher: Path, asked: dict[int, Path], tmp_path: Path) -> None:
    still = RECIPE.with_changes(learning_rate=1e-12)
    live = losses(teacher, tmp_path / "live", still)["distribution"]
    kept = losses(teacher, tmp_path / "kept", still, answers=asked[2])["distribution"]
    assert all(few < whole for few, whole in zip(kept, live, strict=True))
    assert sum(kept) > 0.1 * sum(live)


def test_the_rest_of_the_words_is_one_answer() -> None:
    """By hand, and against the whole divergence where the rest is spread alike."""
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 9, dtype=torch.float64), torch.randn(7, 9, dtype=torch.float64)
    p, q = (torch.softmax(x / 2.0, -1).numpy() for x in (teacher, student))
    words = torch.argsort(teacher, descending=True)[:, :3]
    rows = np.arange(7)[:, None]
    top_p, top_q = p[rows, words], q[rows, words]
    rest_p, rest_q = 1 - top_p.sum(-1), 1 - top_q.sum(-1)
    expected = 4 * ((top_p * np.log(top_p / top_q)).sum() + (rest_p * np.log(rest_p / rest_q)).sum())
    logs = torch.from_numpy(np.log(np.concatenate([top_p, rest_p[:, None]], 1)))
    found = answers_sum(student, words, logs, temperature=2.0)
    assert float(found) == pytest.approx(expected, rel=1e-9)
    assert float(found) < float(distribution_sum(student, teacher, temperature=2.0))
    alike = teacher.clone()
    alike.scatter_add_(1, words, torch.randn(7, 3, dtype=torch.float64))
    alike += torch.randn(7, 1, dtype=torch.float64)
    whole = distribution_sum(alike, teacher, temperature=2.0)
    assert float(answers_sum(alike, words, logs, temperature=2.0)) == pytest.approx(float(whole), rel=1e-9)


def test_what_is_kept_is_as_large_as_the_guide_says(asked: dict[int, Path]) -> None:
    for top, folder in asked.items():
        answers = Answers(folder)
        hidden = answers._ends[-1]
        size = sum((folder / name).stat().st_size for name in ("words.bin", "logs.bin"))
        assert size == hidden * (4 * top + 2)
        assert (answers.top, answers.epochs) == (top, 2)
        words, logs = answers.about([3, 0, 7], 1)
        again, _ = answers.about([3, 0, 7], 3)
        other, _ = answers.about([3, 0, 7], 0)
        assert np.array_equal(words, again)
        assert not np.array_equal(words, other)
        assert np.allclose(np.exp(logs.astype(np.float64)).sum(-1), 1.0, atol=2e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "seed 1 for 0"),
        ({"mask_rate": 0.3}, "mask_rate 0.3 for 0.15"),
        ({"temperature": 1.0}, "temperature 1.0 for 2.0"),
        ({"max_length": 12}, "text "),
        ({"masking": "word"}, "masking word for token"),
        ({"cosine_weight": 1.0}, "--cosine-weight 0"),
        ({"hidden_weight": 1.0}, "hidden_weight=1"),
        ({"positions": "masked+10%"}, "positions=masked+10%"),
    ],
)
def test_answers_about_something_else(
    teacher: Path, asked: dict[int, Path], tmp_path: Path, changes: dict, said: str
) -> None:
    with pytest.raises(ConfigError, match=said.replace("+", r"\+")):
        losses(teacher, tmp_path / "out", RECIPE.with_changes(**changes), answers=asked[2])
    assert not list(tmp_path.iterdir())


def test_folders_that_hold_no_answers(teacher: Path, asked: dict[int, Path], tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"answers\.json"):
        losses(teacher, tmp_path / "out", answers=teacher)
    facts = json.loads((asked[2] / "answers.json").read_text())
    for name, content in (
        ("answers.json", json.dumps({**facts, "top": 3}).encode()),
        ("answers.json", json.dumps({**facts, "epochs": "two"}).encode()),
        ("answers.json", json.dumps({**facts, "format": 99}).encode()),
        ("words.bin", (asked[2] / "words.bin").read_bytes()[:-4]),
        ("logs.bin", b""),
        ("ends.bin", (asked[2] / "ends.bin").read_bytes()[:-8]),
    ):
        broken = tmp_path / "broken"
        broken.mkdir(exist_ok=True)
        for file in asked[2].iterdir():
            (broken / file.name).write_bytes(content if file.name == name else file.read_bytes())
        with pytest.raises(DataError, match="Ask the teacher again"):
            Answers(broken)


def test_asking_writes_a_whole_folder_or_none(
    teacher: Path, tmp_path: Path, small_disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="hidden words only"):
        ask(teacher, TEXTS, out=tmp_path / "a", recipe=RECIPE.with_changes(positions="all"))
    with pytest.raises(ConfigError, match="top must be"):
        ask(teacher, TEXTS, out=tmp_path / "a", recipe=RECIPE, top=53)
    with small_disk(), pytest.raises(OutputError, match="room"):
        ask(teacher, TEXTS, out=tmp_path / "a", recipe=RECIPE, top=52, epochs=12)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(OutputError):
        ask(teacher, TEXTS, out=taken, recipe=RECIPE)
    assert os.listdir(tmp_path) == ["taken"]
