"""Processes that compute: as one would alone, and none that dies takes anybody else's answer along."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from child_processes import children_of, hold_up
from held_runtime import until
from served_folders import write_served_folders
from tiny import TEXTS

from distilbert.engine.pipelines import pipeline
from distilbert.engine.runtimes import shared_out
from distilbert.errors import CheckpointError, ConfigError, WorkerError

LOADS = "import sys; from distilbert.engine.pipelines import pipeline"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_served_folders(tmp_path_factory.mktemp("served"), "classes")["classes"]


def test_processes_answer_as_one_does(folder: Path) -> None:
    before = children_of()
    with pipeline("text-classification", folder, top_k=None) as alone:
        wanted = alone(list(TEXTS))
    with pipeline("text-classification", folder, top_k=None, workers=2, streams=2, threads=1) as ours:
        assert ours.runtime == alone.runtime
        assert ours.workers.alive == 2
        assert ours.workers.streams == 4
        workers = children_of() - before
        assert len(workers) == 2
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: ours(list(TEXTS)), range(8)))
    for answers in found:
        for own, other in zip(answers, wanted, strict=True):
            assert {one["label"]: one["score"] for one in own} == {
                one["label"]: pytest.approx(one["score"], abs=1e-6) for one in other
            }
    until(lambda: not (children_of() & workers))


def test_one_that_dies_is_replaced_and_what_it_computed_is_told(folder: Path) -> None:
    before = children_of()
    with pipeline("text-classification", folder, workers=1, streams=1) as ours:
        (worker,) = children_of() - before
        hold_up(worker)
        request = ours.begin([TEXTS[1]]).submit()
        until(lambda: not ours.workers._free)
        time.sleep(0.2)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(WorkerError, match="ended while it computed"):
            request.result(60)
        assert ours(TEXTS[1])[0]["label"]  # another is waited for
        assert ours.workers.replaced == 1
        assert worker not in children_of()


def test_who_was_computed_together_with_another_is_computed_again(folder: Path) -> None:
    before = children_of()
    with pipeline("text-classification", folder, workers=1, streams=1) as ours:
        (worker,) = children_of() - before
        held, run = threading.Event(), ours.workers.run
        fed: list[int] = []

        def running(feed: Any) -> Any:
            held.wait(60)
            fed.append(len(feed["input_ids"]))
            if fed[-1] == 3:  # it dies with three requests in its hands
                hold_up(worker)
                threading.Thread(target=kill).start()
            return run(feed)

        def kill() -> None:
            until(lambda: not ours.workers._free)
            time.sleep(0.2)  # from the choice of a process to the last byte that it is sent
            os.kill(worker, signal.SIGKILL)

        ours.workers.run = running
        first = ours.begin([TEXTS[4]]).submit()
        until(lambda: first.begun is not None)
        together = [ours.begin([TEXTS[1]], apart=True).submit() for _ in range(3)]
        held.set()
        assert all(len(request.result(60)) == 1 for request in (first, *together))
        assert fed == [1, 3, 1, 1, 1]


def test_whoever_ends_leaves_no_process_behind(folder: Path) -> None:
    code = f"{LOADS}; import os; own = pipeline('text-classification', sys.argv[1], workers=2); own('a')\n"
    listing = "import glob; print(*(open(p).read() for p in glob.glob('/proc/self/task/*/children')))\n"
    for ending in ("", "import signal; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"):
        run = subprocess.run(
            [sys.executable, "-c", code + listing + ending, str(folder)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == (-signal.SIGKILL if ending else 0), run.stderr
        started = run.stdout.split()
        assert len(started) == 2
        until(lambda started=started: not any(Path(f"/proc/{pid}/exe").exists() for pid in started))


def test_what_cannot_be_opened_is_told_by_whoever_asked(folder: Path, tmp_path: Path) -> None:
    before = children_of()
    with pytest.raises(ConfigError, match="A runtime is auto"):
        pipeline("text-classification", folder, workers=2, runtime="none")
    for file in folder.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(
            content[: len(content) - 100] if file.suffix == ".safetensors" else content
        )
    with pytest.raises(CheckpointError):
        pipeline("text-classification", tmp_path, workers=2)
    with pytest.raises(ConfigError, match="workers"):
        pipeline("text-classification", folder, workers=0)
    until(lambda: not (children_of() - before))


@pytest.mark.parametrize(("given", "cores", "wanted"), [((None, None), 4, (4, 1)), ((1, None), 4, (1, 4))])
def test_cores_are_dealt_out_among_processes(given: Any, cores: int, wanted: Any) -> None:
    assert shared_out(*given, cores=cores) == wanted
