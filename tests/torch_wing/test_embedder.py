"""Texts to vectors: against the peer, by hand, by properties; and the files that hold them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import scatter
from small_files import WORDS, sentences
from tiny import tiny_config

from distilbert import DistilBertModel, DistilBertTokenizerFast, Embedder
from distilbert.cli.main import main
from distilbert.core.pooling import POOLINGS, Dense, Normalize, Pooling, embed
from distilbert.core.sentence_folders import SentenceModules, write_modules
from distilbert.errors import CheckpointError, ConfigError, DataError

TEXTS = sentences(24, seed=3)[0] + ["bread", ""]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small encoder whose every part matters."""
    folder = tmp_path / "encoder"
    scatter(DistilBertModel(tiny_config(vocab_size=len(WORDS)))).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    DistilBertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder


def by_hand(folder: Path, modules: SentenceModules, texts: Sequence[str] = TEXTS, before: str = "") -> Any:
    """Padded rows, one batch, and the numpy definition."""
    tokenizer = DistilBertTokenizerFast.from_pretrained(folder)
    options = {"truncation": True, "max_length": modules.max_seq_length or 24}
    batch = tokenizer([before + text for text in texts], padding=True, return_tensors="pt", **options)
    with torch.no_grad():
        hidden = DistilBertModel.from_pretrained(folder)(**batch).last_hidden_state.numpy()
    live = batch["attention_mask"].numpy()
    if before and not modules.pooling.include_prompt:
        live[:, : len(tokenizer(before)["input_ids"]) - 1] = 0
    return embed(hidden, live, modules.pooling, modules.after)


def test_a_real_folder_gives_the_vectors_of_plain_transformers(minilm: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    texts = [
        "A man with a hard hat is dancing.", "A man wearing a hard hat is dancing.", "Nothing.", "",
        "An unremarkable sentence, with naïve spelling. " * 40,
    ]  # fmt: skip
    tokenizer, model = AutoTokenizer.from_pretrained(minilm), AutoModel.from_pretrained(minilm).eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    live = batch["attention_mask"][..., None].float()
    mean = (states * live).sum(1) / live.sum(1)
    wanted = torch.nn.functional.normalize(mean, dim=1).numpy()
    embedder = Embedder.open(minilm)
    assert embedder.max_length == 256
    found, cut = embedder.encode_and_cut(texts)
    assert found.shape == (5, 384) == (5, embedder.width)
    assert found.dtype == np.float32
    assert cut == 1
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    # What a mistake would be: padding in the mean, another pooling, no normalising.
    padded = torch.nn.functional.normalize(states.mean(1), dim=1).numpy()
    first = torch.nn.functional.normalize(states[:, 0], dim=1).numpy()
    for wrong in (padded, first, mean.numpy()):
        assert np.abs(wrong - wanted).max() > 1e-2
    np.testing.assert_allclose(Embedder.open(minilm, pooling="cls").encode(texts), first, atol=1e-5)
    np.testing.assert_allclose(Embedder.open(minilm, normalize=False).encode(texts), mean, atol=2e-5)


@pytest.mark.parametrize("modes", [*((mode,) for mode in POOLINGS), ("mean", "cls", "max")])
@pytest.mark.parametrize("prompted", [True, False])
def test_each_pooling_is_that_of_the_definition(modes: tuple[str, ...], prompted: bool, folder: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 32 * len(modes))).astype("f4") / 8
    dense = Dense(weight, rng.normal(size=5).astype("f4"), "Tanh")
    pooling = Pooling(modes, include_prompt=prompted)
    modules = SentenceModules(pooling, (dense, Normalize()), 12, prompts={"query": "the song of "})
    write_modules(folder, modules)
    embedder = Embedder.open(folder)
    np.testing.assert_allclose(embedder.encode(TEXTS), by_hand(folder, modules), atol=1e-5)
    asked = embedder.encode(TEXTS, prompt="query", batch_size=5)
    np.testing.assert_allclose(asked, by_hand(folder, modules, before="the song of "), atol=1e-5)
    assert np.abs(asked - by_hand(folder, modules)).max() > 1e-3


def test_the_peer_gives_the_same_vectors_of_the_same_folder(folder: Path) -> None:
    peer = pytest.importorskip(
        "sentence_transformers", reason="the peer sentence-transformers is not installed"
    )
    modules = SentenceModules(
        Pooling(("mean",), include_prompt=False),
        (Normalize(),),
        12,
        prompts={"query": "the song of "},
        default_prompt_name="query",
        more={"truncate_dim": 20},
    )
    write_modules(folder, modules)
    model = peer.SentenceTransformer(str(folder), device="cpu")
    ours = Embedder.open(folder)
    plain = ours.encode(TEXTS, prompt="")
    np.testing.assert_allclose(ours.encode(TEXTS), model.encode(TEXTS), atol=1e-5)
    assert ours.width == 20
    assert np.abs(plain - model.encode(TEXTS)).max() > 1e-3
    np.testing.assert_allclose(plain, model.encode(TEXTS, prompt=""), atol=1e-5)


