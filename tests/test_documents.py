"""The commands and snippets of README and guide, run as they stand."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_hub import clients_hub
from small_files import sentences, write_entailment, write_table, write_teacher, write_texts
from task_files import KINDS, write_rows

from distilbert.cli.main import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md", "docs/guide.md", "docs/embedding.md", "docs/distillation.md", "docs/teachers.md",
    "docs/running.md", "docs/finetuning.md", "docs/evaluating.md", "docs/inference.md",
    "docs/jax.md",
    "docs/keras.md",
    "docs/optimizing.md", "docs/compressing.md",
)  # fmt: skip
TASKS = sorted(path.name for path in (ROOT / "docs" / "tasks").glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"```(sh|python|toml)\n(.*?)```", re.DOTALL)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the documents say that the folder holds, and the hub."""
    write_teacher(tmp_path / "bert")
    write_entailment(tmp_path / "entailment")
    texts, labels = sentences(60, seed=1)
    write_texts(tmp_path / "texts.txt", texts)
    write_table(tmp_path / "train.csv", texts, labels)
    write_table(tmp_path / "test.csv", *sentences(30, seed=2))
    for kind, rows in KINDS.items():
        write_rows(tmp_path / f"{kind}.jsonl", rows(40, seed=1))
    with clients_hub(tmp_path / "cache", monkeypatch) as hub:
        hub.add("your-name/bert", {path.name: path.read_bytes() for path in (tmp_path / "bert").iterdir()})
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.chdir(tmp_path)
        yield tmp_path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_example_runs(name: str, files: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_examples(name, files, capsys) >= 7


@pytest.mark.parametrize("name", TASKS)
def test_every_tasks_example_runs(name: str, files: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_examples(f"docs/tasks/{name}", files, capsys) >= 3
    assert f"]({name})" in (ROOT / "docs" / "tasks" / "README.md").read_text()


def run_examples(name: str, files: Path, capsys: pytest.CaptureFixture) -> int:
    """Run a document's examples, and count them."""
    ran = 0
    for language, block in BLOCK.findall((ROOT / name).read_text()):
        if language == "toml":
            (files / re.match(r"# (\S+)", block)[1]).write_text(block)
        elif language == "python":
            exec(compile(block, name, "exec"), {})
            ran += 1
        else:
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["distilbert"]:
                    assert main([*words[1:], "--quiet"]) == 0, (line, capsys.readouterr().err)
                    ran += 1
    return ran


def test_the_first_commands_are_the_makefiles() -> None:
    first = BLOCK.findall((ROOT / "README.md").read_text())[0][1]
    targets = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert targets == ["quickstart", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_links_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_command_and_public_job_has_its_line_in_the_changelog() -> None:
    import distilbert
    from distilbert.cli.main import parser

    changelog = (ROOT / "CHANGELOG.md").read_text()
    for command in parser()._subparsers._group_actions[0].choices:
        assert f"`distilbert {command}`" in changelog
        assert command == "quickstart" or f"`{command}`" in (ROOT / "docs" / "guide.md").read_text()
    for name in distilbert.__all__:
        if name.startswith("Distil") and "Config" not in name and "Error" not in name:
            assert f"`{name}`" in changelog, name
