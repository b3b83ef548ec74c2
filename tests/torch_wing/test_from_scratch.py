"""A model that begins with nothing but a vocabulary and its sizes, and learns to tell hidden words."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_files import sentences, write_teacher, write_texts

from distilbert import DistilBertConfig, LanguageModelling, Pretrainer
from distilbert.cli.main import main
from distilbert.core.files import read_json
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import CheckpointError, ConfigError

SIZES = {"n_layers": 2, "dim": 32, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 32}
RECIPE = LanguageModelling(
    steps=120, batch_size=16, max_length=32, min_length=3, learning_rate=1e-2, held_out=0, dropout=0.0
)
TEXTS = sentences(200, seed=1)[0]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bert = write_teacher(tmp_path_factory.mktemp("scratch") / "bert", layers=1)
    tokenizer = DistilBertTokenizerFast.from_pretrained(bert)
    tokenizer.save_pretrained(bert.parent / "words")
    return bert.parent / "words"


def pretrainer(words: Path, **changes: object) -> Pretrainer:
    config = DistilBertConfig(vocab_size=len(DistilBertTokenizerFast.from_pretrained(words)), **SIZES)
    return Pretrainer(config=config, tokenizer=words, recipe=RECIPE.with_changes(**changes), device="cpu")


def test_it_begins_as_published_and_learns(words: Path, tmp_path: Path) -> None:
    """Kernels and embeddings are N(0, 0.02), LayerNorms one, biases zero (a step at no rate shows them)."""
    pretrainer(words, steps=1, learning_rate=1e-12).run(TEXTS, out=tmp_path / "begun")
    begun = load_file(tmp_path / "begun" / "model.safetensors")
    for name, array in begun.items():
        if name.endswith("bias"):
            np.testing.assert_allclose(array, 0.0, atol=1e-9)
        elif "norm" in name.lower():
            np.testing.assert_allclose(array, 1.0, atol=1e-6)
        else:
            assert array.std() == pytest.approx(0.02, rel=0.1), name
            assert abs(array.mean()) < 0.002, name
    log = pretrainer(words).run(TEXTS, out=tmp_path / "learnt").log.losses["masked_lm"]
    assert np.mean(log[:5]) == pytest.approx(np.log(begun["vocab_projector.bias"].size), abs=0.3)
    assert np.mean(log[-5:]) < np.mean(log[:5]) - 0.3
    assert read_json(tmp_path / "learnt" / "distilbert.json")["begun"] == "from scratch"


def test_the_seed_decides(words: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        pretrainer(words, seed=seed, steps=2).run(TEXTS, out=tmp_path / name)
    one, same, other = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("one", "same", "other"))
    assert one == same != other


def test_the_command_does_the_same(words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_texts(tmp_path / "texts.txt", TEXTS)
    run = f"pretrain --text {tmp_path}/texts.txt --out {tmp_path}/out --steps 1 --device cpu --quiet"
    sizes = "--layers 2 --dim 32 --heads 4 --hidden-dim 64 --positions 32"
    assert main(f"{run} --tokenizer {words} {sizes}".split()) == 0, capsys.readouterr().err
    config = read_json(tmp_path / "out" / "config.json")
    assert {name: config[name] for name in SIZES} == SIZES
    recipe = read_json(tmp_path / "out" / "distilbert.json")["recipe"]
    assert (recipe["learning_rate"], recipe["new_weights_rate"]) == (2e-4, 1.0)
    assert main(f"{run} --tokenizer {words} {sizes} --recipe adapt --force".split()) == 0
    recipe = read_json(tmp_path / "out" / "distilbert.json")["recipe"]
    assert (recipe["learning_rate"], recipe["new_weights_rate"]) == (5e-5, 20.0), "what is asked for is taken"
    for wrong in (run, f"{run} --model {words} --tokenizer {words}", f"{run} --model {words} --layers 2"):
        assert main([*wrong.split(), "--force"]) == 2
    assert "A model that there is has its sizes." in capsys.readouterr().err


def test_a_folder_without_weights(words: Path, tmp_path: Path) -> None:
    """What is said names the way to a new model; of a folder whose weights are damaged it does not."""
    with pytest.raises(CheckpointError, match=r"must hold config.json.*--tokenizer DIR and its sizes"):
        Pretrainer(words, recipe=RECIPE).run(TEXTS, out=tmp_path / "out")
    shutil.copytree(words.parent / "bert", tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"or begin a new model: --tokenizer DIR and its sizes"):
        Pretrainer(tmp_path / "bare", recipe=RECIPE).run(TEXTS, out=tmp_path / "out")
    (tmp_path / "bare" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError) as refused:
        Pretrainer(tmp_path / "bare", recipe=RECIPE).run(TEXTS, out=tmp_path / "out")
    assert "--tokenizer" not in str(refused.value)


def test_a_vocabulary_that_the_sizes_have_no_room_for(words: Path, tmp_path: Path) -> None:
    config = DistilBertConfig(vocab_size=10, **SIZES)
    with pytest.raises(ConfigError, match="an embedding for every token"):
        Pretrainer(config=config, tokenizer=words, recipe=RECIPE).run(TEXTS, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="one that there is, or a new one"):
        Pretrainer(config=config)
