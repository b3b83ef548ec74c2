"""Runs of the Keras wing beside PyTorch's, from the same weights and data: step for step the same losses."""

from pathlib import Path
from typing import Any

import pytest
from small_files import sentences, write_teacher
from task_folders import rows_of, write_task_folder

from distilbert import Distiller, Finetuner, Finetuning, LanguageModelling

pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

from distilbert.keras.distill import Distiller as KerasDistiller  # after the skip
from distilbert.keras.finetune import Finetuner as KerasFinetuner

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
    folder = write_task_folder(tmp_path / "model", name, bert=name in ("pairs", "multiple-choice"))
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


DISTILLING = LanguageModelling(
    steps=10,
    batch_size=8,
    micro_batch_size=5,
    max_length=24,
    min_length=3,
    learning_rate=3e-3,
    warmup_share=0.3,
    weight_decay=0.1,
    max_grad_norm=2.0,
    dropout=0.0,
    precision="fp32",
    held_out=8,
    judge_every=5,
)

#: The triple loss as the paper has it, and every other term beside it.
OBJECTIVES: dict[str, dict[str, Any]] = {
    "triple": {},
    "all": {
        "jensen_shannon_weight": 0.7, "logits_error_weight": 0.2, "hidden_weight": 0.5, "temperature": 3.0,
        "positions": "masked+20%", "special_positions": True, "freeze_positions": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTIVES)
def test_ten_steps_of_distillation_have_pytorchs_losses(name: str, tmp_path: Path) -> None:
    """From a BERT, the held-out sequences included."""
    teacher, texts = write_teacher(tmp_path / "bert", layers=2), sentences(170, seed=1)[0]
    recipe = DISTILLING.with_changes(**OBJECTIVES[name])

    def run(kind: Any, recipe: LanguageModelling, out: str) -> Any:
        return kind(teacher, layers=1, recipe=recipe, device="cpu").run(texts, out=tmp_path / out).log

    torch_s, ours = run(Distiller, recipe, "torch"), run(KerasDistiller, recipe, "jax")
    assert list(ours.losses) == list(torch_s.losses)
    for term, values in ours.losses.items():
        assert values == pytest.approx(torch_s.losses[term], abs=1e-4), term
    assert (ours.tokens, ours.flops) == (torch_s.tokens, torch_s.flops)
    assert [look["step"] for look in ours.judged] == [0, 5, 10]
    for look, told in zip(ours.judged, torch_s.judged, strict=True):
        assert look == pytest.approx(told, rel=1e-3)
    if name == "triple":
        other = run(Distiller, recipe.with_changes(temperature=1.5), "other")
        apart = [abs(a - b) for a, b in zip(other.losses["total"], ours.losses["total"], strict=True)]
        assert min(apart) > 1e-3