def test_order_and_company_change_nothing(folder: Path) -> None:
    embedder = Embedder.open(folder, pooling="mean")
    together = embedder.encode(TEXTS)
    np.testing.assert_allclose(embedder.encode(TEXTS[::-1])[::-1], together, atol=1e-6)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    assert embedder.encode([]).shape == (0, 32)


def test_gradients_of_poolings_are_those_of_padded_rows(folder: Path) -> None:
    from distilbert.torch.pooling import pooled

    model = DistilBertModel.from_pretrained(folder).eval()
    texts = [np.array([2, 7, 9, 11, 3]), np.array([2, 8, 3]), np.array([2, 3])]
    pooled(model, texts, Pooling(("mean", "max"))).square().sum().backward()
    ours = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    total = 0.0
    for text in texts:
        states = model(torch.from_numpy(text)[None]).last_hidden_state[0]
        total = total + states.mean(0).square().sum() + states.amax(0).square().sum()
    total.backward()
    theirs = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(ours) == len(theirs) > 30
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_folder_without_modules_is_pooled_by_the_mean_and_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = Embedder.open(folder).encode(TEXTS)
    assert "the mean of the states is taken" in caplog.text
    np.testing.assert_allclose(found, by_hand(folder, SentenceModules()), atol=1e-5)


@pytest.mark.parametrize("ending", ["npy", "safetensors", "jsonl"])
def test_the_command_writes_what_python_gives(ending: str, folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    texts = [text for text in TEXTS if text]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    out = tmp_path / f"vectors.{ending}"
    command = ["embed", "--model", str(folder), "--text", str(tmp_path / "texts.txt"), "--out", str(out)]
    assert main([*command, "--pooling", "max", "--normalize", "--quiet"]) == 0
    wanted = Embedder.open(folder, pooling="max", normalize=True).encode(texts)
    np.testing.assert_allclose(np.linalg.norm(wanted, axis=1), 1, atol=1e-6)
    if ending == "npy":
        found = np.load(out)
    elif ending == "safetensors":
        found = load_file(out)["vectors"]
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["text"] for row in rows] == texts
        found = np.array([row["vector"] for row in rows], np.float32)
    np.testing.assert_array_equal(found, wanted)


def test_more_texts_than_are_embedded_at_a_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("distilbert.cli.embed._CHUNK", 4)
    texts = [text for text in TEXTS if text]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    for ending in ("npy", "safetensors"):
        out = tmp_path / f"vectors.{ending}"
        command = ["embed", "--model", str(folder), "--text", str(tmp_path / "texts.txt"), "--out", str(out)]
        assert main([*command, "--pooling", "mean", "--json", "--quiet"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["texts"], facts["width"]) == (len(texts), 32)
    from safetensors.numpy import load_file

    found = np.load(tmp_path / "vectors.npy")
    np.testing.assert_array_equal(found, load_file(tmp_path / "vectors.safetensors")["vectors"])
    np.testing.assert_allclose(found, Embedder.open(folder, pooling="mean").encode(texts), atol=1e-6)


def test_what_cannot_be_embedded_is_refused_and_costs_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    embedder = Embedder.open(folder, pooling="mean")
    with pytest.raises(DataError, match="Put it into a list"):
        embedder.encode("one text")
    with pytest.raises(DataError, match="Received: 3"):
        embedder.encode(["a text", 3])
    with pytest.raises(ConfigError, match="prompt='query'"):
        embedder.encode(["a text"], prompt="query")
    with pytest.raises(ConfigError, match="A pooling is one or more of"):
        Embedder.open(folder, pooling="median")
    with torch.no_grad():
        embedder.model.embeddings.LayerNorm.weight[0] = float("nan")
    with pytest.raises(CheckpointError, match="must be finite"):
        embedder.encode(["the bread"])
    write_modules(folder, SentenceModules(prompts={"long": "the song of " * 9}))
    with pytest.raises(ConfigError, match="must leave room"):
        Embedder.open(folder).encode(["a text"], prompt="long")
    out, texts = tmp_path / "vectors.npy", tmp_path / "texts.jsonl"
    out.write_bytes(b"before")
    texts.write_text('{"text": "the bread"}\n{"text": ""}\n')
    command = ["embed", "--model", str(folder), "--text", str(texts), "--quiet", "--out"]
    assert main([*command, str(out)]) == 2
    assert "line 2" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "vectors.csv")]) == 2
    assert ".npy, .safetensors, .jsonl" in capsys.readouterr().err
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "texts.jsonl", "vectors.npy"]
