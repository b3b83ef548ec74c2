"""Looks at examples that are not learnt from: the best weights are kept, and a run may end early."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import Finetuner, Finetuning, LabelledTexts, evaluate
from distilbert.core.tasks import outcome
from distilbert.core.training import example_trainer
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, TrainingError
from distilbert.torch.processes import Alone
from distilbert.torch.selecting import Selection

RECIPE = Finetuning(
    epochs=4, batch_size=8, learning_rate=3e-3, precision="fp32", dropout=0.0, looks_per_epoch=1, patience=0
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_teacher(folder)
    torch.set_num_threads(1)
    return folder


def looking(values: list[float], *, lowest: bool = False, patience: int = 0) -> tuple[Any, list[float], Any]:
    """A model whose one weight counts steps, looked at with given figures: until when, and the log."""
    model = torch.nn.Linear(1, 1, bias=False)
    figures = iter(values)
    selection = Selection(
        model, lambda: {"figure": next(figures)}, 1, "figure", lowest=lowest, patience=patience
    )
    log, taken = TrainingLog(), []
    for step in range(1, len(values) + 1):
        with torch.no_grad():
            model.weight.fill_(step)
        taken.append(step)
        if not selection.look(log, step, len(values), Alone(torch.device("cpu"))):
            break
    return selection, taken, log


def test_the_weights_of_the_best_look_are_put_back() -> None:
    selection, taken, log = looking([0.1, 0.9, 0.5, 0.9, 0.2])
    assert taken == [1, 2, 3, 4, 5]
    assert selection.model.weight.item() == 5.0
    selection.put_back()
    assert selection.model.weight.item() == 2.0, "the first of two that are alike"
    assert selection.facts(log) == {"kept": {"step": 2, "figure": 0.9}, "stopped_early": False}
    least, _, _ = looking([0.1, 0.9, 0.05, 0.9], lowest=True)
    least.put_back()
    assert least.model.weight.item() == 3.0, "the least is the best where that is so"


def test_looks_without_a_better_one_end_a_run() -> None:
    selection, taken, log = looking([0.5, 0.6, 0.6, 0.5, 0.9], patience=2)
    assert taken == [1, 2, 3, 4], "a look that is alike is no better"
    assert selection.facts(log)["stopped_early"]
    selection, taken, log = looking([0.5, 0.4, 0.6, 0.5], patience=2)
    assert taken == [1, 2, 3, 4]
    assert not selection.facts(log)["stopped_early"]
    assert looking([0.5, 0.4, 0.3, 0.2], patience=2)[1] == [1, 2, 3]


def test_of_several_processes_one_looks_and_all_hear() -> None:
    class Another(Alone):
        """The second of two: what it hears is what the first one saw."""

        rank, count = 1, 2

        def everyones(self, names: Any) -> list[str]:
            assert not list(names), "it has seen nothing itself"
            return ["figure"]

        def total(self, numbers: torch.Tensor) -> torch.Tensor:
            return numbers + next(heard)

    heard = iter([0.25, 0.75, 0.5, 0.5])
    model = torch.nn.Linear(1, 1, bias=False)

    def never() -> Mapping[str, float]:
        raise AssertionError("it does not look itself")

    selection, log = Selection(model, never, 1, "figure", patience=2), TrainingLog()
    goes_on = [selection.look(log, step, 9, Another(torch.device("cpu"))) for step in range(1, 5)]
    assert goes_on == [True, True, True, False]
    assert selection.facts(log)["kept"] == {"step": 2, "figure": 0.75}


def looked_at(teacher: Path, out: Path, **changes: Any) -> Any:
    return Finetuner(teacher, recipe=RECIPE.with_changes(**changes), device="cpu").run(
        LabelledTexts(*sentences(40, seed=1)), evaluate=LabelledTexts(*sentences(20, seed=2)), out=out
    )


def test_a_run_keeps_what_its_best_look_saw(teacher: Path, tmp_path: Path) -> None:
    run = looked_at(teacher, tmp_path / "best")
    looks = {look["step"]: look["accuracy"] for look in run.log.judged}
    kept = run.facts["training"]["kept"]
    assert list(looks) == [5, 10, 15, 20]
    assert kept["accuracy"] == max(looks.values())
    scores = evaluate(tmp_path / "best", LabelledTexts(*sentences(20, seed=2)), device="cpu")
    assert scores["accuracy"]["value"] == pytest.approx(kept["accuracy"])
    with pytest.raises(ConfigError, match="one of the task's metrics: accuracy, macro_f1"):
        looked_at(teacher, tmp_path / "no", best_by="bleu")


def test_the_kept_weights_are_not_the_last_ones(teacher: Path, tmp_path: Path) -> None:
    """Figures that are told make the second look the best: what is saved is what a run of that length had."""
    from distilbert.torch import finetune

    figures, seen = iter([0.2, 0.9, 0.1, 0.1]), []
    original = finetune.Selection

    class Told(original):
        def __init__(self, model: Any, judge: Any, *given: Any, **how: Any) -> None:
            def told() -> Mapping[str, float]:
                seen.append({key: array.copy() for key, array in model.arrays().items()})
                return {**judge(), "accuracy": next(figures)}

            super().__init__(model, told, *given, **how)

    arrays = {}
    heard: list[Mapping[str, float]] = []
    for name, steps in (("whole", 20), ("last", 20)):
        with pytest.MonkeyPatch.context() as patch:
            if name == "whole":
                patch.setattr(finetune, "Selection", Told)
            recipe = RECIPE.with_changes(steps=steps, looks_per_epoch=1 if name == "whole" else 0.0)
            run = Finetuner(teacher, recipe=recipe, device="cpu", on_look=heard.append).run(
                LabelledTexts(*sentences(40, seed=1)),
                evaluate=LabelledTexts(*sentences(20, seed=2)),
                out=tmp_path / name,
            )
        arrays[name] = weights(tmp_path / name)
        if name == "whole":
            assert run.facts["training"]["kept"] == {"step": 10, "accuracy": 0.9}
    assert len(heard) == 4, "of looks that there are none of nobody is told"
    assert all(np.array_equal(arrays["whole"][key], seen[1][key]) for key in seen[1])
    assert all(np.array_equal(arrays["last"][key], seen[3][key]) for key in seen[3])
    assert any(not np.array_equal(seen[1][key], seen[3][key]) for key in seen[1])


def weights(folder: Path) -> Any:
    from distilbert.torch.predictor import Predictor

    return Predictor.open(folder, device="cpu").model.arrays()


class Killed(Exception):  # noqa: N818  # what a signal does
    pass


@pytest.mark.parametrize("changes", [{}, {"lora_rank": 2, "freeze": "1", "layer_rate_decay": 0.8}])
def test_a_run_that_was_killed_goes_on_with_its_best_weights(
    teacher: Path, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worst look counts as the best, which is the first one: what it saw must outlive the process.
    monkeypatch.setattr("distilbert.core.training.looks.lower_is_better", lambda metric: True)
    recipe = RECIPE.with_changes(checkpoint_every=4, dropout=0.1, class_weights="balanced", **changes)
    data = LabelledTexts(*sentences(40, seed=1))
    other = LabelledTexts(*sentences(20, seed=2))

    def run(out: Path, *, stop_at: int | None = None, resume: bool = False) -> Any:
        def progress(stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
            if stage == "fine-tune" and done == stop_at:
                raise Killed

        finetuner = Finetuner(teacher, recipe=recipe, device="cpu", progress=progress)
        return finetuner.run(data, evaluate=other, out=out, resume=resume)

    whole = run(tmp_path / "whole")
    assert whole.facts["training"]["kept"]["step"] <= 10
    with pytest.raises(Killed):
        run(tmp_path / "halved", stop_at=14)
    resumed = run(tmp_path / "halved", resume=True)
    assert resumed.log.judged == whole.log.judged
    assert resumed.log.losses == whole.log.losses
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "halved")
    assert all(np.array_equal(one[key], two[key]) for key in one)


def test_a_budget_has_room_for_the_scores(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answering 160 examples at the end takes is told by a few of them."""
    ordinary, asked = outcome.judge, []

    def slow(pupil: Any, examples: Any, **options: Any) -> Any:
        asked.append(len(examples))
        time.sleep(0.02 * len(examples))
        return ordinary(pupil, examples, **options)

    monkeypatch.setattr(example_trainer, "judge", slow)
    recipe = Finetuning(steps=3, batch_size=8, max_length=24, precision="fp32", looks_per_epoch=0)
    finetuner = Finetuner(teacher, recipe=recipe, device="cpu")
    given = LabelledTexts(*sentences(40, seed=2)), LabelledTexts(*sentences(160, seed=3))
    with pytest.raises(TrainingError, match="the result take"):
        finetuner.run(given[0], evaluate=given[1], out=tmp_path / "out", budget=3.0)
    assert asked == [64]
    assert not list(tmp_path.iterdir())


