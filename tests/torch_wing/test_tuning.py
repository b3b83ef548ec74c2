"""A search for a recipe: what is tried, what is kept of it, and that the best one wins."""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import Finetuning, LabelledTexts, tune
from distilbert.core.search import Range, draw, space_of, spelled
from distilbert.errors import ConfigError, MissingExtraError, OutputError, TrainingError
from distilbert.report.tuning import trial_rows, tuning_page
from distilbert.torch import tuning
from distilbert.torch.pruning import pruning
from distilbert.torch.tuning import RECIPE_FILE, TRIALS_FILE, Trial

pytest.importorskip("ray", reason="Ray is not installed: pip install 'distilbert[ray]'")

RECIPE = Finetuning(epochs=1, batch_size=8, precision="fp32", patience=0)
SPACE = {"learning_rate": (1e-4, 1e-2), "batch_size": [8, 16]}


def data(seed: int, count: int = 24) -> LabelledTexts:
    return LabelledTexts(*sentences(count, seed=seed))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_teacher(folder)
    torch.set_num_threads(1)
    return folder


def test_ray_runs_the_trials_and_the_best_recipe_is_a_file(teacher: Path, tmp_path: Path, capfd: Any) -> None:
    """A rate that learns nothing is begun with; one that learns wins."""
    found = tune(
        teacher, data(1, 40), evaluate=data(2, 20), out=tmp_path / "search", space={"learning_rate": [5e-3]},
        trials=2, recipe=RECIPE.with_changes(epochs=3, learning_rate=1e-9), device="cpu",
    )  # fmt: skip
    begun, other = found.trials
    assert (begun.number, begun.changes) == (0, {})
    assert other.changes == {"learning_rate": 5e-3}
    assert other.best == max(other.looks) > begun.best == max(begun.looks)
    assert len(other.looks) >= 5
    assert found.ranked[0] is other
    path = tmp_path / "search" / RECIPE_FILE
    assert Finetuning.read(path) == found.recipe == RECIPE.with_changes(epochs=3, learning_rate=5e-3)
    assert capfd.readouterr().out == "", "only the command line speaks"
    columns, rows = trial_rows(found.facts())
    assert (columns[1], rows[0][:2]) == ("learning rate", ["trial 1", "0.005"])
    page = tuning_page(json.loads(json.dumps(found.facts())))
    assert f"{other.best:.4f}" in page
    assert "<svg" in page


Tried = Callable[[int, Mapping[str, Any]], Trial]


def running(monkeypatch: pytest.MonkeyPatch, comes_to: Tried, *, stop_after: int | None = None) -> list[int]:
    """In Ray's place something that says what each trial comes to; the numbers of those that were run."""
    ran: list[int] = []

    def run(
        tried: Mapping[int, dict[str, Any]], given: Any, note: Callable[[Trial], None], **how: Any
    ) -> None:
        for number, changes in tried.items():
            if stop_after is not None and len(ran) == stop_after:
                raise KeyboardInterrupt
            ran.append(number)
            note(comes_to(number, changes))

    monkeypatch.setattr(tuning, "_run", run)
    return ran


def by_number(number: int, changes: Mapping[str, Any]) -> Trial:
    figures = [0.5, 0.9, 0.7, 0.9]
    return Trial(number, dict(changes), [figures[number]], figures[number])


