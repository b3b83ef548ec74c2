"""Sentence embedding from rows to a folder: trained, taught, judged, used, and read by the peer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_files import SUBJECTS, WORDS, sentences, write_teacher
from task_files import alike, together, write_rows

from distilbert import (
    DistilBertConfig,
    DistilBertModel,
    DistilBertTokenizerFast,
    Embedder,
    Finetuner,
    Finetuning,
    Predictor,
    evaluate,
)
from distilbert.cli.main import main
from distilbert.core.files import read_json
from distilbert.core.pooling import Dense, Normalize
from distilbert.core.sentence_folders import read_modules
from distilbert.errors import ConfigError, DataError

NAME = "sentence-embedding"
LEARNING = Finetuning(
    steps=60, batch_size=16, micro_batch_size=8, max_length=24, learning_rate=3e-3, dropout=0.0,
    precision="fp32",
)  # fmt: skip
TEST = alike(120, seed=8)
TEXTS = [row["text_a"] for row in TEST[:20]]

#: How each loss is asked for, and the rows that it learns from.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "contrastive": ([{k: r[k] for k in ("anchor", "positive")} for r in together(200, seed=1)], {}),
    "hard": (together(200, seed=1), {"pair_loss": "contrastive"}),
    "margin": (together(200, seed=1), {}),
    "cosine": (alike(200, seed=1), {}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bert, what each loss made of it, and how good it was untrained."""
    root = tmp_path_factory.mktemp("embedding")
    write_teacher(root / "bert", layers=2)
    for name, (rows, changes) in KINDS.items():
        Finetuner(root / "bert", task=NAME, recipe=LEARNING.with_changes(**changes)).run(
            rows, evaluate=TEST, out=root / name
        )
    return root


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_and_the_folder_says_how_vectors_are_made(name: str, folders: Path) -> None:
    facts = read_json(folders / name / "distilbert.json")
    loss = "contrastive" if name == "hard" else name
    assert facts["task"] == {"name": NAME, "loss": loss, "unit": 5.0 if name == "cosine" else 1.0}
    untrained = Embedder.open(folders / "bert", pooling="mean", normalize=True)
    one, other = (untrained.encode([row[key] for row in TEST]) for key in ("text_a", "text_b"))
    from scipy.stats import spearmanr

    before = spearmanr((one * other).sum(1), [row["score"] for row in TEST]).statistic
    scores = facts["evaluation"]
    assert list(scores)[:2] == ["spearman", "pearson"]
    assert scores["spearman"]["value"] > max(0.75, before + 0.1)
    assert evaluate(folders / name, TEST) == scores
    modules = read_modules(folders / name)
    assert (modules.pooling.modes, modules.max_seq_length) == (("mean",), 24)
    assert [type(module) for module in modules.after] == [Normalize]


@pytest.mark.parametrize("name", KINDS)
def test_the_peer_gives_the_same_vectors_of_the_folder(name: str, folders: Path) -> None:
    peer = pytest.importorskip(
        "sentence_transformers", reason="the peer sentence-transformers is not installed"
    )
    model = peer.SentenceTransformer(str(folders / name), device="cpu")
    ours = Embedder.open(folders / name).encode(TEXTS)
    np.testing.assert_allclose(ours, model.encode(TEXTS), atol=1e-5)
    untrained = Embedder.open(folders / "bert", pooling="mean", normalize=True).encode(TEXTS)
    assert np.abs(ours - untrained).max() > 1e-2


