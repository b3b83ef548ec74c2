"""The kept folder of files that mean harm: each is refused in one sentence, in little time and memory."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_files import LARGE, build_one

FOLDER = Path(__file__).parent.parent / "hostile"

#: The rule that each kind is refused by.
RULES = {
    "safetensors": ("must be a whole safetensors file",),
    "bin": ("tensors by name and nothing else",),
    "msgpack": ("hold a tree of arrays and nothing else",),
    "google": ("must have its .index and all .data files",),
    "h5": ("plain rows of bytes",),
    "index": ("must list the files beside it", "must be a JSON object", "must be at most"),
    "config": (
        "must be a JSON object",
        "must be a whole number",
        "model_type must be",
        "must divide dim",
        "every weight of its encoder",
        "must have the shapes",
        "most of its numbers",
        "must be at most",
    ),
    "modules": (
        "must name folders beside it",
        "must be a Transformer",
        "must begin with",
        "must be a JSON list",
    ),
}

#: Reads every folder named on its input, and says of each what came out and what it cost.
READER = """
import json, signal, sys, time
from contextlib import suppress
from pathlib import Path
from distilbert import DistilBertModel, convert
from distilbert.core.config import read_config
from distilbert.core.sentence_folders import read_modules
from distilbert.core.weight_files import Weights
from distilbert.errors import DistilBertError

def peak():
    status = Path("/proc/self/status")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 if status.exists() else 0

def read(folder):
    read_modules(folder)
    if (folder / "config.json").exists():
        read_config(folder)
        DistilBertModel.from_pretrained(folder)
        convert(folder, to="safetensors", out=folder / "converted")
    with Weights(folder) as weights:
        return {name: list(weights[name].shape) for name in weights.shapes}

read(Path(sys.argv[1]))  # what is loaded for the first one is not its cost
with suppress(ImportError):  # a file that would take the machine down takes this process only
    import resource
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**31, mapped + 2**31))
for line in sys.stdin:
    if hasattr(signal, "alarm"):
        signal.alarm(60)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, started = peak(), time.perf_counter()
    try:
        found = read(Path(line.strip()))
    except DistilBertError as error:
        found = str(error)
    print(json.dumps([line.strip(), found, time.perf_counter() - started, peak() - before]), flush=True)
"""


def read(folders: list[Path], where: Path) -> dict[str, tuple[Any, float, int]]:
    good = FOLDER / "good" / "model.safetensors"
    run = subprocess.run(
        [sys.executable, "-c", READER, str(good)],
        input="".join(f"{folder}\n" for folder in folders),
        capture_output=True,
        text=True,
        cwd=where,
        check=False,
    )
    found = {folder: tuple(rest) for folder, *rest in map(json.loads, run.stdout.splitlines())}
    unread = [folder for folder in map(str, folders) if folder not in found]
    assert run.returncode == 0, f"{unread[:1]} ended the reader ({run.returncode}): {run.stderr}"
    return found


def test_every_hostile_file_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")
    shutil.copytree(FOLDER, tmp_path / "hostile")  # what they leave behind is seen
    folders = sorted(place for kind in RULES for place in (tmp_path / "hostile" / kind).iterdir())
    assert len(folders) > 100
    before = sorted(tmp_path.rglob("*"))
    found = read(folders, tmp_path)
    assert len(found) == len(folders)
    for folder, cost in found.items():
        assert_refused(folder, *cost)
    assert sorted(tmp_path.rglob("*")) == before, "something was written"


def assert_refused(folder: str, said: Any, seconds: float, memory: int, *, most: int = 50 * 2**20) -> None:
    assert isinstance(said, str), f"{folder} was read as {said}"
    assert any(rule in said for rule in RULES[Path(folder).parent.name]), f"{folder}: {said}"
    assert len(said) < 1000, folder
    assert seconds < 5, (folder, seconds)
    assert memory < most, (folder, memory)


@pytest.mark.parametrize(("kind", "case"), LARGE)
def test_a_large_one_costs_no_more(kind: str, case: str, tmp_path: Path) -> None:
    """Files of megabytes whose every byte is made to cost as much as it can."""
    folder = build_one(tmp_path, kind, case, LARGE[kind, case]())
    (cost,) = read([folder], tmp_path).values()
    assert_refused(str(folder), *cost, most=200 * 2**20)


def test_the_good_ones_beside_them_are_read(tmp_path: Path) -> None:
    """The reader above does not refuse whatever it is given."""
    pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")
    found = read(sorted((FOLDER / "good").iterdir()), tmp_path)
    assert {Path(folder).name: said for folder, (said, *_) in found.items()} == {
        "bert_model.ckpt.index": {"a": [2]},
        "flax_model.msgpack": {"a": [2]},
        "model.safetensors": {"a": [16]},
        "tf_model.h5": {"good.bias": [3]},
    }


def test_the_folder_is_what_the_script_builds(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")
    script = FOLDER.parent.parent / "scripts" / "hostile_files.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)

    def files(folder: Path) -> list[str]:
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))

    assert files(FOLDER) == files(tmp_path)
    for path in FOLDER.rglob("*"):
        # HDF5 writes the same file in several ways, from version to version; zlib packs in several.
        if path.is_file() and path.suffix != ".h5" and path.parent.name != "a-zip-bomb":
            assert path.read_bytes() == (tmp_path / path.relative_to(FOLDER)).read_bytes(), path
