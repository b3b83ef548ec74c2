"""A converted folder is whole: weights under any head, tokenizer, facts; and what cannot be is refused."""

import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from small_files import sentences, write_teacher

from distilbert import Finetuner, Finetuning, LabelledTexts, TextClassifier, convert, shrink
from distilbert.cli.main import main
from distilbert.core.checkpoint import survey
from distilbert.core.config import read_config
from distilbert.core.parameters import Head, manifest
from distilbert.core.weight_files import Weights, write_arrays
from distilbert.errors import CheckpointError, ConfigError, MissingExtraError, OutputError

KINDS = ("safetensors", "bin", "h5", "msgpack")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("conversion")
    write_teacher(root / "bert", layers=2)
    shrink(root / "bert", layers=1, out=root / "distilbert")
    train = LabelledTexts(*sentences(40))
    Finetuner(root / "distilbert", recipe=Finetuning(steps=2, max_length=32)).run(
        train, out=root / "classifier"
    )
    return root


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    with Weights(folder) as file:
        return {name: file[name] for name in file.shapes}


def with_arrays(folder: Path, out: Path, **more: np.ndarray) -> Path:
    """A copy of a folder's configuration and weights, with further arrays."""
    read_config(folder).save_pretrained(out)
    write_arrays(out, {**arrays_of(folder), **{name.replace("__", "."): a for name, a in more.items()}})
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_keeps_its_answers_and_its_facts(kind: str, folders: Path, tmp_path: Path) -> None:
    convert(folders / "classifier", to=kind, out=tmp_path / "other")
    assert not (kind != "safetensors" and (tmp_path / "other" / "model.safetensors").exists())
    old, new = (TextClassifier.open(place) for place in (folders / "classifier", tmp_path / "other"))
    texts = ["soup cheese dinner", "ball goal", "piano"]
    np.testing.assert_array_equal(new.logits(texts)[0], old.logits(texts)[0])
    for name in ("distilbert.json", "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        assert json_of(tmp_path / "other" / name) == json_of(folders / "classifier" / name), name
    convert(tmp_path / "other", to="safetensors", out=tmp_path / "again")
    before, after = arrays_of(folders / "classifier"), arrays_of(tmp_path / "again")
    assert set(before) == set(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def json_of(path: Path) -> object:
    content = path.read_text()
    return json.loads(content) if path.suffix == ".json" else content


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_nobody_here_knows_goes_with_it(kind: str, folders: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    more = {
        "qa_outputs__weight": rng.normal(size=(2, 32)).astype("f4"),
        "qa_outputs__bias": rng.normal(size=2).astype("f4"),
        "crf__transitions": rng.normal(size=(5, 5)).astype("f4"),
        "convolution__weight": rng.normal(size=(3, 4, 5)).astype("f4"),
        "scale": np.float32(2.5).reshape(()),
        "steps": np.arange(3),
    }
    source = with_arrays(folders / "distilbert", tmp_path / "source", **more)
    made = convert(source, to=kind, out=tmp_path / "other")
    before, after = arrays_of(source), arrays_of(tmp_path / "other")
    assert set(before) == set(after)
    assert made.left_out == ()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
        assert after[name].dtype == array.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_twice_is_written_once(kind: str, folders: Path, tmp_path: Path) -> None:
    """What the peer's .bin files hold besides: tied projections, the positions' numbers, and old names."""
    arrays = arrays_of(folders / "bert")
    more = {
        "cls__predictions__decoder__weight": arrays["bert.embeddings.word_embeddings.weight"],
        "cls__predictions__decoder__bias": arrays["cls.predictions.bias"],
        "bert__embeddings__position_ids": np.arange(32).reshape(1, 32),
        "bert__embeddings__LayerNorm__gamma": arrays["bert.embeddings.LayerNorm.weight"],
    }
    source = with_arrays(folders / "bert", tmp_path / "source", **more)
    made = convert(source, to=kind, out=tmp_path / "other")
    assert sorted(made.left_out) == sorted(name.replace("__", ".") for name in more)
    assert set(arrays_of(tmp_path / "other")) == set(arrays)
    more["bert__embeddings__LayerNorm__gamma"] = more["bert__embeddings__LayerNorm__gamma"] + 1
    with_arrays(folders / "bert", source, **more)
    with pytest.raises(CheckpointError, match="LayerNorm.gamma and .* with different numbers"):
        convert(source, to=kind, out=tmp_path / "third")


def test_old_names_become_the_usual_ones(folders: Path, tmp_path: Path) -> None:
    read_config(folders / "bert").save_pretrained(tmp_path / "old")
    arrays = arrays_of(folders / "bert")
    renamed = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): a
        for n, a in arrays.items()
    }
    write_arrays(tmp_path / "old", renamed)
    for kind in KINDS:
        convert(tmp_path / "old", to=kind, out=tmp_path / kind)
        assert set(arrays_of(tmp_path / kind)) == set(arrays)


def test_an_untied_projection_is_kept(folders: Path, tmp_path: Path) -> None:
    config = read_config(folders / "distilbert", tie_word_embeddings=False)
    parameters = manifest(config, Head.MASKED_LM)
    rng = np.random.default_rng(0)
    arrays = {p.file_key: rng.normal(size=p.shape).astype("f4") for p in parameters}
    config.save_pretrained(tmp_path / "untied")
    write_arrays(tmp_path / "untied", arrays)
    for kind in KINDS:
        convert(tmp_path / "untied", to=kind, out=tmp_path / kind)
        report = survey(tmp_path / kind, parameters, config)
        assert len(report.loaded) == len(parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_precisions(kind: str, folders: Path, tmp_path: Path) -> None:
    source = arrays_of(folders / "distilbert")
    for dtype, numpy_type in (("fp16", np.float16), ("bf16", ml_dtypes.bfloat16)):
        if (kind, dtype) == ("h5", "bf16"):
            continue
        convert(folders / "distilbert", to=kind, dtype=dtype, out=tmp_path / dtype)
        for name, array in arrays_of(tmp_path / dtype).items():
            assert array.dtype == numpy_type
            np.testing.assert_array_equal(array, source[name].astype(numpy_type))
        convert(tmp_path / dtype, to="h5", out=tmp_path / f"{dtype} h5")
        for name, array in arrays_of(tmp_path / f"{dtype} h5").items():
            assert array.dtype == (np.float16 if dtype == "fp16" else np.float32)
            np.testing.assert_array_equal(array.astype("f4"), source[name].astype(numpy_type).astype("f4"))
        kept = "float16" if dtype == "fp16" else "float32"
        assert read_config(tmp_path / f"{dtype} h5").dtype == kept


def test_what_is_refused(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = folders / "distilbert", tmp_path / "out"
    with pytest.raises(ConfigError, match="onnx"):
        convert(source, to="onnx", out=out)
    with pytest.raises(ConfigError, match="int8"):
        convert(source, to="bin", dtype="int8", out=out)
    with pytest.raises(ConfigError, match="holds fp16 or fp32"):
        convert(source, to="h5", dtype="bf16", out=out)
    large = with_arrays(source, tmp_path / "large", classifier__bias=np.full(2, 1e6, "f4"))
    with pytest.raises(ConfigError, match=r"classifier.bias with 1e\+06. Choose bf16 or fp32"):
        convert(large, to="bin", dtype="fp16", out=out)
    arrays = arrays_of(source)
    arrays.pop("distilbert.embeddings.LayerNorm.bias")
    read_config(source).save_pretrained(tmp_path / "lacking")
    write_arrays(tmp_path / "lacking", arrays)
    with pytest.raises(CheckpointError, match="every weight of its encoder.*LayerNorm.bias"):
        convert(tmp_path / "lacking", to="bin", out=out)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'distilbert\[convert\]'"):
        convert(source, to="h5", out=out)
    assert not out.exists()


def test_the_command_and_a_folder_that_is_replaced(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = f"convert --model {folders}/classifier --out {tmp_path}/other --quiet"
    assert main([*command.split(), "--to", "h5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["to"] == "h5"
    assert said["parameters"] == sum(array.size for array in arrays_of(folders / "classifier").values())
    assert main([*command.split(), "--to", "bin"]) == 2
    assert "already holds a model" in capsys.readouterr().err
    assert main([*command.split(), "--to", "bin", "--force"]) == 0
    names = {path.name for path in (tmp_path / "other").iterdir()}
    assert "pytorch_model.bin" in names
    assert "tf_model.h5" not in names, "the old weights went with the old model"
    with pytest.raises(OutputError):
        convert(folders / "bert", to="bin", out=folders / "classifier")


def test_it_needs_no_framework(folders: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from distilbert import convert; from pathlib import Path\n"
        f"here, there = Path({str(folders / 'bert')!r}), Path({str(tmp_path)!r})\n"
        "for kind in ('bin', 'h5', 'msgpack', 'safetensors'):\n"
        "    convert(here, to=kind, out=there / kind); here = there / kind\n"
        "print({'torch', 'tensorflow', 'jax', 'flax', 'keras', 'msgpack'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
    before, after = arrays_of(folders / "bert"), arrays_of(tmp_path / "safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)
