"""A run that is interrupted, however and whenever, goes on bit for bit; and one of several processes."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from interrupted import RECIPE, distil
from safetensors.torch import load_file
from small_files import sentences, write_teacher

from distilbert.core import copies
from distilbert.errors import ConfigError, OutputError, TrainingError
from distilbert.torch import keeping, runs
from distilbert.torch.distill import Distiller
from distilbert.torch.processes import Alone

SHORT = RECIPE.with_changes(steps=12, checkpoint_every=3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("interrupted") / "teacher")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for words in (6, 12) for text in sentences(60, words=words, seed=words)[0]]


def outcome(folder: Path) -> dict[str, object]:
    facts = json.loads((folder / "distilbert.json").read_text())
    return {"losses": facts["training"]["final_losses"], "held out": facts["training"]["held_out"]}


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def run(teacher: Path, texts: list[str], out: Path, *, stop_at: int | None = None, recipe=SHORT, **options):
    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        if stage == "distil" and done == stop_at:
            raise KeyboardInterrupt

    return Distiller(teacher, layers=2, recipe=recipe, device="cpu", progress=progress).run(
        texts, out=out, **options
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill")
def test_killed_at_any_moment_a_run_goes_on_bit_for_bit(teacher: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distilbert.torch.distill"])
    whole = context.Process(target=distil, args=(teacher, tmp_path / "whole"))
    whole.start()
    whole.join()
    moments, kills, reached = random.Random(3), 0, []
    out = tmp_path / "broken"
    while kills < 10:
        steps = context.Value("i", -1)
        process = context.Process(target=distil, args=(teacher, out, steps), kwargs={"resume": True})
        process.start()
        if kills % 3 == 2:
            time.sleep(moments.uniform(0, 1.5))  # wherever that finds it, reading and preparing too
        else:
            target = None
            while process.is_alive() and (steps.value < 0 or target is None or steps.value < target):
                if target is None and steps.value >= 0:
                    target = steps.value + moments.randint(1, 30)
                time.sleep(moments.uniform(0, 0.004))
        assert process.is_alive(), "there is something left to interrupt"
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not out.exists()
        reached.append(steps.value)
        kills += 1
    assert max(reached) > 40, "later tries went on from where the earlier ones were"
    last = context.Process(target=distil, args=(teacher, out), kwargs={"resume": True})
    last.start()
    last.join()
    assert last.exitcode == whole.exitcode == 0
    assert weights(out) == weights(tmp_path / "whole")
    assert outcome(out) == outcome(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "whole"], "nothing else is left"


@pytest.mark.parametrize("forgotten", [None, "randomness", "optimiser", "position"])
def test_what_a_copy_holds_is_needed(
    teacher: Path, texts: list[str], tmp_path: Path, forgotten: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any of it forgotten, the run goes on as another."""
    run(teacher, texts, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, tmp_path / "broken", stop_at=8)
    if forgotten == "randomness":
        monkeypatch.setattr(torch, "set_rng_state", lambda state: None)
    if forgotten == "optimiser":
        monkeypatch.setattr(keeping, "_MEMORY", ())
    if forgotten == "position":
        ordinary = keeping.RunKeeper.restore

        def restore(self, course) -> None:
            ordinary(self, course)
            course.log.seconds.pop()

        monkeypatch.setattr(keeping.RunKeeper, "restore", restore)
    run(teacher, texts, tmp_path / "broken", resume=True)
    assert (weights(tmp_path / "broken") == weights(tmp_path / "whole")) == (forgotten is None)


