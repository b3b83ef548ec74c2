"""Several seeds: how far apart they are, which model is kept, and that seeds which are done stay done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import Finetuner, Finetuning, LabelledTexts, run_seeds
from distilbert.core.facts import read_facts
from distilbert.core.training.runs import Run
from distilbert.core.training.seeds import _compared
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, OutputError

RECIPE = Finetuning(steps=3, batch_size=8, learning_rate=3e-3, precision="fp32", dropout=0.0, seed=4)
TRAIN, OTHER = LabelledTexts(*sentences(24, seed=1)), LabelledTexts(*sentences(20, seed=2))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_teacher(folder)
    torch.set_num_threads(1)
    return folder


def weights(folder: Path) -> Any:
    from distilbert.torch.predictor import Predictor

    return Predictor.open(folder, device="cpu").model.arrays()


class Killed(Exception):  # noqa: N818  # what a signal does
    pass


def test_seeds_are_compared_resumed_and_one_is_kept(teacher: Path, tmp_path: Path) -> None:
    begun: list[int] = []
    stop_at = 2

    def progress(stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
        if stage == "fine-tune" and done == 0:
            begun.append(done)
            if len(begun) == stop_at:
                raise Killed

    finetuner = Finetuner(teacher, recipe=RECIPE, device="cpu", progress=progress)
    out = tmp_path / "kept"
    with pytest.raises(Killed):
        run_seeds(finetuner, TRAIN, out=out, seeds=3, evaluate=OTHER)
    with pytest.raises(OutputError, match="resumed or given up"):
        run_seeds(finetuner, TRAIN, out=out, seeds=3, evaluate=OTHER)
    with pytest.raises(ConfigError, match="another examples than in"):
        run_seeds(finetuner, OTHER, out=out, seeds=3, evaluate=OTHER, resume=True)
    run = run_seeds(finetuner, TRAIN, out=out, seeds=3, evaluate=OTHER, resume=True)
    assert len(begun) == 4, "the first seed was done, and was not run again"
    found = read_facts(out)["seeds"]
    assert found == run.facts["seeds"]
    assert found["of"] == [4, 5, 6]
    assert not (tmp_path / "kept.seeds").exists()
    # The model that is kept is the one that this seed alone gives.
    alone = Finetuner(teacher, recipe=RECIPE.with_changes(seed=found["kept"]), device="cpu")
    single = alone.run(TRAIN, evaluate=OTHER, out=tmp_path / "alone")
    value = single.facts["evaluation"]["accuracy"]["value"]
    assert value == max(found["values"]) == found["values"][found["of"].index(found["kept"])]
    one, two = weights(out), weights(tmp_path / "alone")
    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert f"this is seed {found['kept']}" in (out / "README.md").read_text()


def runs(values: list[float], metric: str = "accuracy") -> dict[int, Run]:
    return {
        seed: Run(TrainingLog(), {"recipe": {}, "evaluation": {metric: {"value": value}}})
        for seed, value in enumerate(values)
    }


def test_which_seed_is_kept() -> None:
    values = [0.7, 0.9, 0.8, 0.6, 0.5]
    best, facts = _compared(runs(values), "best")
    assert (best, facts["median"]) == (1, 0.7)
    assert facts["spread"] == pytest.approx(np.std(values, ddof=1))
    assert _compared(runs(values), "median")[0] == 0
    assert _compared(runs([0.7, 0.9, 0.8, 0.6]), "median")[0] == 0, "of an even number the lower one"
    assert _compared(runs(values, "mean_squared_error"), "best")[0] == 4
    assert _compared(runs([0.7, 0.7]), "best")[0] == 0


def test_seeds_need_something_to_judge_by(teacher: Path, tmp_path: Path) -> None:
    finetuner = Finetuner(teacher, recipe=RECIPE.with_changes(eval_share=0.0), device="cpu")
    with pytest.raises(ConfigError, match="examples that are not learnt from"):
        run_seeds(finetuner, TRAIN, out=tmp_path / "o", seeds=2)
    with pytest.raises(ConfigError, match="seeds must be"):
        run_seeds(finetuner, TRAIN, out=tmp_path / "o", seeds=1, evaluate=OTHER)
    assert list(tmp_path.iterdir()) == []
