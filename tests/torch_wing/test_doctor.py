"""What is likely wrong is said before hours go into it; what is right is not doubted."""

import json
import logging
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from small_files import sentences, write_table, write_teacher

from distilbert import (
    BertForMaskedLM,
    DistilBertTokenizerFast,
    Distiller,
    Finetuner,
    Finetuning,
    LabelledTexts,
    LanguageModelling,
    Pretrainer,
)
from distilbert.cli.main import main
from distilbert.core.training.course import MicroBatch
from distilbert.core.training.findings import of_course
from distilbert.core.training.word_findings import entropy, word_counts
from distilbert.core.training_log import TrainingLog
from distilbert.torch.doctor import of_signal
from distilbert.torch.train import Sums

RECIPE = LanguageModelling(
    steps=60, learning_rate=2e-3, max_length=24, min_length=3, held_out=0, batch_size=16
)
TEXTS = [text for words in (6, 12) for text in sentences(60, words=words, seed=words)[0]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that has learnt a little, one at random whose answers are wild, and the text."""
    folder = tmp_path_factory.mktemp("doctor")
    write_teacher(folder / "untrained")
    recipe = RECIPE.with_changes(steps=150)
    Pretrainer(folder / "untrained", recipe=recipe, device="cpu").run(TEXTS, out=folder / "teacher")
    model = BertForMaskedLM.from_pretrained(folder / "untrained")
    with torch.no_grad():
        model.get_output_embeddings().bias.normal_(0, 3)
    (folder / "wild").mkdir()
    for file in (folder / "untrained").iterdir():
        (folder / "wild" / file.name).write_bytes(file.read_bytes())
    model.save_pretrained(folder / "wild")
    (folder / "texts.txt").write_text("\n".join(TEXTS))
    return folder


def said(teacher: Path, texts: list[str] = TEXTS, layers: int = 2, **changes: object) -> list[str]:
    distiller = Distiller(teacher, layers=layers, recipe=RECIPE.with_changes(**changes), device="cpu")
    return [str(finding) for finding in distiller.examine(texts)]


def test_nothing_is_wrong_with_what_is_right(folders: Path) -> None:
    assert said(folders / "teacher") == []


def test_a_head_that_was_never_trained(folders: Path) -> None:
    (finding,) = said(folders / "wild")
    assert "no better than their frequency" in finding
    assert "distilbert pretrain" in finding


@pytest.mark.parametrize(("rate", "word"), [(0.1, "above"), (1e-8, "below")])
def test_rates_that_are_far_off(folders: Path, rate: float, word: str) -> None:
    (finding,) = said(folders / "teacher", learning_rate=rate)
    assert f"{rate:g} is far {word}" in finding


def test_a_text_in_another_language(folders: Path) -> None:
    foreign = ["слово за словом и ничего знакомого в этом тексте"] * 200
    assert any("left out" in finding for finding in said(folders / "teacher", [*TEXTS, *foreign]))


def test_a_student_that_is_its_teacher(folders: Path) -> None:
    (finding,) = said(folders / "teacher", layers=4)
    assert "before it has learnt anything" in finding


def test_a_tokenizer_that_is_another_models(folders: Path, tmp_path: Path) -> None:
    """As many words, of which each has another's number: the teacher then knows nothing."""
    shutil.copytree(folders / "teacher", tmp_path / "mixed")
    words = (tmp_path / "mixed" / "vocab.txt").read_text().split()
    order = np.random.default_rng(0).permutation(np.arange(5, len(words)))
    (tmp_path / "vocab.txt").write_text("\n".join([*words[:5], *(words[i] for i in order)]) + "\n")
    DistilBertTokenizerFast(tmp_path / "vocab.txt", model_max_length=32).save_pretrained(tmp_path / "mixed")
    (finding,) = said(tmp_path / "mixed")
    assert "no better than their frequency" in finding
    assert "tokenizer's files are not those" in finding


def test_words_that_the_vocabulary_lacks(folders: Path) -> None:
    """Some in each text, so that none is left out."""
    (finding,) = said(folders / "teacher", [f"{text} qwertz" for text in TEXTS])
    assert re.match(r"(6|7|8|9|10|11)% of the text's tokens are unknown", finding)
    assert not said(folders / "teacher", [f"qwertz {text} {text} {text}" for text in TEXTS])


@pytest.mark.parametrize("whose", ["teacher", "model"])
def test_weights_that_are_no_numbers(folders: Path, tmp_path: Path, whose: str) -> None:
    shutil.copytree(folders / "teacher", tmp_path / "ruined")
    arrays = load_file(tmp_path / "ruined" / "model.safetensors")
    name = next(name for name in arrays if name.endswith("layer.1.output.dense.weight"))
    arrays[name][3, 4] = math.nan
    save_file(arrays, tmp_path / "ruined" / "model.safetensors", metadata={"format": "pt"})
    if whose == "teacher":
        findings = said(tmp_path / "ruined", layers=(0, 2))
    else:
        pretrainer = Pretrainer(tmp_path / "ruined", recipe=RECIPE, device="cpu")
        findings = [str(finding) for finding in pretrainer.examine(TEXTS)]
    assert f"1 of the {whose}'s parameters hold what is no number, {name} first." in findings[0]
    assert not any("loss" in finding for finding in findings), "what follows from it is not said too"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_that_is_no_number_from_the_start(folders: Path, tmp_path: Path, precision: str) -> None:
    """Every weight is finite, and together they are too large."""
    shutil.copytree(folders / "teacher", tmp_path / "huge")
    arrays = load_file(tmp_path / "huge" / "model.safetensors")
    name = next(name for name in arrays if name.endswith("transform.dense.weight"))
    save_file(
        {**arrays, name: 1e38 * np.sign(arrays[name])},  # of one sign, states whose mean is 0 would cancel
        tmp_path / "huge" / "model.safetensors",
        metadata={"format": "pt"},
    )
    recipe = RECIPE.with_changes(precision=precision)
    pretrainer = Pretrainer(tmp_path / "huge", recipe=recipe, device="cpu")
    assert any("no number before anything is learnt: masked_lm" in str(f) for f in pretrainer.examine(TEXTS))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_loss_without_a_gradient(folders: Path, precision: str) -> None:
    """A student that is its teacher learns from nothing but the words."""
    for weight, told in ((0.0, True), (2.0, False)):
        findings = said(
            folders / "teacher", layers=4, masked_lm_weight=weight, precision=precision, dropout=0.0
        )
        assert any("nothing to learn" in finding for finding in findings) == told


def test_dropout_is_something_to_learn_against(folders: Path) -> None:
    """As in the run: there a student that is its teacher answers otherwise, as its teacher drops nothing."""
    for dropout, told in ((0.0, True), (0.1, False)):
        findings = said(folders / "teacher", layers=4, masked_lm_weight=0.0, dropout=dropout)
        assert any("nothing to learn" in finding for finding in findings) == told


class Slight:
    """An objective whose gradient is 1e-4 of its terms' weights, where bf16 rounds to 4e-3."""

    def __init__(self, gradient: float) -> None:
        self.model, self.extra, self.gradient = torch.nn.Linear(1, 1, bias=False), torch.nn.Module(), gradient
        self.model.device = torch.device("cpu")
        self.weights = {"labels": 1.0}

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        yield [MicroBatch({}, {"labels": 1})]

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[torch.Tensor, Sums]:
        loss = scales["labels"] * self.gradient * self.model.weight.sum()
        return loss, {"labels": loss.detach()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_slight_gradient_is_one_in_whatever_precision(precision: str) -> None:
    for gradient, told in ((1e-4, False), (1e-6, True)):
        found = list(of_signal(Slight(gradient), Finetuning(precision=precision), remedy="Look."))
        assert [str(finding) for finding in found] == (
            ["There is nothing to learn: the loss has no gradient. Look."] if told else []
        )


def test_a_step_is_looked_at_whole(folders: Path) -> None:
    """Its first part may be of texts without labels alone, of which nothing is learnt by this recipe."""
    texts, labels = sentences(64, words=14)
    teacher = LabelledTexts(["ball", "song"], ["sport", "music"])
    recipe = Finetuning(
        batch_size=16, micro_batch_size=8, max_length=24, unlabelled_batch_size=16, teacher_weight=0.0
    )
    finetuner = Finetuner(folders / "teacher", teacher=folders / "labels.csv", recipe=recipe, device="cpu")
    write_table(folders / "labels.csv", [*texts, *teacher.texts], [*labels, *teacher.labels])
    job = finetuner._prepare(LabelledTexts(texts, labels), teacher.texts * 16, None, torch.device("cpu"))
    parts = next(job.objective.steps(0, slice(0, None, 1)))
    assert parts[0].counts["labels"] == 0 < sum(part.counts["labels"] for part in parts)
    assert not job.examine()


@pytest.mark.parametrize("command", ["finetune", "pretrain", "distill"])
def test_a_remedy_names_flags_that_the_command_has(
    command: str, folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilbert.core.training.findings._NO_GRADIENT", math.inf)
    if command == "finetune":
        finetuner = Finetuner(folders / "teacher", recipe=Finetuning(max_length=24), device="cpu")
        findings = [str(finding) for finding in finetuner.examine(LabelledTexts(*sentences(40)))]
    elif command == "pretrain":
        found = Pretrainer(folders / "teacher", recipe=RECIPE, device="cpu").examine(TEXTS)
        findings = [str(finding) for finding in found]
    else:
        findings = said(folders / "teacher")
    (finding,) = findings
    named = re.findall(r"--[a-z-]+", finding)
    with pytest.raises(SystemExit):
        main([command, "--help"])
    has = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert named
    assert set(named) <= has


def test_a_pretraining_of_a_sound_model(folders: Path) -> None:
    for model in ("teacher", "untrained"):
        assert not Pretrainer(folders / model, recipe=RECIPE, device="cpu").examine(TEXTS)


def log_of(losses: np.ndarray) -> TrainingLog:
    return TrainingLog(losses={"total": losses.tolist()}, seconds=[1.0] * len(losses))


def test_a_loss_that_does_not_fall() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    for course in (0 * noise, np.linspace(0, 0.5, 200)):
        (finding,) = of_course(log_of(3 + course + noise))
        assert "has not fallen: " in finding.what
    assert not list(of_course(log_of(3 - np.linspace(0, 0.3, 200) + noise)))
    assert not list(of_course(log_of(3 + noise[:30]))), "so few steps say nothing"


def test_a_run_says_at_its_end_that_nothing_was_learnt(
    folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for rate, told in ((1e-9, True), (2e-3, False)):
        recipe = RECIPE.with_changes(learning_rate=rate)
        with caplog.at_level(logging.WARNING):
            Distiller(folders / "teacher", layers=1, recipe=recipe, device="cpu").run(
                TEXTS, out=tmp_path / str(told)
            )
        assert ("The loss has not fallen" in caplog.text) == told
        caplog.clear()


def test_padding_that_is_left_in(folders: Path) -> None:
    texts = ["ball", "the ball and the team in the field of the match with a goal"] * 16
    recipe = Finetuning(batch_size=32, max_length=24)
    job = Finetuner(folders / "teacher", recipe=recipe, device="cpu")._prepare(
        LabelledTexts(texts, ["a", "b"] * 16), (), None, torch.device("cpu")
    )
    assert not job.examine(), "the model takes it out"
    job.model.set_attention("sdpa", packing=False)
    (finding,) = job.examine()
    assert finding.what == "41% of what is computed is padding."


def test_words_told_by_frequency() -> None:
    class Known:
        def counts(self, size: int) -> np.ndarray:
            return np.array([50, 10, 10, 20])[:size]

    assert entropy(word_counts(Known(), 4, [0])) == pytest.approx(
        -(0.5 * math.log(0.25) + 0.5 * math.log(0.5))
    )


def test_looking_changes_nothing(folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = RECIPE.with_changes(steps=3)
    quiet = Distiller(folders / "teacher", layers=2, recipe=recipe, device="cpu")
    with caplog.at_level(logging.WARNING):
        quiet.run(TEXTS, out=tmp_path / "quiet")
    assert not caplog.records
    warned = Distiller(folders / "wild", layers=2, recipe=recipe, device="cpu")
    with caplog.at_level(logging.WARNING):
        warned.run(TEXTS, out=tmp_path / "warned")
    assert "no better than their frequency" in caplog.text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilbert.torch.distill.examine", lambda *_: [])
        Distiller(folders / "wild", layers=2, recipe=recipe, device="cpu").run(TEXTS, out=tmp_path / "unseen")
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("warned", "unseen"))
    assert one == other


def test_the_command(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = folders / "recipe.json"
    recipe.write_text(json.dumps({"min_length": 3, "max_length": 24}))
    text = f"--recipe {recipe} --text {folders}/texts.txt"
    command = f"doctor {text} --layers 2 --device cpu --quiet --teacher {folders}/"
    assert main(f"{command}teacher --learning-rate 1e-3".split()) == 0
    assert "Nothing is likely wrong" in capsys.readouterr().out
    assert main(f"{command}wild --json".split()) == 1
    assert "frequency" in json.loads(capsys.readouterr().out)[0]["what"]
    plain = f"doctor --device cpu --quiet --model {folders}/teacher"
    assert main(f"{plain} {text} --learning-rate 1".split()) == 1
    assert "1 is far above" in capsys.readouterr().out
    write_table(folders / "train.csv", *sentences(40))
    assert main(f"{plain} --train {folders}/train.csv".split()) == 0
    assert main(f"{plain} --train {folders}/train.csv {text}".split()) == 2
    assert "one run: a distillation, a pretraining or a fine-tuning. Received: --model --text --train." in (
        capsys.readouterr().err
    )