def test_resuming_what_was_never_begun_begins(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    run(teacher, texts, tmp_path / "one")
    run(teacher, texts, tmp_path / "other", resume=True)
    assert weights(tmp_path / "one") == weights(tmp_path / "other")


def test_a_damaged_copy_is_passed_over(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    run(teacher, texts, tmp_path / "whole")
    out = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=11)
    kept = sorted(path.name for path in (tmp_path / "broken.checkpoints").iterdir())
    assert kept == ["step-00000006", "step-00000009"], "the newest, and one before it"
    newest = tmp_path / "broken.checkpoints" / "step-00000009" / "training.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    steps = []

    def progress(stage: str, done: int, total: int | None, facts: object) -> None:
        steps.extend([done] if stage == "distil" else [])

    Distiller(teacher, layers=2, recipe=SHORT, device="cpu", progress=progress).run(
        texts, out=out, resume=True
    )
    assert steps == list(range(6, 13))
    assert weights(out) == weights(tmp_path / "whole")


def test_only_the_run_that_was_interrupted_is_resumed(
    teacher: Path, texts: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=8)
    before = sorted((tmp_path / "broken.checkpoints").rglob("*"))
    for what, given in {
        "learning_rate": {"recipe": SHORT.with_changes(learning_rate=5e-4)},
        "steps": {"recipe": SHORT.with_changes(steps=20)},
        "micro_batch_size": {"recipe": SHORT.with_changes(micro_batch_size=8)},
    }.items():
        with pytest.raises(ConfigError, match=f"another {what} than in"):
            run(teacher, texts, out, resume=True, **given)
    with pytest.raises(ConfigError, match="another .*texts"):
        run(teacher, texts[:-1], out, resume=True)
    with pytest.raises(OutputError, match="resumed or given up"):
        run(teacher, texts, out)
    assert sorted((tmp_path / "broken.checkpoints").rglob("*")) == before
    run(teacher, texts, out, resume=True, recipe=SHORT.with_changes(checkpoint_every=5))
    run(teacher, texts, tmp_path / "whole")
    assert weights(out) == weights(tmp_path / "whole")


@pytest.mark.parametrize(("began", "goes_on"), [(1, 2), (2, 1)])
def test_a_run_goes_on_in_as_many_processes_as_it_began_in(
    teacher: Path, texts: list[str], tmp_path: Path, began: int, goes_on: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of several here learns without the others, which changes nothing of what is asked of it."""

    class Several(Alone):
        def __init__(self, count: int) -> None:
            super().__init__(torch.device("cpu"))
            self.count = count

    out = tmp_path / "out"
    monkeypatch.setattr(runs, "processes", lambda device: Several(began))
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=8)
    before = sorted((tmp_path / "out.checkpoints").rglob("*"))
    monkeypatch.setattr(runs, "processes", lambda device: Several(goes_on))
    with pytest.raises(
        ConfigError, match=rf"as many processes.*{goes_on}, where .* is of {began}\b.*--force"
    ):
        run(teacher, texts, out, resume=True)
    assert sorted((tmp_path / "out.checkpoints").rglob("*")) == before
    monkeypatch.setattr(runs, "processes", lambda device: Several(began))
    run(teacher, texts, out, resume=True)


def test_a_run_that_is_given_up_leaves_when_the_new_one_has_a_copy(
    teacher: Path, texts: list[str], tmp_path: Path
) -> None:
    out, root = tmp_path / "out", tmp_path / "out.checkpoints"
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=11)
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=2, force=True)
    assert sorted(path.name for path in root.iterdir()) == ["step-00000006", "step-00000009"]
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=5, force=True)
    assert [path.name for path in root.iterdir()] == ["step-00000003"]
    (root / "notes.txt").write_text("mine")
    run(teacher, texts, out, resume=True)
    assert [path.name for path in root.iterdir()] == ["notes.txt"]


def test_two_runs_do_not_write_one_output(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    with copies.claimed(tmp_path / "out", resume=False, force=False):
        for options in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(OutputError, match="One run at a time"):
                run(teacher, texts, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())
    run(teacher, texts, tmp_path / "out")


def test_a_copy_is_a_model(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    from distilbert import DistilBertForMaskedLM

    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, tmp_path / "out", stop_at=8)
    folder = tmp_path / "out.checkpoints" / "step-00000006"
    assert DistilBertForMaskedLM.from_pretrained(folder).config.n_layers == 2
    assert json.loads((folder / "run.json").read_text())["step"] == 6


def test_a_full_disk_costs_no_copy_that_was_there(
    teacher: Path, texts: list[str], tmp_path: Path, small_disk
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, out, stop_at=5)
    with small_disk(), pytest.raises(OutputError, match="with room for it"):
        run(teacher, texts, out, resume=True)
    assert [path.name for path in (tmp_path / "out.checkpoints").iterdir()] == ["step-00000003"]
    run(teacher, texts, out, resume=True)
    run(teacher, texts, tmp_path / "whole")
    assert weights(out) == weights(tmp_path / "whole")


def test_a_budget_is_planned_and_kept(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(steps=None, epochs=1e5, checkpoint_every=20)
    for attempt in range(3):  # a plan knows nothing of the work that a machine gets while it is carried out
        started = time.monotonic()
        log = run(teacher, texts, tmp_path / f"out-{attempt}", recipe=recipe, budget=6.0).log
        if (took := time.monotonic() - started) < 9.0:
            break
    assert took < 9.0
    assert len(log.steps) > 20
    assert log.learning_rates[-1] < 0.2 * max(log.learning_rates), "the schedule ends with the run"
    with pytest.raises(TrainingError, match="room for at least one step"):
        run(teacher, texts, tmp_path / "none", recipe=recipe, budget=0.01)
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, tmp_path / "broken", recipe=recipe, budget=30.0, stop_at=50)
    copy = json.loads((tmp_path / "broken.checkpoints" / "step-00000040" / "run.json").read_text())
    with pytest.raises(KeyboardInterrupt):
        run(teacher, texts, tmp_path / "broken", recipe=recipe, budget=30.0, resume=True, stop_at=80)
    again = json.loads((tmp_path / "broken.checkpoints" / "step-00000060" / "run.json").read_text())
    assert again["total_steps"] == copy["total_steps"], "the plan is the first one's"


def test_a_budget_has_room_for_copies(
    teacher: Path, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk fewer steps are taken, and the copy that was tried leaves nothing."""
    ordinary, written, seconds = keeping.write_safetensors, [], 0.3

    def slow(path: Path, arrays) -> None:
        time.sleep(seconds)
        written.append(path)
        ordinary(path, arrays)

    monkeypatch.setattr(keeping, "write_safetensors", slow)
    recipe = RECIPE.with_changes(steps=None, epochs=1e5, checkpoint_every=4)
    log = run(teacher, texts, tmp_path / "out", recipe=recipe, budget=5.0).log
    spent = sum(log.seconds) + 0.3
    assert spent < 5.0
    assert 2 <= len(written) == 1 + (len(log.steps) - 1) // 4
    seconds = 2.0  # for the copy that is tried, and for the result
    with pytest.raises(TrainingError, match="the result take"):
        run(teacher, texts, tmp_path / "none", recipe=recipe, budget=4.0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_measuring_for_a_budget_leaves_no_trace(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    whole = run(teacher, texts, tmp_path / "whole", recipe=SHORT).log
    planned = run(teacher, texts, tmp_path / "planned", recipe=SHORT, budget=4.0).log
    assert planned.losses["total"][0] == whole.losses["total"][0]


def test_two_processes_learn_what_one_does(teacher: Path, texts: list[str], tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    corpus, recipe = tmp_path / "corpus.txt", tmp_path / "recipe.json"
    corpus.write_text("\n".join(texts))
    still = {**RECIPE.facts(), "dropout": 0.0, "steps": 10, "micro_batch_size": 3, "batch_size": 9}
    recipe.write_text(json.dumps(still))
    command = ["distill", "--teacher", str(teacher), "--text", str(corpus), "--layers", "2",
               "--recipe", str(recipe), "--device", "cpu", "--json", "--out"]  # fmt: skip
    alone = [sys.executable, "-m", "distilbert", *command, str(tmp_path / "alone")]
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
               str(20000 + os.getpid() % 20000), "-m", "distilbert", *command]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def facts(arguments: list[str]) -> dict[str, object]:
        done = subprocess.run(
            arguments, capture_output=True, text=True, env=environment, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # one result, not two

    one, two = facts(alone), facts([*several, str(tmp_path / "together")])
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "together"))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        # Adam makes a step of its own size out of a gradient that is nothing but rounding.
        torch.testing.assert_close(theirs[name], tensor, atol=2e-5, rtol=1e-5)
    for key in ("final_losses", "held_out"):
        assert two["training"][key] == pytest.approx(one["training"][key], rel=1e-4)
    before = load_file(teacher / "model.safetensors")
    name = next(name for name in ours if name.endswith("word_embeddings.weight"))
    moved = next(t for n, t in before.items() if n.endswith("word_embeddings.weight")) - ours[name]
    assert moved.abs().max() > 1e-3, "they did learn"
    shutil.rmtree(tmp_path / "together")
