"""An exported folder is a whole model in a graph, which other programs' runtimes compute alike."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from graphs import CLASSES, apart, feed, said
from models import batch
from small_files import write_teacher
from task_folders import write_task_folder

from distilbert import AutoModelForMaskedLM
from distilbert.cli.main import main
from distilbert.core.config import read_config
from distilbert.core.parameters import Head
from distilbert.engine.export import export
from distilbert.errors import CheckpointError, ConfigError, MissingExtraError, OutputError

ATOL = 1e-5
TASKS = {
    "sequence-classification": (Head.SEQUENCE_CLASSIFICATION, ["logits"]),
    "pairs": (Head.SEQUENCE_CLASSIFICATION, ["logits"]),
    "multiple-choice": (Head.MULTIPLE_CHOICE, ["logits"]),
    "token-classification": (Head.TOKEN_CLASSIFICATION, ["logits"]),
    "question-answering": (Head.QUESTION_ANSWERING, ["start_logits", "end_logits"]),
    "sentence-embedding": (Head.NONE, ["last_hidden_state"]),
}


def ran(folder: Path, to: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the runtime gives by name, straight from the file."""
    if to == "onnx":
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, given), strict=True))
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(folder / "openvino_model.xml", "CPU", settings)
    found = compiled(given)
    return {output.any_name: found[output] for output in compiled.outputs}


@pytest.mark.parametrize("to", ["onnx", "openvino"])
@pytest.mark.parametrize("name", TASKS)
def test_a_graph_has_the_head_of_its_folder(name: str, to: str, tmp_path: Path) -> None:
    head, names = TASKS[name]
    folder = write_task_folder(tmp_path / "model", name, bert=name == "pairs")
    made = export(folder, to=to, out=tmp_path / "out")
    assert list(made.outputs) == names
    config = read_config(tmp_path / "out")
    ids, mask = batch(config, rows=4)
    ids, mask = ids[mask.any(dim=1)], mask[mask.any(dim=1)]
    given = feed(config, ids, mask)
    if head is Head.MULTIPLE_CHOICE:
        given = {key: array[None] for key, array in given.items()}
    found = ran(tmp_path / "out", to, given)
    assert list(found) == names
    model = CLASSES[head].from_pretrained(folder)
    results = [found[key] for key in names]
    if head is Head.MULTIPLE_CHOICE:
        assert results[0].shape == (1, 3)
        results = [results[0][0][:, None]]
    assert apart(results, said(model, head, ids, mask), mask) <= ATOL
    for file in ("config.json", "tokenizer.json", "distilbert.json"):
        assert (tmp_path / "out" / file).is_file()
    assert (tmp_path / "out" / "modules.json").is_file() == (name == "sentence-embedding")


def test_a_language_models_head_goes_along(tmp_path: Path) -> None:
    folder = write_teacher(tmp_path / "bert")
    export(folder, to="onnx", out=tmp_path / "out")
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids, mask = torch.arange(5, 15).reshape(2, 5), torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    found = ran(tmp_path / "out", "onnx", feed(model.config, ids, mask))["logits"]
    assert apart([found], said(model, Head.MASKED_LM, ids, mask), mask) <= ATOL
    weights = sum(p.numel() for p in {id(p): p for p in model.parameters()}.values()) * 4
    # The table of words is there once.
    assert (tmp_path / "out" / "model.onnx").stat().st_size < 1.2 * weights + 20_000


def test_a_real_encoder_of_the_package(minilm: Path, tmp_path: Path) -> None:
    made = export(minilm, to="onnx", out=tmp_path / "out")
    assert (made.head, made.outputs) == ("none", ("last_hidden_state",))
    given = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    assert ran(tmp_path / "out", "onnx", given)["last_hidden_state"].shape == (1, 4, 384)


def test_what_cannot_be_exported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_task_folder(tmp_path / "model", "regression")
    with pytest.raises(ConfigError, match="one of onnx, openvino"):
        export(folder, to="tflite", out=tmp_path / "out")
    with pytest.raises(OutputError):
        export(folder, to="onnx", out=folder)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError):
        export(folder, to="onnx", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    other = write_task_folder(tmp_path / "other", "regression")
    with pytest.raises(MissingExtraError, match=r"distilbert\[openvino\]"):
        export(other, to="openvino", out=tmp_path / "out")


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_task_folder(tmp_path / "model", "regression")
    assert main(["export", str(folder), "--format", "onnx", "--out", str(tmp_path / "out")]) == 0
    assert "sequence classification" in capsys.readouterr().out
    # Another format takes its place, and leaves nothing of it.
    assert (
        main(["export", str(folder), "--format", "openvino", "--out", str(tmp_path / "out"), "--force"]) == 0
    )
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".xml", ".bin"}
    assert not (tmp_path / "out" / "model.onnx").exists()
