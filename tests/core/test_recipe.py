"""Recipes: by name, from a file, changed by flags."""

from pathlib import Path

import pytest

from distilbert import Finetuning, LanguageModelling
from distilbert.errors import ConfigError


def test_the_published_distillation() -> None:
    recipe = LanguageModelling.read("distilbert")
    weights = (recipe.distribution_weight, recipe.masked_lm_weight, recipe.cosine_weight)
    assert weights == (5.0, 2.0, 1.0)
    assert (recipe.temperature, recipe.mask_rate, recipe.smoothing) == (2.0, 0.15, 0.7)
    assert (recipe.learning_rate, recipe.warmup_share, recipe.weight_decay) == (5e-4, 0.05, 0.0)
    assert (recipe.adam_betas, recipe.adam_eps, recipe.max_grad_norm) == ((0.9, 0.98), 1e-6, 5.0)
    assert (recipe.epochs, recipe.batch_size, recipe.micro_batch_size) == (3, 250, 5)
    assert recipe.positions == "all"
    assert recipe.freeze_positions
    assert recipe.min_length == 12  # it keeps sequences of more than 11 tokens


@pytest.mark.parametrize(
    ("name", "text"),
    [("r.toml", "steps = 7\npositions = 'all'\n"), ("r.json", '{"steps": 7, "positions": "all"}')],
)
def test_a_recipe_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert LanguageModelling.read(tmp_path / name) == LanguageModelling(steps=7, positions="all")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "A recipe is one of default"),
        ("steps = ", "well-formed"),
        ("step = 7", "has the fields seed, .*Received: step"),
        ("steps = 0", "steps must be a whole number of at least 1"),
        ("learning_rate = -1", "learning_rate must be"),
        ("precision = 'fp8'", "precision must be one of auto, fp32, bf16"),
        ("adam_betas = [0.9, 3]", "adam_betas must be a number from 0 to 1"),
        ("adam_betas = 0.9", "adam_betas"),
    ],
)
def test_a_recipe_that_is_none(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        Finetuning.read(tmp_path / "r.toml")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    for name, text in (("r.toml", "steps = 7"), ("r.json", '{"steps": 7}')):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert LanguageModelling.read(tmp_path / name).steps == 7


def test_what_becomes_of_hidden_words_is_at_most_all_of_them() -> None:
    for mask, keep in ((0.8, 0.2), (0.7, 0.3), (1.0, 0.0), (0.0, 1.0)):
        assert LanguageModelling(mask_share=mask, keep_share=keep).mask_share == mask
    with pytest.raises(ConfigError, match=r"mask_share and keep_share .*mask_share=0\.9, keep_share=0\.5"):
        LanguageModelling(mask_share=0.9, keep_share=0.5)
    with pytest.raises(ConfigError, match="together at most 1"):
        LanguageModelling().with_changes(mask_share=0.95)


def test_flags_change_what_they_name_and_nothing_else() -> None:
    assert Finetuning().with_changes(steps=3, epochs=None) == Finetuning(steps=3)
    assert Finetuning(steps=3).total_steps(1000) == 3
    assert Finetuning(epochs=2, batch_size=10).total_steps(95) == 19
    assert Finetuning(epochs=0.01).total_steps(1) == 1
