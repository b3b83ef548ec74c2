"""Several teachers: each term is the weighted mean of what it is with each of them."""

import json
from pathlib import Path

import pytest
from small_files import WORDS, sentences, write_teacher

from distilbert import Distiller, LanguageModelling
from distilbert.cli.main import main
from distilbert.core.files import read_json
from distilbert.errors import ConfigError

RECIPE = LanguageModelling(
    steps=3, batch_size=8, micro_batch_size=8, max_length=24, min_length=3, dropout=0.0, learning_rate=1e-3,
    held_out=5, precision="fp32", jensen_shannon_weight=1.0, logits_error_weight=1.0, hidden_weight=1.0,
    relation_weight=1.0,
)  # fmt: skip
#: The student hardly moves, so that all runs compare the same models.
STILL = RECIPE.with_changes(learning_rate=1e-12)
TEXTS = [text for words in (6, 12) for text in sentences(40, words=words, seed=words)[0]]
TERMS = ("distribution", "jensen_shannon", "logits_error", "cosine", "hidden", "relation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two teachers of one vocabulary and unlike weights, and one of another vocabulary."""
    root = tmp_path_factory.mktemp("teachers")
    write_teacher(root / "a")
    write_teacher(root / "b", layers=3, seed=1)
    write_teacher(root / "other")
    (root / "other" / "vocab.txt").write_text("\n".join([*WORDS[:-2], WORDS[-1], WORDS[-2]]) + "\n")
    (root / "other" / "tokenizer.json").unlink()
    return root


def losses(
    out: Path, *teachers: Path, recipe: LanguageModelling = STILL, **options
) -> dict[str, list[float]]:
    distiller = Distiller(list(teachers), layers=2, recipe=recipe, device="cpu", **options)
    return distiller.run(TEXTS, out=out).log.losses


def test_a_teacher_named_twice_teaches_as_it_does_alone(folder: Path, tmp_path: Path) -> None:
    alone = losses(tmp_path / "alone", folder / "a", recipe=RECIPE)
    twice = losses(tmp_path / "twice", folder / "a", folder / "a", teacher_weights=[3, 1], recipe=RECIPE)
    for name in (*TERMS, "masked_lm", "total"):
        assert twice[name] == pytest.approx(alone[name], rel=1e-5), name


def test_each_term_is_the_weighted_mean(folder: Path, tmp_path: Path) -> None:
    """The student is cut from the first, so the second is heard alone by a weight of nearly all."""
    a, b = folder / "a", folder / "b"
    first = losses(tmp_path / "first", a)
    second = losses(tmp_path / "second", a, b, teacher_weights=[1e-9, 1])
    mixed = losses(tmp_path / "mixed", a, b, teacher_weights=[2, 1])
    swapped = losses(tmp_path / "swapped", a, b, teacher_weights=[1, 2])
    for name in TERMS:
        expected = [(2 * x + y) / 3 for x, y in zip(first[name], second[name], strict=True)]
        assert mixed[name] == pytest.approx(expected, rel=1e-5), name
        assert swapped[name] != pytest.approx(expected, rel=1e-3), name
    assert mixed["masked_lm"] == pytest.approx(first["masked_lm"], rel=1e-6), "it asks no teacher"
    facts = read_json(tmp_path / "mixed" / "distilbert.json")
    assert [round(one["weight"], 6) for one in facts["teachers"]] == [0.666667, 0.333333]
    assert facts["teachers"][0]["weights"] == facts["teacher"]["weights"] != facts["teachers"][1]["weights"]
    assert "teachers" not in read_json(tmp_path / "first" / "distilbert.json")


def test_no_weights_are_equal_ones(folder: Path, tmp_path: Path) -> None:
    a, b = folder / "a", folder / "b"
    assert losses(tmp_path / "none", a, b) == losses(tmp_path / "equal", a, b, teacher_weights=[5, 5])


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        ([], {}, "at least one teacher"),
        (["a", "b"], {"teacher_weights": [1]}, "1 weights for 2 teachers"),
        (["a"], {"teacher_weights": [0]}, "teacher_weights"),
        (["a", "b"], {"teacher_weights": [1, float("nan")]}, "teacher_weights"),
        (["a", "b"], {"answers": "answers"}, "Answers that were kept are of one teacher"),
    ],
)
def test_teachers_that_do_not_go_together(folder: Path, names: list[str], options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Distiller([folder / name for name in names], layers=2, recipe=STILL, **options)


def test_teachers_of_two_vocabularies_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one vocabulary"):
        losses(tmp_path / "out", folder / "a", folder / "other")
    assert not list(tmp_path.iterdir())


def test_the_command_and_the_doctor(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    (tmp_path / "recipe.json").write_text(json.dumps({"min_length": 3, "max_length": 24}))
    command = (
        f"--teacher {folder}/a {folder}/b --teacher-weights 2 1 --text {tmp_path}/texts.txt --layers 2 "
        f"--recipe {tmp_path}/recipe.json --device cpu --quiet --json"
    )
    assert main(f"distill {command} --steps 2 --out {tmp_path}/out".split()) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [one["n_layers"] for one in facts["teachers"]] == [4, 3]
    assert main(f"doctor {command}".split()) == 1
    said = " ".join(finding["what"] for finding in json.loads(capsys.readouterr().out))
    assert f"Teacher 1 ({folder}/a) tells hidden words" in said
    assert f"Teacher 2 ({folder}/b) tells hidden words" in said