def test_a_folder_has_a_card_unless_somebody_wrote_a_page(teacher: Path, tmp_path: Path) -> None:
    data, out = LabelledTexts(*sentences(24, seed=1)), tmp_path / "out"
    finetuner = Finetuner(teacher, recipe=RECIPE.with_changes(steps=1), device="cpu")
    finetuner.run(data, out=out)
    assert "# out" in (out / "README.md").read_text()
    assert "24 labelled examples" in (out / "README.md").read_text()
    finetuner.run(LabelledTexts(*sentences(20, seed=1)), out=out, force=True)
    assert "20 labelled examples" in (out / "README.md").read_text(), "it is written anew with the folder"
    (out / "README.md").write_text("my own words")
    finetuner.run(data, out=out, force=True)
    assert (out / "README.md").read_text() == "my own words"


def test_a_part_is_held_out_where_nothing_was_given(teacher: Path, tmp_path: Path) -> None:
    data = LabelledTexts(*sentences(40, seed=1))
    recipe = RECIPE.with_changes(epochs=1)
    run = Finetuner(teacher, recipe=recipe.with_changes(eval_share=0.25), device="cpu").run(
        data, out=tmp_path / "some"
    )
    assert (run.facts["data"]["labelled"], run.facts["data"]["judged"]) == (30, 10)
    assert run.facts["evaluation"]["rows"] == 10
    run = Finetuner(teacher, recipe=recipe, device="cpu").run(data, out=tmp_path / "few")
    assert run.facts["data"]["judged"] == 0, "a tenth of forty says nothing"
    assert "evaluation" not in run.facts