def test_a_search_that_was_interrupted_goes_on(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(**how: Any) -> Any:
        given = {"evaluate": data(2), "out": tmp_path / "halved", "recipe": RECIPE}
        return tune(teacher, data(1), space=SPACE, trials=4, device="cpu", **{**given, **how})

    whole_ran = running(monkeypatch, by_number)
    whole = search(out=tmp_path / "whole")
    assert whole_ran == [0, 1, 2, 3]
    assert whole.ranked[0].number == 1, "the first of two that are alike"
    first = running(monkeypatch, by_number, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        search()
    with pytest.raises(OutputError, match="resumed or given up"):
        search()
    with pytest.raises(ConfigError, match="another recipe than in"):
        search(resume=True, recipe=RECIPE.with_changes(epochs=2))
    with pytest.raises(ConfigError, match="another examples than in"):
        search(resume=True, evaluate=data(3))
    # A crash halves the line that was being written.
    with (tmp_path / "halved" / TRIALS_FILE).open("a") as file:
        file.write('{"number": 2, "cha')
    then = running(monkeypatch, by_number)
    resumed = search(resume=True)
    assert (first, then) == ([0, 1], [2, 3])
    assert (resumed.trials, resumed.recipe) == (whole.trials, whole.recipe)
    lines = (tmp_path / "halved" / TRIALS_FILE).read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2, 3]


def test_trials_are_held_against_those_of_an_earlier_run() -> None:
    """One that is behind is ended at its second look, which a scheduler that knows nothing lets go on."""
    figures = [0.5, 0.6, 0.7, 0.8]
    earlier = [Trial(n, {}, [0.1, 0.9 * figure, figure], figure) for n, figure in enumerate(figures)]

    def decided(earlier: list[Trial], best: float, sign: float = 1.0) -> list[str]:
        scheduler = pruning(earlier, sign=sign)
        trial: Any = SimpleNamespace(trial_id="new")
        scheduler.on_trial_add(None, trial)
        return [
            scheduler.on_trial_result(None, trial, {"training_iteration": look, "best": best})
            for look in (1, 2)
        ]

    assert decided(earlier, 0.5) == ["CONTINUE", "STOP"]
    assert decided([], 0.5) == ["CONTINUE", "CONTINUE"]
    assert decided(earlier, 0.75) == ["CONTINUE", "CONTINUE"]
    losses = [Trial(n, {}, [1.0, loss], loss) for n, loss in enumerate((0.2, 0.4, 0.6))]
    assert decided(losses, -0.5, sign=-1.0) == ["CONTINUE", "STOP"]
    assert decided(losses, -0.1, sign=-1.0) == ["CONTINUE", "CONTINUE"]


def test_the_least_wins_where_it_is_the_best(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(monkeypatch, by_number)
    texts, labels = sentences(24, seed=1)
    rows = [{"text": t, "score": float(len(label))} for t, label in zip(texts, labels, strict=True)]
    found = tune(
        teacher, rows, evaluate=rows, task="regression", out=tmp_path / "s", space=SPACE, trials=3,
        recipe=RECIPE.with_changes(best_by="mean_squared_error"), device="cpu",
    )  # fmt: skip
    assert found.ranked[0].number == 0


def test_what_cannot_be_searched(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(**how: Any) -> Any:
        given = {"evaluate": data(2), "out": tmp_path / "s", "trials": 2, "recipe": RECIPE, "device": "cpu"}
        return tune(teacher, data(1), **{**given, **how})

    with pytest.raises(ConfigError, match="looks_per_epoch=0"):
        search(recipe=RECIPE.with_changes(looks_per_epoch=0.0))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="which holds something else"):
        search(out=tmp_path / "full", force=True)
    assert (tmp_path / "full" / "mine.txt").read_text() == "x"
    running(monkeypatch, lambda number, changes: Trial(number, dict(changes), state="failed"))
    with pytest.raises(TrainingError, match="2 trials, none of which did"):
        search()
    assert not (tmp_path / "s" / RECIPE_FILE).exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'distilbert\[ray\]'"):
        search()


def test_draws_are_the_seeds_and_inside() -> None:
    space = space_of(
        {"learning_rate": (1e-5, 1e-3), "warmup_share": (0.0, 0.2), "patience": (1, 4), "freeze": ["1"]}
    )
    assert space["learning_rate"] == Range(1e-5, 1e-3, whole=False, by_ratio=True)
    assert space["patience"] == Range(1, 4, whole=True)
    tried = draw(space, trials=400, seed=3)
    assert tried == draw(space, trials=400, seed=3)
    assert tried[:10] == draw(space, trials=10, seed=3)
    assert tried != draw(space, trials=400, seed=4)
    assert tried[0] == {}
    rates = [each["learning_rate"] for each in tried[1:]]
    assert min(rates) >= 1e-5
    assert max(rates) <= 1e-3
    # Evenly by ratio half of them are below 1e-4; evenly by size a tenth would be.
    assert 0.4 < sum(rate < 1e-4 for rate in rates) / len(rates) < 0.6
    assert {each["patience"] for each in tried[1:]} == {1, 2, 3, 4}


def test_a_space_as_it_is_typed() -> None:
    words = ["learning_rate=1e-5..1e-3", "batch_size=16,32", "freeze=none,embeddings"]
    assert spelled(words) == {
        "learning_rate": (1e-5, 1e-3), "batch_size": [16, 32], "freeze": ["none", "embeddings"],
    }  # fmt: skip
    for wrong in (["learning_rate"], ["=1..2"], ["batch_size="]):
        with pytest.raises(ConfigError, match="a field with a range or with values"):
            spelled(wrong)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"rate": [1]}, "A search varies"), ({"seed": [1]}, "A search varies"), ({}, "at least one field"),
        ({"epochs": (3.0, 2.0)}, "a range from low to high"), ({"epochs": []}, "a range from low to high"),
        ({"freeze": ["head"]}, "freeze must be"), ({"warmup_share": (0.1, 1.5)}, "warmup_share must be"),
    ]  # fmt: skip
    for space, sentence in refused:
        with pytest.raises(ConfigError, match=sentence):
            space_of(space)


def test_a_recipe_is_the_file_that_it_was_written_to(tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(adam_betas=(0.8, 0.95), freeze="2", compile=True, best_by="macro_f1")
    (tmp_path / "r.toml").write_text(recipe.as_toml())
    assert Finetuning.read(tmp_path / "r.toml") == recipe
    assert "steps" not in tomllib.loads(recipe.as_toml())
