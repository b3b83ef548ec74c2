"""A folder as one file for a cloud: what is read of it, whole, and nothing else."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from served_folders import write_served_folders
from task_folders import write_task_folder
from tiny import TEXTS

import distilbert
from distilbert.cli.main import main
from distilbert.engine.pipelines import pipeline
from distilbert.errors import CheckpointError, OutputError
from distilbert.serve.environment import told_by


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_served_folders(tmp_path_factory.mktemp("served"), "classes")["classes"]


def unpacked(archive: Path, place: Path) -> list[str]:
    with tarfile.open(archive, "r:gz") as opened:
        assert all(entry.isfile() and entry.uid == entry.mtime == 0 for entry in opened)
        opened.extractall(place, filter="data")
        return opened.getnames()


def test_a_package_answers_as_its_folder_where_sagemaker_unpacks_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "model.tar.gz"
    assert main(["package", "--sagemaker", str(folder), "--out", str(out), "--quiet"]) == 0
    names = unpacked(out, tmp_path / "model")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(names)
    told = told_by({}, sagemaker=str(tmp_path / "model"))
    (place,) = told.places.values()
    with pipeline("text-classification", folder) as ours, pipeline("text-classification", place) as theirs:
        assert ours(list(TEXTS)) == theirs(list(TEXTS))


def test_only_what_is_read_is_in_it_and_no_links(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "checkpoint-1").mkdir(parents=True)
    (own / "runtimes" / "a-processor").mkdir(parents=True)
    for file in folder.iterdir():  # as a hub's cache has them
        (own / file.name).symlink_to(file)
    for name in (".env", "notes.txt", "train.csv", "checkpoint-1/optimizer.pt", "pytorch_model.bin"):
        (own / name).write_text("a secret")
    (own / "runtimes" / "a-processor" / "optimized.json").write_text("{}")
    (own / "elsewhere").symlink_to("/etc")
    made = distilbert.package(own, out=tmp_path / "linked.tar.gz")
    plain = distilbert.package(folder, out=tmp_path / "plain.tar.gz")
    assert set(made.files) == {*plain.files, "runtimes/a-processor/optimized.json"}
    assert set(plain.files) == {file.name for file in folder.iterdir()}
    assert "model.safetensors" in unpacked(tmp_path / "linked.tar.gz", tmp_path / "out")
    content = (folder / "model.safetensors").read_bytes()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == content


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    distilbert.package(folder, out=tmp_path / "one.tar.gz")
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    distilbert.package(folder, out=tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_a_sentence_embedding_folder_has_its_modules(tmp_path: Path) -> None:
    write_task_folder(tmp_path / "vectors", "sentence-embedding")
    distilbert.package(tmp_path / "vectors", out=tmp_path / "model.tar.gz")
    names = unpacked(tmp_path / "model.tar.gz", tmp_path / "out")
    for module in json.loads((tmp_path / "vectors" / "modules.json").read_text()):
        if module["path"] and (tmp_path / "vectors" / module["path"] / "config.json").is_file():
            assert f"{module['path']}/config.json" in names
    places = tmp_path / "vectors", tmp_path / "out"
    with pipeline("sentence-embedding", places[0]) as ours, pipeline("sentence-embedding", places[1]) as its:
        assert ours([TEXTS[0]]) == its([TEXTS[0]])


def test_what_stands_there_stays_unless_it_is_to_go(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.tar.gz"
    out.write_text("mine")
    with pytest.raises(OutputError, match="must be new"):
        distilbert.package(folder, out=out)
    with pytest.raises(OutputError, match="is a file"):
        distilbert.package(folder, out=tmp_path)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(CheckpointError):
        distilbert.package(tmp_path / "half", out=out, force=True)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "addfile", full)
        with pytest.raises(OutputError, match="No space left"):
            distilbert.package(folder, out=out, force=True)
    assert out.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "model.tar.gz"]
    distilbert.package(folder, out=out, force=True)
    assert tarfile.is_tarfile(out)
