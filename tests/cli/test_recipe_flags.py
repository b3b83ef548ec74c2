"""Whatever a recipe's file may say, a command's flags may say too, and they go before the file."""

import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from distilbert import Finetuning, LanguageModelling
from distilbert.cli.main import parser
from distilbert.cli.recipe_flags import read_recipe
from distilbert.errors import ConfigError

#: What each command must be given besides.
GIVEN = {
    "distill": "--teacher t --text x --layers 2 --out o",
    "pretrain": "--model m --text x --out o",
    "finetune": "--model m --train x --out o",
    "tune": "--model m --train x --out o",
}
KINDS = {
    "distill": LanguageModelling,
    "pretrain": LanguageModelling,
    "finetune": Finetuning,
    "tune": Finetuning,
}

#: Fields that a command has no flag for, by reason.
UNREACHABLE = {
    "it has no teacher, and one term": {
        ("pretrain", name) for name in (
            "masked_lm_weight", "distribution_weight", "jensen_shannon_weight", "logits_error_weight",
            "cosine_weight", "hidden_weight", "hidden_loss", "hidden_layers", "relation_weight",
            "relation_heads", "relation_layer", "temperature", "positions", "special_positions",
            "freeze_positions",
        )
    },
}  # fmt: skip

#: For each field a value that no recipe has by itself, as a flag says it and as the recipe has it.
VALUES = {
    "seed": ("7", 7), "epochs": ("1.5", 1.5), "steps": ("9", 9), "tokens": ("1000", 1000),
    "batch_size": ("11", 11), "micro_batch_size": ("3", 3), "unlabelled_batch_size": ("5", 5),
    "max_length": ("77", 77), "min_length": ("8", 8), "precision": ("bf16", "bf16"),
    "learning_rate": ("1e-3", 1e-3), "new_weights_rate": ("4", 4.0), "warmup_share": ("0.5", 0.5),
    "weight_decay": ("0.3", 0.3), "adam_betas": ("0.8 0.9", (0.8, 0.9)), "adam_eps": ("1e-7", 1e-7),
    "max_grad_norm": ("2", 2.0), "dropout": ("0.2", 0.2), "masking": ("span", "span"),
    "mask_rate": ("0.3", 0.3), "mask_share": ("0.7", 0.7), "keep_share": ("0.2", 0.2),
    "smoothing": ("0.4", 0.4), "label_weight": ("0.6", 0.6), "teacher_weight": ("0.7", 0.7),
    "masked_lm_weight": ("1.1", 1.1), "distribution_weight": ("1.2", 1.2),
    "jensen_shannon_weight": ("1.3", 1.3), "logits_error_weight": ("1.4", 1.4), "temperature": ("3", 3.0),
    "positions": ("masked+10%", "masked+10%"), "special_positions": ("", True),
    "cosine_weight": ("1.5", 1.5), "hidden_weight": ("1.6", 1.6), "hidden_loss": ("cosine", "cosine"),
    "hidden_layers": ("0:1,1:3", ((0, 1), (1, 3))), "relation_weight": ("1.7", 1.7),
    "relation_heads": ("2", 2), "relation_layer": ("1", 1), "freeze_positions": ("", True),
    "held_out": ("33", 33), "judge_every": ("44", 44), "checkpoint_every": ("55", 55),
    "doc_stride": ("33", 33), "null_threshold": ("0.4", 0.4), "compile": ("", True),
    "class_weights": ("balanced", "balanced"), "eval_share": ("0.3", 0.3),
    "looks_per_epoch": ("4", 4.0), "look_examples": ("66", 66), "best_by": ("macro_f1", "macro_f1"),
    "patience": ("9", 9), "freeze": ("1", "1"), "layer_rate_decay": ("0.9", 0.9), "lora_rank": ("8", 8),
    "lora_alpha": ("8", 8), "lora_dropout": ("0.1", 0.1), "lora_at": ("attention", "attention"),
    "pair_loss": ("margin", "margin"), "similarity_scale": ("9", 9.0),
    "margin": ("0.4", 0.4), "vector_loss": ("error", "error"), "pooling": ("cls", "cls"),
}  # fmt: skip


