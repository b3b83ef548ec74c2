"""A model card says what the facts say, and nothing else."""

from pathlib import Path

from distilbert.core.card import CARD_FILE, card, write_card

FACTS = {
    "task": {"name": "sequence-classification", "labels": ["good", "b|ad"]},
    "parameters": 1234567,
    "base": "student",
    "data": {"labelled": 900, "unlabelled": 0, "cut_to_max_length": 3},
    "max_length": 128,
    "taught": False,
    "recipe": {
        "epochs": 3.0,
        "steps": None,
        "learning_rate": 5e-5,
        "freeze": "none",
        "lora_rank": 0,
        "seed": 7,
    },
    "training": {
        "steps": 84,
        "seconds": 61.2,
        "kept": {"step": 56, "accuracy": 0.9125},
        "stopped_early": True,
    },
    "evaluation": {
        "accuracy": {"value": 0.91, "low": 0.88, "high": 0.94},
        "rows": 100,
        "cut_to_max_length": 0,
    },
}


def test_a_card_has_the_facts() -> None:
    text = card(FACTS, name="my model")
    for part in (
        "# my model", "pipeline_tag: text-classification", "1,234,567 parameters", "900 labelled examples",
        "good, b\\|ad", "after step 56, where accuracy was best (0.912)", "It stopped early",
        "| accuracy | 0.9100 | 0.8800 | 0.9400 |", "On 100 examples", "chose which weights", "| seed | 7 |",
        "| learning_rate | 5e-05 |", "3 examples were longer than 128 tokens",
    ):  # fmt: skip
        assert part in text, part
    for absent in ("without labels", "freeze", "lora", "teacher", "None"):
        assert absent not in text, absent


def test_without_facts_nothing_is_claimed() -> None:
    text = card({"task": {"name": "regression"}, "training": {"steps": 3, "seconds": 1.0}}, name="m")
    assert "How good" not in text
    assert "chose which" not in text
    judged = {name: value for name, value in FACTS.items() if name != "training"}
    assert "chose which" not in card(judged, name="m"), "all steps were taken, and nothing was chosen"


def test_a_page_that_somebody_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / CARD_FILE
    path.write_text("my own words")
    write_card(tmp_path, FACTS, name="m")
    assert path.read_text() == "my own words"
    path.unlink()
    write_card(tmp_path, FACTS, name="m")
    write_card(tmp_path, {**FACTS, "parameters": 5}, name="m")
    assert "of 5 parameters" in path.read_text()
