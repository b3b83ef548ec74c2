"""A folder appears when it is complete; until then, and whatever goes wrong, the old one stands."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilbert.core import output
from distilbert.core.output import filling, new_folder
from distilbert.errors import OutputError


def fill(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    (folder / "model.safetensors").write_text(content)


def model(path: Path, content: str = "old") -> Path:
    path.mkdir(parents=True)
    fill(path, content)
    return path


def everything(path: Path) -> dict[str, str]:
    return {p.relative_to(path).as_posix(): p.read_text() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("standing", ["nothing", "empty folder"])
def test_a_new_or_empty_folder_is_filled(tmp_path: Path, standing: str) -> None:
    out = tmp_path / "deep" / "out"
    if standing == "empty folder":
        out.mkdir(parents=True)
    with new_folder(out) as folder:
        fill(folder, "new")
        assert not any(out.iterdir()) if out.exists() else True
    assert everything(out) == {"config.json": "new", "model.safetensors": "new"}
    assert os.listdir(out.parent) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_that_fails_leaves_nothing_and_takes_nothing(tmp_path: Path, error: type) -> None:
    old = model(tmp_path / "out")
    with pytest.raises(error), new_folder(old, force=True) as folder:
        fill(folder, "half")
        raise error
    with pytest.raises(error), new_folder(tmp_path / "other") as folder:
        raise error
    assert everything(tmp_path) == {"out/config.json": "old", "out/model.safetensors": "old"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_standing_model_is_refused_before_any_work(tmp_path: Path) -> None:
    old = model(tmp_path / "out")
    with pytest.raises(OutputError, match=r"already holds a model.*--force"), new_folder(old):
        pytest.fail("work was begun")
    assert everything(old)["config.json"] == "old"


@pytest.mark.parametrize("exchange", [True, False])
def test_force_replaces_a_tokenizer(tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(output, "_exchanged", lambda one, other: False)
    old = tmp_path / "out"
    old.mkdir()
    for name in ("tokenizer_config.json", "vocab.txt", "added_tokens.json"):
        (old / name).write_text("old")
    with pytest.raises(OutputError, match=r"already holds a tokenizer.*--force"), new_folder(old):
        pytest.fail("work was begun")
    with new_folder(old, force=True) as folder:
        for name in ("tokenizer_config.json", "vocab.txt"):
            (folder / name).write_text("new")
    assert everything(old) == {"tokenizer_config.json": "new", "vocab.txt": "new"}
    (old / "tokenizer_config.json").unlink()
    with pytest.raises(OutputError, match="not a model's"), new_folder(old, force=True):
        pytest.fail("a vocabulary alone may be anybody's")


def test_force_replaces_the_model_and_carries_other_files_over(tmp_path: Path) -> None:
    old = model(tmp_path / "out")
    (old / "notes.txt").write_text("mine")
    (old / "pytorch_model.bin").write_text("stale weights")
    (old / "sub").mkdir()
    (old / "sub" / "data.csv").write_text("mine too")
    with new_folder(old, force=True) as folder:
        fill(folder, "new")
    assert everything(old) == {
        "config.json": "new",
        "model.safetensors": "new",
        "notes.txt": "mine",
        "sub/data.csv": "mine too",
    }
    assert os.listdir(tmp_path) == ["out"]


def test_what_is_not_a_model_is_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a model's"), new_folder(home, force=True):
        pytest.fail("work was begun")
    with pytest.raises(OutputError, match="the file"), new_folder(home / "thesis.txt", force=True):
        pytest.fail("work was begun")
    assert everything(home) == {"thesis.txt": "mine"}


def test_the_current_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = model(tmp_path / "here")
    monkeypatch.chdir(here)
    with pytest.raises(OutputError, match="current folder"), new_folder(".", force=True):
        pytest.fail("work was begun")


def test_of_two_runs_into_one_folder_the_first_to_finish_stands(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="already holds a model"), new_folder(out) as slow:
        fill(slow, "slow")
        with new_folder(out) as quick:
            fill(quick, "quick")
    assert everything(out)["config.json"] == "quick"


def test_there_is_a_model_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system can exchange two folders, no moment is without one; elsewhere two renames do it."""
    for exchanged in (None, False):
        if exchanged is False:
            monkeypatch.setattr(output, "_exchanged", lambda one, other: False)
        for content in ("old", "new"):
            with new_folder(tmp_path / "model", force=True) as folder:
                (folder / "config.json").write_text(content)
        assert (tmp_path / "model" / "config.json").read_text() == "new"
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
    monkeypatch.undo()
    renames: list[Path] = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: (renames.append(self), rename(self, to))[1])
    with new_folder(tmp_path / "model", force=True) as folder:
        (folder / "config.json").write_text("newer")
    if sys.platform == "linux":
        assert tmp_path / "model" not in renames, "the old folder was never away"
    assert (tmp_path / "model" / "config.json").read_text() == "newer"


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    old = model(tmp_path / "disk" / "out")
    link = tmp_path / "link"
    link.symlink_to(old)
    with new_folder(link, force=True) as folder:
        fill(folder, "new")
    assert link.is_symlink()
    assert everything(old)["config.json"] == "new"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="must be writable"), new_folder(tmp_path / "file" / "out"):
        pytest.fail("work was begun")


