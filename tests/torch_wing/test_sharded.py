"""Gradients and the optimiser's memory spread over processes: what is learnt is what one process learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_files import sentences, write_teacher

from distilbert import LanguageModelling

pytest.importorskip("accelerate")

#: So large an epsilon makes of AdamW what a gradient's size matters to, and nothing is clipped.
RECIPE = LanguageModelling(
    steps=8, batch_size=9, micro_batch_size=3, max_length=24, min_length=3, dropout=0.0, checkpoint_every=3,
    learning_rate=5e-3, held_out=3, judge_every=4, precision="fp32", hidden_weight=0.5, relation_weight=0.5,
    adam_eps=0.1, max_grad_norm=1e3,
)  # fmt: skip

#: Distils in each of several processes; the first of them stops where it is told to.
SCRIPT = """
import json, sys
import torch
from distilbert import Distiller, LanguageModelling
from distilbert.torch import sharded

teacher, corpus, recipe, out, stop, how = sys.argv[1:]
torch.set_num_threads(1)
parts = []
ordinary = sharded.Sharded.prepare

def prepare(self, learner, optimiser):
    prepared = ordinary(self, learner, optimiser)
    parts.append(sum(p.to_local().numel() for p in prepared[0].parameters()))
    return prepared

sharded.Sharded.prepare = prepare

def progress(stage, done, total, facts):
    if stage == "distil" and done == int(stop):
        raise KeyboardInterrupt

run = Distiller(
    teacher, layers=2, recipe=LanguageModelling(**json.loads(recipe)), device="cpu", progress=progress
).run(open(corpus).read().splitlines(), out=out, resume="resume" in how)
if "sharded" in how:
    assert parts[0] < 0.52 * run.facts["parameters"] * 1.01, (parts, run.facts["parameters"])
    from torch.distributed import destroy_process_group
    destroy_process_group()
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sharded")
    write_teacher(root / "teacher")
    texts = [text for words in (6, 12) for text in sentences(60, words=words, seed=words)[0]]
    (root / "corpus.txt").write_text("\n".join(texts))
    (root / "script.py").write_text(SCRIPT)
    return root


def distil(here: Path, out: str, how: str = "", *, stop: int = -1, recipe: LanguageModelling = RECIPE) -> int:
    """Distil in one process, or where ``how`` says so in two that share their gradients; the exit status."""
    given = [here / "teacher", here / "corpus.txt", json.dumps(recipe.facts()), here / out, stop, how]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
                str(20000 + os.getpid() % 20000)]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if "sharded" in how:
        environment["ACCELERATE_USE_FSDP"] = "true"
    run = subprocess.run(
        [sys.executable, *(launcher if how else []), str(here / "script.py"), *map(str, given)],
        capture_output=True, text=True, env=environment, check=False, timeout=300,
    )  # fmt: skip
    if stop < 0:
        assert run.returncode == 0, run.stderr
    return run.returncode


def assert_alike(here: Path, one: str, other: str, *, atol: float) -> None:
    found, expected = (load_file(here / name / "model.safetensors") for name in (one, other))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=atol, rtol=1e-5)
    facts = [json.loads((here / name / "distilbert.json").read_text())["training"] for name in (one, other)]
    assert facts[0]["tokens"] == facts[1]["tokens"]
    for key in ("final_losses", "held_out"):
        assert facts[0][key] == pytest.approx(facts[1][key], rel=1e-4)


def test_two_processes_with_half_of_it_each_learn_what_one_does(here: Path) -> None:
    """Hidden states and relations among the terms, and three parts to a step."""
    distil(here, "alone")
    distil(here, "sharded", "sharded")
    assert_alike(here, "sharded", "alone", atol=1e-5)
    before = load_file(here / "teacher" / "model.safetensors")
    after = load_file(here / "alone" / "model.safetensors")
    moved = [(name, t) for name, t in after.items() if name.endswith("word_embeddings.weight")]
    teachers = next(t for name, t in before.items() if name.endswith("word_embeddings.weight"))
    assert (moved[0][1] - teachers).abs().max() > 1e-3, "they did learn"


def test_its_copies_are_whole_and_it_goes_on_from_them(here: Path) -> None:
    from distilbert import DistilBertForMaskedLM

    distil(here, "whole", "sharded")
    assert distil(here, "broken", "sharded", stop=7) != 0
    assert not (here / "broken").exists()
    copy = here / "broken.checkpoints" / "step-00000006"
    model = DistilBertForMaskedLM.from_pretrained(copy)
    state = load_file(copy / "training.safetensors")
    for name, parameter in model.named_parameters():
        assert state[f"exp_avg/{name}"].shape == parameter.shape
    distil(here, "broken", "sharded resume")
    assert_alike(here, "broken", "whole", atol=0.0)


def test_a_process_that_has_nothing_to_do_waits_for_nobody(here: Path) -> None:
    """One sequence a step: the second process computes in step with the first, and it counts nothing."""
    small = RECIPE.with_changes(batch_size=1, steps=4, held_out=1)
    distil(here, "one", recipe=small)
    distil(here, "two", "sharded", recipe=small)
    assert_alike(here, "two", "one", atol=1e-5)
