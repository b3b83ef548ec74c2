"""A language model judged by hidden words."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher, write_texts

from distilbert import (
    BertForMaskedLM,
    DistilBertTokenizerFast,
    LanguageModelling,
    Pretrainer,
    evaluate_language_model,
    shrink,
)
from distilbert.cli.main import main
from distilbert.core.data.corpus import open_corpus
from distilbert.core.data.hidden_words import masking_of
from distilbert.core.data.masking import sequence_rng
from distilbert.errors import CheckpointError, ConfigError

RECIPE = LanguageModelling(max_length=32, min_length=3, precision="fp32")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("lm") / "bert")


def test_the_figures_are_the_models_own(bert: Path) -> None:
    """Sequence by sequence, through the published call."""
    texts, _ = sentences(70, seed=3)
    scores = evaluate_language_model(bert, texts, recipe=RECIPE)
    model = BertForMaskedLM.from_pretrained(bert).eval()
    tokenizer = DistilBertTokenizerFast.from_pretrained(bert)
    data = open_corpus(texts, tokenizer, max_length=32, min_length=3)
    masking = masking_of(data, tokenizer, model.config.vocab_size, RECIPE)
    losses, right = [], []
    for row in range(len(data)):
        ids, labels = masking(data[row], sequence_rng(0, 2**31, row))
        labels = torch.from_numpy(labels.astype(np.int64))
        with torch.no_grad():
            logits = model(torch.from_numpy(ids.astype(np.int64))[None]).logits[0]
        at = labels != -100
        losses += torch.nn.functional.cross_entropy(logits[at], labels[at], reduction="none").tolist()
        right += (logits[at].argmax(-1) == labels[at]).tolist()
    assert scores["hidden"] == len(losses) > 50
    assert scores["sequences"] == len(data)
    assert scores["masked_lm"]["value"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert scores["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert scores["perplexity"]["value"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-4)
    for name in ("masked_lm", "perplexity", "accuracy"):
        assert scores[name]["low"] <= scores[name]["value"] <= scores[name]["high"]
    assert scores["masked_lm"]["low"] < scores["masked_lm"]["value"] < scores["masked_lm"]["high"]
    assert scores == evaluate_language_model(bert, texts, recipe=RECIPE)


def test_what_has_learnt_is_judged_better(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    texts, _ = sentences(300, seed=1)
    write_texts(tmp_path / "new.txt", sentences(60, seed=2)[0])
    recipe = RECIPE.with_changes(steps=60, batch_size=16, learning_rate=3e-3, dropout=0.0)
    Pretrainer(bert, recipe=recipe).run(texts, out=tmp_path / "learnt")
    found = {}
    for model in (bert, tmp_path / "learnt"):
        command = ["evaluate", "--model", str(model), "--text", "new.txt", "--max-length", "32"]
        assert main([*command, "--quiet", "--json"]) == 0
        found[model.name] = json.loads(capsys.readouterr().out)
    assert found["learnt"]["masked_lm"]["high"] < found["bert"]["masked_lm"]["low"]
    assert found["learnt"]["hidden"] == found["bert"]["hidden"], "both are asked the same"
    assert main([*command, "--quiet"]) == 0
    said = capsys.readouterr().out
    assert f"perplexity  {found['learnt']['perplexity']['value']:.4f}" in said
    assert f"{found['learnt']['hidden']} hidden words of" in said


def test_what_cannot_be_judged(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shrink(bert, layers=1, out=tmp_path / "student")
    from distilbert import Finetuner, Finetuning, LabelledTexts

    Finetuner(bert, recipe=Finetuning(steps=1, max_length=32)).run(
        LabelledTexts(*sentences(30)), out=tmp_path / "classifier"
    )
    with pytest.raises((CheckpointError, ConfigError), match="masked-language-model head"):
        evaluate_language_model(tmp_path / "classifier", ["a text"], recipe=RECIPE)
    for flags in ([], ["--data", "a.csv", "--text", "b.txt"]):
        assert main(["evaluate", "--model", str(bert), *flags, "--quiet"]) == 2
        assert "judged by examples or by text" in capsys.readouterr().err