def test_force_carries_whole_folders_and_links(tmp_path: Path) -> None:
    """Also a model that stands inside, and names that a model's folder has too."""
    old = model(tmp_path / "out")
    model(old / "mine", "another model")
    (old / "notes").mkdir()
    for name in ("report.json", "vocab.txt"):
        (old / "notes" / name).write_text("notes")
    (old / "empty").mkdir()
    (old / "link").symlink_to(tmp_path)
    (old / "report.html").write_text("my report")
    near = ("model.safetensors.bak", "model_best.safetensors", "tokenizer_notes.json", "config.json.mine")
    for name in near:
        (old / name).write_text("mine")
    for name in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "added_tokens.json"):
        (old / name).write_text("of the old model")
    with new_folder(old, force=True) as folder:
        fill(folder, "new")
    assert (old / "link").is_symlink()
    assert (old / "empty").is_dir()
    (old / "link").unlink()
    assert everything(old) == {
        "config.json": "new",
        "model.safetensors": "new",
        "mine/config.json": "another model",
        "mine/model.safetensors": "another model",
        "notes/report.json": "notes",
        "notes/vocab.txt": "notes",
        "report.html": "my report",
        **dict.fromkeys(near, "mine"),
    }


def test_force_merges_folders_that_are_written_anew(tmp_path: Path) -> None:
    """A quickstart's folder holds models; what a user put beside and into them stays."""
    old = tmp_path / "out"
    model(old / "teacher")
    (old / "distilbert.json").write_text("{}")
    (old / "teacher" / "pytorch_model.bin").write_text("stale weights")
    (old / "teacher" / "remarks.txt").write_text("mine")
    model(old / "my-own", "mine")
    with new_folder(old, force=True) as folder:
        model(folder / "teacher", "new")
        (folder / "distilbert.json").write_text("{}")
    assert everything(old) == {
        "distilbert.json": "{}",
        "teacher/config.json": "new",
        "teacher/model.safetensors": "new",
        "teacher/remarks.txt": "mine",
        "my-own/config.json": "mine",
        "my-own/model.safetensors": "mine",
    }


@pytest.mark.parametrize("name", ["a" * 300, "circle", "a\0b"])
def test_a_name_that_no_folder_can_have(name: str, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(OutputError), new_folder(tmp_path / name):
        pytest.fail("work was begun")


def test_folders_in_a_folder_are_filled_too(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "stays").write_text("old")
    with filling(tmp_path) as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "config.json").write_text("new")
        (folder / "empty").mkdir()
    assert everything(tmp_path) == {"inside/stays": "old", "inside/config.json": "new"}
    assert (tmp_path / "empty").is_dir()


