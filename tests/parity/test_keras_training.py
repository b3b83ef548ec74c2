"""Runs of the Keras wing beside PyTorch's, from the same weights and data: step for step the same losses."""

from pathlib import Path
from typing import Any

import pytest
from task_folders import rows_of, write_task_folder

from distilbert import Finetuner, Finetuning

pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

from distilbert.keras.finetune import Finetuner as KerasFinetuner  # after the skip

#: Everything that shapes a step has a value that shows: decay, clipping, rates by depth, parts of steps.
RECIPE = Finetuning(
    steps=10,
    batch_size=8,
    micro_batch_size=5,
    max_length=24,
    learning_rate=2e-3,
    weight_decay=0.1,
    warmup_share=0.3,
    max_grad_norm=0.7,
    layer_rate_decay=0.9,
    dropout=0.0,
    precision="fp32",
    eval_share=0.0,
)

TASKS = {
    "sequence-classification": {"class_weights": "balanced", "freeze": "embeddings"},
    "pairs": {},
    "multi-label-classification": {"class_weights": "balanced"},
    "regression": {},
    "multiple-choice": {},
    "token-classification": {},
    "question-answering": {},
}


def losses(kind: Any, folder: Path, recipe: Finetuning, out: Path, rows: Any, **options: Any) -> Any:
    more = {"unlabelled": options.pop("unlabelled", ())}
    return kind(folder, recipe=recipe, device="cpu", **options).run(rows, out=out, **more).log.losses


@pytest.mark.parametrize("name", TASKS)
def test_ten_steps_have_pytorchs_losses(name: str, tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "model", name)
    recipe, rows = RECIPE.with_changes(**TASKS[name]), rows_of(name, 40, seed=3)
    torch_s = losses(Finetuner, folder, recipe, tmp_path / "torch", rows)
    ours = losses(KerasFinetuner, folder, recipe, tmp_path / "keras", rows)
    assert list(ours) == list(torch_s) == ["labels", "total"]
    assert ours["labels"] == pytest.approx(torch_s["labels"], abs=1e-4)
    assert abs(torch_s["labels"][0] - torch_s["labels"][-1]) > 1e-2, "something was learnt"


def test_a_teacher_is_learnt_from_alike_and_another_recipe_is_another_run(tmp_path: Path) -> None:
    """On labelled and unlabelled texts; without weight decay, or clipped elsewhere, losses are others."""
    name = "sequence-classification"
    folder, rows = write_task_folder(tmp_path / "model", name), rows_of(name, 40, seed=3)
    teaching = RECIPE.with_changes(steps=4, learning_rate=1e-2)
    losses(Finetuner, folder, teaching, tmp_path / "teacher", rows)
    given = {
        "teacher": tmp_path / "teacher",
        "unlabelled": [row["text"] for row in rows_of(name, 20, seed=4)],
    }
    recipe = RECIPE.with_changes(unlabelled_batch_size=4)
    torch_s = losses(Finetuner, folder, recipe, tmp_path / "torch", rows, **given)
    ours = losses(KerasFinetuner, folder, recipe, tmp_path / "keras", rows, **given)
    assert set(ours) == {"labels", "teacher", "total"}
    for term, values in ours.items():
        assert values == pytest.approx(torch_s[term], abs=1e-4), term
    for i, changes in enumerate(({"weight_decay": 2.0}, {"max_grad_norm": 2.0}, {"layer_rate_decay": 1.0})):
        other = losses(
            Finetuner, folder, recipe.with_changes(**changes), tmp_path / f"other-{i}", rows, **given
        )
        assert max(abs(a - b) for a, b in zip(other["total"], ours["total"], strict=True)) > 1e-3, changes
