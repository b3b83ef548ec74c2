"""Training jobs of managed services: their folders laid out, their environment read when it is asked for."""

import json
from pathlib import Path

import pytest
from small_files import sentences, write_table, write_teacher

from distilbert.cli import managed
from distilbert.cli.main import main
from distilbert.errors import ConfigError, DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What both services mount: a model, and tables."""
    for name, count, seed in (("train", 24, 1), ("validation", 12, 2)):
        (tmp_path / name).mkdir()
        write_table(tmp_path / name / "part.csv", *sentences(count, seed=seed))
    write_teacher(tmp_path / "base")
    return tmp_path


def facts_of(folder: Path) -> dict:
    return json.loads((folder / "distilbert.json").read_text())


def test_a_job_of_sagemaker(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "model").mkdir()
    (data / "checkpoints").mkdir()
    hyperparameters = {
        "learning_rate": 0.001, "steps": "4", "batch-size": 8, "compile": False, "adam_betas": [0.8, 0.9],
        "sagemaker_region": "x",
    }  # fmt: skip
    for name, value in {
        "SM_CHANNEL_TRAINING": data / "train",
        "SM_CHANNEL_VALIDATION": data / "validation",
        "SM_CHANNEL_MODEL": data / "base",
        "SM_MODEL_DIR": data / "model",
        "SM_CHECKPOINT_DIR": data / "checkpoints",
        "SM_HPS": json.dumps(hyperparameters),
    }.items():
        monkeypatch.setenv(name, str(value))
    words = ["finetune", "--managed", "--quiet", "--device", "cpu", "--learning-rate", "0.002"]
    assert main(words) == 0
    facts = facts_of(data / "model")
    recipe = facts["recipe"]
    assert (recipe["steps"], recipe["batch_size"], recipe["adam_betas"]) == (4, 8, [0.8, 0.9])
    assert recipe["learning_rate"] == 0.002, "a flag goes before the job's hyperparameters"
    assert (facts["data"]["labelled"], facts["evaluation"]["rows"]) == (24, 12)
    assert (data / "model" / "model.safetensors").is_file()
    assert (data / "model" / "README.md").is_file()
    # A machine that went after the end: what is there is delivered again, and nothing is trained.
    (data / "model" / "model.safetensors").unlink()
    before = (data / "checkpoints" / "model" / "distilbert.json").stat().st_mtime_ns
    assert main(words) == 0
    assert (data / "model" / "model.safetensors").is_file()
    assert (data / "checkpoints" / "model" / "distilbert.json").stat().st_mtime_ns == before


def test_a_job_of_vertex(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AIP_TRAINING_DATA_URI": data / "train" / "par*.csv",
        "AIP_VALIDATION_DATA_URI": data / "validation",
        "AIP_MODEL_DIR": data / "model",
        "AIP_CHECKPOINT_DIR": data / "checkpoints",
    }.items():
        monkeypatch.setenv(name, str(value))
    words = [
        "finetune",
        "--managed",
        "--quiet",
        "--device",
        "cpu",
        "--model",
        str(data / "base"),
        "--steps",
        "2",
    ]
    assert main(words) == 0
    assert facts_of(data / "model")["recipe"]["steps"] == 2
    assert facts_of(data / "model")["evaluation"]["rows"] == 12


def test_buckets_lie_where_they_are_mounted() -> None:
    told = {"AIP_MODEL_DIR": "gs://bucket/out/model", "AIP_CHECKPOINT_DIR": "gs://bucket/out/checkpoints"}
    words = managed.expanded(["finetune", "--managed"], told)
    assert words[words.index("--out") + 1] == "/gcs/bucket/out/checkpoints/model"
    assert "--resume" in words


def test_the_environment_is_read_when_it_is_asked_for() -> None:
    told = {"SM_MODEL_DIR": "/m", "SM_CHANNEL_TRAIN": "/t", "SM_HPS": '{"epochs": 9}'}
    words = ["finetune", "--train", "x", "--model", "y", "--out", "z"]
    assert managed.expanded(words, told) == words
    assert managed.expanded(["evaluate", "--managed"], told) == ["evaluate", "--managed"]


def test_what_is_no_job(data: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ConfigError, match="neither SM_MODEL_DIR nor AIP_MODEL_DIR"):
        managed.expanded(["finetune", "--managed"], {})
    assert main(["finetune", "--managed"]) == 2
    assert "neither SM_MODEL_DIR" in capsys.readouterr().err
    write_table(data / "train" / "more.csv", *sentences(3, seed=5))
    with pytest.raises(DataError, match=r"2 files in .*more\.csv first"):
        managed.expanded(
            ["finetune", "--managed"], {"SM_MODEL_DIR": "/m", "SM_CHANNEL_TRAIN": str(data / "train")}
        )
    for wrong in ("[1]", "{", "[" * 99999):
        with pytest.raises(ConfigError, match="SM_HPS must be a JSON object"):
            managed.expanded(["finetune", "--managed"], {"SM_MODEL_DIR": "/m", "SM_HPS": wrong})