def test_weights_go_that_others_supersede(tmp_path: Path) -> None:
    others = ("model.fp16.safetensors", "pytorch_model.bin", "model-notes.safetensors")
    old = (
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    )
    for name in (*others, *old):
        (tmp_path / name).write_text("old")
    with filling(tmp_path) as folder:
        (folder / "config.json").write_text("new")
    assert set(everything(tmp_path)) == {*others, *old, "config.json"}
    with filling(tmp_path) as folder:
        (folder / "model.safetensors").write_text("new")
    assert set(everything(tmp_path)) == {*others, "config.json", "model.safetensors"}


def test_what_a_killed_save_left_goes_with_the_next(tmp_path: Path) -> None:
    names = (".0123abcd.partial", ".89abcdef.partial", ".mine.partial")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("half")
    for name in names[1:]:
        os.utime(tmp_path / name, (0, 0))
    with filling(tmp_path) as folder:
        (folder / "config.json").write_text("new")
    # One may be under way, another is not ours.
    assert {path.name for path in tmp_path.iterdir()} == {names[0], names[2], "config.json"}


@pytest.mark.parametrize("kind", ["DistilBertTokenizer", "DistilBertTokenizerFast"])
def test_a_tokenizer_is_saved_whole_or_not_at_all(
    kind: str, tmp_path: Path, small_disk: Callable[[], Any]
) -> None:
    """The settings are written before the vocabulary, which is where the disk is full."""
    import distilbert

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = getattr(distilbert, kind)
    made({word: i for i, word in enumerate(words)}, do_lower_case=True).save_pretrained(tmp_path)
    before = everything(tmp_path)
    words += [f"word{i}" for i in range(20_000)]
    larger = made({word: i for i, word in enumerate(words)}, do_lower_case=False)
    with small_disk(), pytest.raises(OutputError, match="what stood there before is unchanged"):
        larger.save_pretrained(tmp_path)
    assert everything(tmp_path) == before
    larger.save_pretrained(tmp_path)
    assert set(everything(tmp_path)) == set(before)


_KILLED = """
import os, sys, time
from pathlib import Path
from distilbert.core.output import new_folder
with new_folder(sys.argv[1]) as folder:
    (folder / "half").write_text("half")
    print("under way", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    out = tmp_path / "an [odd] name"
    kept = [f".{out.name}.old.partial", f".{out.name} too.0123abcd.partial", f".{out.name}.0123abcd.old"]
    for name in kept:
        (tmp_path / name).mkdir()
    runs = []
    for _ in range(2):
        run = subprocess.Popen([sys.executable, "-c", _KILLED, str(out)], stdout=subprocess.PIPE, text=True)
        assert run.stdout is not None
        assert run.stdout.readline() == "under way\n"
        runs.append(run)
    dead, living = runs
    try:
        dead.kill()
        dead.wait()
        assert len(list(tmp_path.iterdir())) == len(kept) + 2
        with new_folder(out) as folder:
            fill(folder, "new")
        left = sorted(set(os.listdir(tmp_path)) - {*kept, out.name})
        assert len(left) == 1
        assert everything(tmp_path / left[0]) == {"half": "half"}
        assert {*kept} <= set(os.listdir(tmp_path))
    finally:
        living.kill()
        living.wait()
    with new_folder(out, force=True) as folder:
        fill(folder, "newer")
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, out.name])
    assert everything(out)["config.json"] == "newer"


def test_a_run_that_is_killed_as_it_replaces_a_folder_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one must not take for half done what was the user's."""
    old = model(tmp_path / "out")
    (old / "notes.txt").write_text("mine")

    def killed(old: Path, new: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(output, "_carry_over", killed)
        with pytest.raises(KeyboardInterrupt), new_folder(old, force=True) as folder:
            fill(folder, "new")
    with new_folder(old, force=True) as folder:
        fill(folder, "newer")
    assert "mine" in everything(tmp_path).values()
