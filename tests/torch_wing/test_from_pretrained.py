"""The published keywords of ``from_pretrained``: what each of them does, and what loading costs."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from loopback_hub import clients_hub

from distilbert import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
    convert,
)
from distilbert.errors import CheckpointError, ConfigError, OutputError

SMALL = DistilBertConfig(
    vocab_size=19, max_position_embeddings=8, n_layers=2, n_heads=2, dim=8, hidden_dim=12, num_labels=3
)
IDS = torch.tensor([[1, 2, 3, 4]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    DistilBertForSequenceClassification(SMALL).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits.float()


def test_labels_by_keyword_are_the_peers(folder: Path) -> None:
    names = {0: "bad", 1: "so so", 2: "good"}
    wanted = {"id2label": names, "label2id": {v: k for k, v in names.items()}, "problem_type": "regression"}
    ours = DistilBertForSequenceClassification.from_pretrained(folder, **wanted)
    theirs = transformers.DistilBertForSequenceClassification.from_pretrained(folder, **wanted)
    for name, value in wanted.items():
        assert getattr(ours.config, name) == getattr(theirs.config, name) == value
    assert (logits(ours) - logits(theirs)).abs().max() <= 1e-5


def test_a_head_of_another_size_is_refused_unless_it_may_be_drawn(folder: Path, caplog: Any) -> None:
    with pytest.raises(
        CheckpointError, match=r"classifier\.weight is \[3, 8\], should be \[5, 8\]"
    ) as refused:
        DistilBertForSequenceClassification.from_pretrained(folder, num_labels=5)
    assert "classifier.bias" in str(refused.value)
    with caplog.at_level(logging.WARNING):
        model, report = DistilBertForSequenceClassification.from_pretrained(
            folder, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True
        )
    assert "classifier.weight, classifier.bias" in caplog.text
    assert dict(report.mismatched) == {
        "classifier.weight": ((3, 8), (5, 8)),
        "classifier.bias": ((3,), (5,)),
    }
    _, theirs = transformers.DistilBertForSequenceClassification.from_pretrained(
        folder, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert set(theirs["mismatched_keys"]) == set(report.mismatched)
    assert logits(model).shape == (1, 5)
    assert model.classifier.bias.abs().max() == 0
    assert 0 < model.classifier.weight.std() < 0.1
    whole = DistilBertForSequenceClassification.from_pretrained(folder)
    assert torch.equal(model.pre_classifier.weight, whole.pre_classifier.weight)


def test_one_error_lists_whatever_is_wrong(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["distilbert.embeddings.LayerNorm.bias"]
    tensors["of.another.model"] = torch.zeros(1)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as refused:
        DistilBertForSequenceClassification.from_pretrained(folder, num_labels=5)
    for name in ("classifier.weight", "classifier.bias", "embeddings.LayerNorm.bias", "of.another.model"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, torch.float32),
        ("auto", torch.bfloat16),
        ("float16", torch.float16),
        (torch.bfloat16, torch.bfloat16),
        ("float64", torch.float64),
    ],
)
def test_dtype(folder: Path, wanted: Any, found: torch.dtype) -> None:
    half = DistilBertForSequenceClassification.from_pretrained(folder, dtype="bfloat16")
    half.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    for keyword in ("dtype", "torch_dtype"):
        model, report = DistilBertForSequenceClassification.from_pretrained(
            folder, **{keyword: wanted}, output_loading_info=True
        )
        assert {p.dtype for p in model.parameters()} == {found}
        assert getattr(torch, model.config.dtype) == found
        assert set(report.cast.values()) == (set() if found == torch.bfloat16 else {"bfloat16"})
        assert torch.equal(model.classifier.weight, half.classifier.weight.to(found))


def test_auto_without_a_word_in_the_configuration_is_the_files_own(folder: Path) -> None:
    DistilBertForSequenceClassification.from_pretrained(folder, dtype="float16").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["dtype"]
    (folder / "config.json").write_text(json.dumps(config))
    assert DistilBertForSequenceClassification.from_pretrained(folder, dtype="auto").dtype == torch.float16


def test_auto_goes_by_the_files_first_number_with_a_point(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    mixed = {"a.counter": torch.zeros(2, dtype=torch.int64), "a.first": torch.zeros(2, dtype=torch.bfloat16)}
    torch.save({**mixed, **state}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    del config["dtype"]
    (folder / "config.json").write_text(json.dumps(config))
    assert DistilBertForSequenceClassification.from_pretrained(folder, dtype="auto").dtype == torch.bfloat16
    save_file(state, folder / "model.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        [torch.zeros(2)],
        {"a": 5},
        {"a": "text"},
        {1: torch.zeros(2)},
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, device="meta")},
        {"a": torch.zeros(2, dtype=torch.complex64)},
    ],
)
def test_what_is_no_state_is_refused_in_one_sentence(wrong: Any, folder: Path) -> None:
    with pytest.raises(ConfigError, match="state_dict must hold dense tensors of real numbers"):
        DistilBertModel.from_pretrained(None, config=folder, state_dict=wrong)


def test_no_weights_at_all_is_said(folder: Path, caplog: Any) -> None:
    _, report = DistilBertModel.from_pretrained(folder, state_dict={}, output_loading_info=True)
    assert not report.loaded
    assert "they are drawn anew and must be trained" in caplog.text


def test_weights_of_ones_own(folder: Path) -> None:
    whole = DistilBertForSequenceClassification.from_pretrained(folder)
    state = {name: tensor + 1 for name, tensor in whole.state_dict().items()}
    model = DistilBertForSequenceClassification.from_pretrained(folder, state_dict=state)
    assert torch.equal(model.classifier.weight, whole.classifier.weight + 1)
    (folder / "model.safetensors").unlink()
    for where in (folder, None):
        again = DistilBertForSequenceClassification.from_pretrained(
            where, config=whole.config, state_dict=state
        )
        assert torch.equal(logits(again), logits(model))
    base = DistilBertModel.from_pretrained(None, config=folder, state_dict=state)
    assert torch.equal(base.embeddings.LayerNorm.bias, whole.distilbert.embeddings.LayerNorm.bias + 1)


def test_a_configuration_of_ones_own_stays_as_it_is(folder: Path) -> None:
    config = DistilBertConfig.from_pretrained(folder)
    model = DistilBertForSequenceClassification.from_pretrained(
        folder, config=config, attn_implementation="eager"
    )
    assert model.config.attn_implementation == "eager"
    assert config.attn_implementation == "sdpa"
    assert type(model.distilbert.transformer.layer[0].attention).__name__ == "EagerAttention"


def test_a_tied_model_is_tied_and_a_sinusoidal_one_is_drawn(tmp_path: Path) -> None:
    config = DistilBertConfig(**{**SMALL.to_dict(), "sinusoidal_pos_embds": True})
    DistilBertForMaskedLM(config).save_pretrained(tmp_path)
    model = DistilBertForMaskedLM.from_pretrained(tmp_path)
    assert model.vocab_projector.weight is model.distilbert.embeddings.word_embeddings.weight
    fresh = DistilBertForMaskedLM.from_pretrained(None, config=config, state_dict={})
    table = fresh.distilbert.embeddings.position_embeddings.weight
    assert torch.equal(table, DistilBertForMaskedLM(config).distilbert.embeddings.position_embeddings.weight)
    assert not table.requires_grad
    assert torch.equal(fresh.distilbert.embeddings.word_embeddings.weight[0], torch.zeros(8))


def test_variants_and_kinds_of_file(folder: Path) -> None:
    whole = DistilBertForSequenceClassification.from_pretrained(folder)
    peer = transformers.DistilBertForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        peer.classifier.bias += 1
    peer.save_pretrained(folder, variant="fp16", max_shard_size=1000)
    assert len(list(folder.glob("model.fp16-*"))) > 1
    with torch.no_grad():
        peer.classifier.bias += 1
    peer.save_pretrained(folder, safe_serialization=False)
    for changes, added in (({}, 0), ({"variant": "fp16"}, 1), ({"use_safetensors": False}, 2)):
        model = DistilBertForSequenceClassification.from_pretrained(folder, **changes)
        assert torch.equal(model.classifier.bias, whole.classifier.bias + added)
    with pytest.raises(
        CheckpointError, match=r"must hold model\.int8\.safetensors or pytorch_model\.int8\.bin"
    ):
        DistilBertForSequenceClassification.from_pretrained(folder, variant="int8")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"must hold model\.safetensors\."):
        DistilBertForSequenceClassification.from_pretrained(folder, use_safetensors=True)


def test_one_device_for_the_whole_model(folder: Path) -> None:
    for device_map in ("cpu", "auto", {"": "cpu"}, torch.device("cpu")):
        model = DistilBertForSequenceClassification.from_pretrained(folder, device_map=device_map)
        assert model.device.type == ("cuda" if device_map == "auto" and torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="one device for the whole model"):
        DistilBertForSequenceClassification.from_pretrained(
            folder, device_map={"distilbert": 0, "classifier": "cpu"}
        )


@pytest.mark.parametrize(
    "wrong", [{"num_label": 3}, {"trust": True}, {"dtype": "int8"}, {"device_map": "tpu"}]
)
def test_a_keyword_that_means_nothing_is_refused_by_name(folder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(wrong)) if "device_map" not in wrong else "tpu")):
        DistilBertForSequenceClassification.from_pretrained(folder, **wrong)


def test_keywords_of_the_peers_that_leave_nothing_to_choose(folder: Path) -> None:
    DistilBertForSequenceClassification.from_pretrained(folder, low_cpu_mem_usage=True, from_tf=False)


def test_where_a_configuration_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a folder, or a hub that is asked as the model's own would be."""
    from distilbert.core import encoder_config

    for config in (folder, folder / "config.json", str(folder / "config.json")):
        model = DistilBertForSequenceClassification.from_pretrained(folder, config=config)
        assert model.config.dim == 8
    asked: list[dict[str, Any]] = []

    def spy(name: Any, **where: Any) -> Path:
        asked.append(where)
        return folder

    monkeypatch.setattr(encoder_config, "local_folder", spy)
    where = {"token": "t", "cache_dir": "c", "revision": "r", "local_files_only": True}
    DistilBertForSequenceClassification.from_pretrained(folder, config="own/config", **where)
    assert where.items() <= asked[0].items()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"config": transformers.DistilBertConfig()}, "from_dict"),
        ({"attn_implementation": {"": "eager"}}, "attn_implementation must be one of"),
        ({"num_labels": 4, "id2label": {0: "a", 1: "b", 2: "c"}}, "number of names"),
    ],
)
def test_what_contradicts_itself_is_refused(folder: Path, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        DistilBertForSequenceClassification.from_pretrained(folder, **wrong)


@pytest.mark.parametrize("shards", [None, "1KB"])
def test_a_save_that_fails_leaves_the_old_model_whole(
    folder: Path, shards: str | None, small_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk, and where a later file cannot be written: weights and sizes stay as they are."""
    from distilbert.core import weight_files

    old = DistilBertForSequenceClassification.from_pretrained(folder)
    old.save_pretrained(folder, max_shard_size=shards or "5GB")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    larger = DistilBertForSequenceClassification(DistilBertConfig(**{**SMALL.to_dict(), "vocab_size": 9000}))
    with small_disk(), pytest.raises(OutputError):
        larger.save_pretrained(folder, max_shard_size="50KB" if shards else "5GB")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    writer, written = weight_files.write_safetensors, []

    def failing(path: Path, named: Any) -> None:
        written.append(path)
        if len(written) == (3 if shards else 1):
            raise OutputError("The disk is full.", received="nothing", remedy="None.")
        writer(path, named)

    monkeypatch.setattr(weight_files, "write_safetensors", failing)
    with torch.no_grad():
        for parameter in old.parameters():
            parameter += 1
    with pytest.raises(OutputError):
        old.save_pretrained(folder, max_shard_size=shards or "5GB")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.undo()
    old.save_pretrained(folder, max_shard_size="5GB" if shards else "1KB")
    again = DistilBertForSequenceClassification.from_pretrained(folder)
    assert torch.equal(logits(again), logits(old.eval()))


def test_a_model_is_sent_as_it_is_saved(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = DistilBertForSequenceClassification.from_pretrained(folder)
    with clients_hub(tmp_path / "cache", monkeypatch) as hub:
        how = {"push_to_hub": True, "repo_id": "somebody/model", "token": hub.token}
        model.save_pretrained(tmp_path / "saved", max_shard_size=2_000, **how)
        saved = {path.name for path in (tmp_path / "saved").iterdir()}
        assert "model.safetensors.index.json" in saved
        assert saved <= set(hub.files("somebody/model"))
        with pytest.raises(ConfigError, match="safe_serialization=False"):
            model.push_to_hub("somebody/model", token=hub.token, safe_serialization=False)


def test_nothing_drawn_is_left_to_chance(folder: Path) -> None:
    """A model whose head is new is the same model under the same seed."""
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(DistilBertForMaskedLM.from_pretrained(folder).vocab_transform.weight)
    assert torch.equal(*drawn)


#: Prints how many times its own size a model took at most; what a smaller one had loaded is not counted.
PEAK = """
import sys
from pathlib import Path
from distilbert import DistilBertModel
folder, dtype, wrong = sys.argv[1:]
DistilBertModel.from_pretrained(folder + "/small", dtype=dtype)
def peak():
    # What getrusage says begins with the peak of the process that started this one.
    said = Path("/proc/self/status").read_text()
    return 1024 * int(said.partition("VmHWM:")[2].split()[0])
before = peak()
if wrong == "wrong":
    from safetensors.torch import load_file
    state = load_file(folder + "/large/model.safetensors")
    model = DistilBertModel.from_pretrained(None, config=folder + "/large", state_dict=state)
else:
    model = DistilBertModel.from_pretrained(folder + "/large", dtype=dtype)
print((peak() - before) / sum(p.nbytes for p in model.parameters()))
"""


def save_as(kind: str, model: DistilBertModel, folder: Path) -> None:
    model.save_pretrained(folder, max_shard_size="40MB" if kind == "shards" else "5GB")
    if kind in {"h5", "msgpack"}:
        convert(folder, to=kind, out=folder, force=True)
    if kind.endswith("bin"):
        (folder / "model.safetensors").unlink()
        zipped = kind != "older bin"
        state = model.state_dict()
        if kind == "turned bin":
            state = {name: t.T.contiguous().T if t.ndim == 2 else t for name, t in state.items()}
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak in this way")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind", ["safetensors", "shards", "bin", "older bin", "turned bin", "h5", "msgpack"])
def test_the_weights_are_never_in_memory_twice(kind: str, dtype: str, tmp_path: Path) -> None:
    if kind == "h5":
        pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")
    save_as(kind, DistilBertModel(SMALL), tmp_path / "small")
    config = DistilBertConfig(vocab_size=30522, n_layers=3, n_heads=8, dim=512, hidden_dim=2048)
    save_as(kind, DistilBertModel(config), tmp_path / "large")

    def peak(wrong: str = "right") -> float:
        command = [sys.executable, "-c", PEAK, str(tmp_path), dtype, wrong]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert peak() <= 1.2
    if (kind, dtype) == ("safetensors", "float32"):
        assert peak("wrong") > 1.5, "the measurement would see a second copy"
    shutil.rmtree(tmp_path)