def test_predictions_are_vectors_of_texts_and_cosines_of_pairs(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    predictor, embedder = Predictor.open(folders / "margin"), Embedder.open(folders / "margin")
    vectors = embedder.encode(TEXTS)
    found = predictor.answers([{"text": text} for text in TEXTS])
    np.testing.assert_allclose([answer.vector for answer in found], vectors, atol=1e-6)
    pairs = [{"text_a": one, "text_b": other} for one, other in zip(TEXTS, TEXTS[::-1], strict=True)]
    cosines = [answer.value for answer in predictor.answers(pairs)]
    np.testing.assert_allclose(cosines, (vectors * vectors[::-1]).sum(1), atol=1e-6)
    path = write_rows(tmp_path / "pairs.jsonl", pairs)
    command = ["predict", "--model", str(folders / "margin"), "--file", str(path), "--json", "--quiet"]
    assert main(command) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose([line["value"] for line in printed], cosines, atol=1e-6)


def test_the_real_folder_is_judged_and_used_as_it_is(minilm: Path) -> None:
    rows = [
        {"text_a": "A man is dancing.", "text_b": "A man dances.", "score": 5.0},
        {"text_a": "A man is dancing.", "text_b": "A woman is singing.", "score": 1.5},
        {"text_a": "A man is dancing.", "text_b": "The stock market fell.", "score": 0.0},
    ]
    assert evaluate(minilm, rows)["spearman"]["value"] == pytest.approx(1.0)
    assert Predictor.open(minilm).max_length == 256


# Teachers.


@pytest.fixture(scope="module")
def other_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DistilBERT of another width, whose words have other ids and of which some are pieces."""
    folder = tmp_path_factory.mktemp("student") / "student"
    names = [word for words in SUBJECTS.values() for word in words]
    words = [*WORDS[:5], *reversed(WORDS[5 : -len(names)]), *sorted({w[:3] for w in names})]
    words += sorted({f"##{w[3:]}" for w in names} - {"##"})
    torch.manual_seed(1)
    config = DistilBertConfig(
        vocab_size=len(words), max_position_embeddings=32, n_layers=1, n_heads=2, dim=20, hidden_dim=24,
        initializer_range=0.2,
    )  # fmt: skip
    DistilBertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    DistilBertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("loss", ["cosine", "error"])
def test_a_teacher_of_another_width_and_vocabulary(
    loss: str, folders: Path, other_words: Path, tmp_path: Path
) -> None:
    texts = [{"text": text} for text in dict.fromkeys(row["anchor"] for row in together(300, seed=2))]
    recipe = LEARNING.with_changes(steps=150, vector_loss=loss, learning_rate=1e-2)
    run = Finetuner(other_words, teacher=folders / "cosine", task=NAME, recipe=recipe).run(
        texts, evaluate=TEST, out=tmp_path / "taught"
    )
    losses = run.log.losses["teacher"]
    assert np.mean(losses[-5:]) < 0.2 * losses[0]
    teacher, pupil = Embedder.open(folders / "cosine"), Embedder.open(tmp_path / "taught")
    assert pupil.width == teacher.width == 32
    assert pupil.model.config.dim == 20
    # Its vectors stand among the teacher's: a text finds itself there.
    ours, theirs = pupil.encode(TEXTS), teacher.encode(TEXTS)
    assert (ours * theirs).sum(1).mean() > 0.9
    assert run.facts["evaluation"]["spearman"]["value"] > 0.75
    assert run.facts["new_weights"] == ["extra.linear.0.weight"]
    modules = read_modules(tmp_path / "taught")
    assert [type(module) for module in modules.after] == [Dense, Normalize]
    assert evaluate(tmp_path / "taught", TEST) == run.facts["evaluation"]
    peer = pytest.importorskip(
        "sentence_transformers", reason="the peer sentence-transformers is not installed"
    )
    theirs = peer.SentenceTransformer(str(tmp_path / "taught"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_teacher_beside_the_pairs_and_on_texts_without_any(folders: Path, tmp_path: Path) -> None:
    more, _ = sentences(40, seed=5)
    recipe = LEARNING.with_changes(steps=8, micro_batch_size=5)
    run = Finetuner(folders / "bert", teacher=folders / "cosine", task=NAME, recipe=recipe).run(
        KINDS["contrastive"][0], unlabelled=more, out=tmp_path / "both"
    )
    assert set(run.log.losses) == {"labels", "teacher", "total"}
    assert run.facts["data"]["unlabelled"] == 40
    assert run.facts["teacher"]["unanswered"] == 0


def test_an_interrupted_run_goes_on_bit_for_bit(folders: Path, other_words: Path, tmp_path: Path) -> None:
    texts = [{"text": row["anchor"]} for row in together(60, seed=2)]
    recipe = LEARNING.with_changes(steps=6, checkpoint_every=2, dropout=0.1)

    def stop(stage: str, done: int, total: int | None, facts: object) -> None:
        if stage == "fine-tune" and done == 5:
            raise KeyboardInterrupt

    given = {"teacher": folders / "cosine", "task": NAME, "recipe": recipe}
    Finetuner(other_words, **given).run(texts, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Finetuner(other_words, **given, progress=stop).run(texts, out=tmp_path / "resumed")
    Finetuner(other_words, **given).run(texts, out=tmp_path / "resumed", resume=True)
    for name in ("model.safetensors", "1_Pooling/config.json", "2_Dense/model.safetensors", "modules.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes()


# From the command line, and what is refused.


def test_from_files_to_vectors_by_commands(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the report of an evaluation is written
    train = write_rows(tmp_path / "train.jsonl", together(40, seed=1))
    test = write_rows(tmp_path / "test.jsonl", TEST[:40])
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    common = ["--batch-size", "8", "--max-length", "24", "--device", "cpu", "--quiet"]
    out = str(tmp_path / "model")
    command = ["finetune", "--model", str(folders / "bert"), "--train", str(train), "--eval", str(test)]
    assert main([*command, "--pooling", "cls", "--steps", "4", *common, "--out", out]) == 0
    assert "distilbert embed --model" in capsys.readouterr().out
    assert read_modules(tmp_path / "model").pooling.modes == ("cls",)
    assert main(["evaluate", "--model", out, "--data", str(test), "--quiet"]) == 0
    assert "spearman" in capsys.readouterr().out
    vectors = str(tmp_path / "vectors.npy")
    assert (
        main(["embed", "--model", out, "--text", str(tmp_path / "texts.txt"), "--out", vectors, "--quiet"])
        == 0
    )
    np.testing.assert_allclose(np.load(vectors), Embedder.open(out).encode(TEXTS), atol=1e-6)
    command = ["finetune", "--model", str(folders / "bert"), "--train", str(tmp_path / "texts.txt")]
    command += ["--task", NAME, "--teacher", out, "--unlabelled", str(tmp_path / "texts.txt")]
    assert main([*command, "--steps", "2", *common, "--out", str(tmp_path / "taught")]) == 0


def test_what_cannot_be_learnt_is_refused_before_anything_is_written(folders: Path, tmp_path: Path) -> None:
    texts = [{"text": row["anchor"]} for row in together(20)]
    finetuner = Finetuner(folders / "bert", task=NAME, recipe=LEARNING)
    with pytest.raises(ConfigError, match="only from a teacher"):
        finetuner.run(texts, out=tmp_path / "out")
    with pytest.raises(DataError, match="What judges vectors is pairs of texts"):
        finetuner.run(together(20), evaluate=texts, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="A teacher of vectors must give vectors"):
        classes = [{"text": text, "label": label} for text, label in zip(*sentences(20), strict=True)]
        Finetuner(folders / "bert", recipe=LEARNING.with_changes(steps=1)).run(classes, out=tmp_path / "c")
        Finetuner(folders / "bert", teacher=tmp_path / "c", task=NAME, recipe=LEARNING).run(
            texts, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_triplets_and_pairs_judge_by_what_is_found(folders: Path, tmp_path: Path) -> None:
    triplets = together(40, seed=9)
    pairs = [{key: row[key] for key in ("anchor", "positive")} for row in triplets]
    recipe = LEARNING.with_changes(steps=20, best_by="mrr@10")
    run = Finetuner(folders / "bert", recipe=recipe).run(
        together(60, seed=1), evaluate=triplets, out=tmp_path / "out"
    )
    scores = run.facts["evaluation"]
    assert list(scores)[:4] == ["triplet_accuracy", "mrr@10", "recall@1", "recall@10"]
    assert evaluate(tmp_path / "out", triplets) == scores
    good = evaluate(folders / "margin", triplets)
    assert good["triplet_accuracy"]["value"] > 0.9
    assert good["mrr@10"]["low"] < good["mrr@10"]["value"] <= good["recall@10"]["value"]
    found = evaluate(folders / "margin", pairs, against=[tmp_path / "out"])
    assert list(found)[:3] == ["mrr@10", "recall@1", "recall@10"]
    # Without the texts that do not belong there are fewer to be found among.
    assert found["mrr@10"]["value"] >= good["mrr@10"]["value"]
    other = found["against"][str(tmp_path / "out")]["mrr@10"]["value"]
    assert other == evaluate(tmp_path / "out", pairs)["mrr@10"]["value"] >= scores["mrr@10"]["value"]
    held = Finetuner(folders / "bert", recipe=LEARNING.with_changes(steps=2, eval_share=0.25)).run(
        triplets, out=tmp_path / "held"
    )
    assert held.facts["evaluation"]["rows"] == 10


def test_pairs_with_scores_leave_some_to_judge_by(folders: Path, tmp_path: Path) -> None:
    run = Finetuner(folders / "bert", task=NAME, recipe=LEARNING.with_changes(steps=2)).run(
        KINDS["cosine"][0], out=tmp_path / "out"
    )
    assert run.facts["evaluation"]["rows"] == run.facts["data"]["judged"] == 20
    card = (tmp_path / "out" / "README.md").read_text()
    assert "distilbert embed --model out" in card
    assert "pipeline_tag: sentence-similarity" in card