def commands() -> dict[str, argparse.ArgumentParser]:
    return parser()._subparsers._group_actions[0].choices


def flag(field: str) -> str:
    return "--heard-at" if field == "positions" else f"--{field.replace('_', '-')}"


REACHABLE = [
    (command, field.name)
    for command, kind in KINDS.items()
    for field in fields(kind)
    if (command, field.name) not in set().union(*UNREACHABLE.values())
]


@pytest.mark.parametrize(("command", "field"), REACHABLE)
def test_every_field_is_reached_by_its_flag(command: str, field: str, tmp_path: Path) -> None:
    """And the flag goes before the file, which says something else; nothing else changes."""
    kind, (written, value) = KINDS[command], VALUES[field]
    usual = kind.read("adapt" if command == "pretrain" else "default")
    assert getattr(usual, field) != value
    words = [*command.split(), *GIVEN[command].split(), flag(field), *written.split()]
    args = parser().parse_args(words)
    args.recipe = args.recipe or "adapt"  # as pretrain has it, of a model that there is
    found = read_recipe(args, kind)
    assert found == usual.with_changes(**{field: value})
    (tmp_path / "recipe.toml").write_text("seed = 123\nsteps = 321\n")
    found = read_recipe(parser().parse_args([*words, "--recipe", str(tmp_path / "recipe.toml")]), kind)
    assert found == kind(**{"seed": 123, "steps": 321, field: value})


def test_what_is_not_reached_is_not_there() -> None:
    for command, field in set().union(*UNREACHABLE.values()):
        assert flag(field) not in commands()[command]._option_string_actions


def test_what_a_recipe_says_by_name_can_be_taken_back() -> None:
    words = ["distill", *GIVEN["distill"].split(), "--recipe", "distilbert", "--no-freeze-positions"]
    found = read_recipe(parser().parse_args(words), LanguageModelling)
    assert found == LanguageModelling.read("distilbert").with_changes(freeze_positions=False)


def test_a_value_that_the_rule_refuses() -> None:
    for written, sentence in (("--precision fp8", "precision must be one of"), ("--masking all", "masking")):
        words = ["distill", *GIVEN["distill"].split(), *written.split()]
        with pytest.raises(ConfigError, match=sentence):
            read_recipe(parser().parse_args(words), LanguageModelling)
    words = ["distill", *GIVEN["distill"].split(), "--hidden-layers", "0:x"]
    with pytest.raises(SystemExit):
        parser().parse_args(words)


@pytest.mark.parametrize("command", ["distill", "pretrain", "finetune", "tune", "doctor", "ask"])
def test_help_says_the_usual_value_in_groups(command: str) -> None:
    said = commands()[command].format_help()
    groups = [group.title for group in commands()[command]._action_groups if group._group_actions]
    assert len(groups) == len(set(groups)), "each group stands once"
    assert "recipe" in groups
    assert not [group for group in commands()[command]._action_groups if len(group._group_actions) > 18]
    assert max(map(len, said.splitlines())) <= 110
    assert len(said[: said.index("\n\n")]) < 500, "usage is a line or two"


def test_usage_names_what_must_be_given() -> None:
    usage = " ".join(commands()["distill"].format_usage().split())
    assert usage == "usage: distilbert distill --teacher MODEL --text PATH --out DIR [further flags]"


def test_usual_values_are_the_recipes() -> None:
    said = " ".join(commands()["pretrain"].format_help().split())
    assert "weights drawn anew learn so many times as fast (20)" in said
    assert "at its highest (5e-05)" in said
    assert "how long AdamW remembers (0.9 0.98)" in said
