"""A teacher that is asked once: what is kept is what it says, and students learn from it alike."""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_folders import write_foreign
from small_files import sentences, write_teacher

from distilbert import Distiller, LanguageModelling, ask
from distilbert.core.data.answers import Answers
from distilbert.errors import ConfigError, DataError, OutputError
from distilbert.torch import asking
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


def ask_and_die(teacher: Path, out: Path, after: int, resume: bool) -> None:
    """Ask in a process that kills itself when so many sequences are answered."""

    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        if stage == "ask the teacher" and done >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    asking._SETTLED_EVERY = 3
    torch.set_num_threads(1)
    options = {"recipe": RECIPE, "epochs": 3, "top": 4, "device": "cpu"}
    ask(teacher, TEXTS, out=out, resume=resume, progress=progress, **options)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill")
def test_killed_it_goes_on_and_comes_to_the_same(teacher: Path, tmp_path: Path) -> None:
    options = {"recipe": RECIPE, "epochs": 3, "top": 4, "device": "cpu"}
    ask(teacher, TEXTS, out=tmp_path / "whole", **options)
    out, standing = tmp_path / "broken", tmp_path / "broken.checkpoints" / "step-00000000"
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    for after, settled in ((16, 0), (33, 24), (180, 168)):
        process = context.Process(target=ask_and_die, args=(teacher, out, after, True))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not out.exists()
        noted = json.loads((standing / "run.json").read_text()) if settled else {"done": 0}
        assert noted["done"] == settled, "the last try went on from where the one before was"
    assert (standing / "words.bin").stat().st_size >= noted["files"]["words.bin"][0]
    with pytest.raises(OutputError, match="must be resumed or given up"):
        ask(teacher, TEXTS, out=out, **options)
    with pytest.raises(ConfigError, match="another top than in"):
        ask(teacher, TEXTS, out=out, resume=True, **{**options, "top": 5})
    begun = []
    ask(teacher, TEXTS, out=out, resume=True, progress=lambda stage, done, *_: begun.append(done), **options)
    assert begun[-1] > min(done for done in begun[2:]) > 168
    for name in ("words.bin", "logs.bin", "ends.bin", "answers.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["broken", "whole"], "nothing else is left"
    assert sorted(os.listdir(out)) == sorted(os.listdir(tmp_path / "whole"))


@pytest.mark.parametrize("damage", ["words of zeros", "ends cut", "notes torn", None])
def test_what_is_left_damaged_is_asked_anew(
    damage: str | None, teacher: Path, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_SETTLED_EVERY", 2)
    options = {"recipe": RECIPE, "epochs": 1, "top": 4, "device": "cpu"}
    seen: list[int] = []

    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        if stage == "ask the teacher":
            seen.append(done)
            if seen == [8, 16, 24, 32, 40, 48] and not caplog.text:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(teacher, TEXTS, out=tmp_path / "out", progress=progress, **options)
    folder = tmp_path / "out.checkpoints" / "step-00000000"
    if damage is not None:
        what, _, how = damage.partition(" ")
        path = folder / {"words": "words.bin", "ends": "ends.bin", "notes": "run.json"}[what]
        content = path.read_bytes()
        path.write_bytes(bytes(len(content)) if how == "of zeros" else content[:-9])
    seen.clear()
    ask(teacher, TEXTS, out=tmp_path / "out", resume=True, progress=progress, **options)
    assert seen[0] == (56 if damage is None else 8)
    assert ("is damaged: the teacher is asked anew" in caplog.text) == (damage is not None)
    assert os.listdir(tmp_path) == ["out"]


def test_what_an_interrupted_run_left_can_be_given_up(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_SETTLED_EVERY", 1)
    options = {"recipe": RECIPE, "epochs": 1, "device": "cpu"}

    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        if stage == "ask the teacher" and done == 48:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(teacher, TEXTS, out=tmp_path / "out", top=4, progress=progress, **options)
    assert ask(teacher, TEXTS, out=tmp_path / "out", top=5, force=True, **options).top == 5
    assert os.listdir(tmp_path) == ["out"]


def test_a_teacher_of_another_family_is_refused(tmp_path: Path) -> None:
    place = write_foreign(tmp_path / "roberta", "roberta")
    with pytest.raises(ConfigError, match=r"asked beforehand.*another family.*--vocabulary shared"):
        ask(place, TEXTS, out=tmp_path / "out", recipe=RECIPE)


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
