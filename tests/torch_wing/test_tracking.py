"""A tracker is told what the run's own log says; nothing of it is needed, and nothing leaves the machine."""

import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import Distiller, Finetuner, Finetuning, LabelledTexts, LanguageModelling
from distilbert.cli.main import main
from distilbert.errors import ConfigError, MissingExtraError
from distilbert.torch.tracking import tracked

pytest.importorskip("accelerate")

RECIPE = LanguageModelling(
    steps=7, batch_size=8, micro_batch_size=8, max_length=24, min_length=3, held_out=8, judge_every=3,
    precision="fp32",
)  # fmt: skip


class Writer:
    """In the place of TensorBoard's: keeps what it is told."""

    made: "list[Writer]" = []  # noqa: RUF012  # one list of all of them is what is wanted

    def __init__(self, folder: Any) -> None:
        self.folder, self.told, self.settings, self.closed = Path(folder), {}, {}, False
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, global_step: int) -> None:
        self.told.setdefault(name, {})[global_step] = value

    def add_hparams(self, values: dict[str, Any], metric_dict: dict[str, Any]) -> None:
        self.settings = values

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def installed(name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package of this name, as far as anybody can see."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> type[Writer]:
    installed("tensorboard", monkeypatch)
    fake = installed("torch.utils.tensorboard", monkeypatch)
    fake.SummaryWriter = Writer
    monkeypatch.setattr(torch.utils, "tensorboard", fake, raising=False)
    Writer.made.clear()
    return Writer


def test_a_distillation_is_told_step_by_step(tmp_path: Path, board: type[Writer]) -> None:
    from accelerate.state import PartialState

    teacher = write_teacher(tmp_path / "teacher")
    texts = sentences(200)[0]
    run = Distiller(teacher, layers=2, recipe=RECIPE, device="cpu").run(
        texts, out=tmp_path / "out", track="tensorboard"
    )
    (writer,) = board.made
    assert writer.closed
    assert writer.folder == tmp_path / "out.tracked" / "out"
    assert writer.settings["learning_rate"] == RECIPE.learning_rate
    assert writer.settings["adam_betas"] == "(0.9, 0.98)"
    for name, values in run.log.losses.items():
        assert writer.told[f"loss/{name}"] == dict(enumerate(values, 1))
    assert writer.told["learning_rate"] == dict(enumerate(run.log.learning_rates, 1))
    assert set(writer.told["tokens_per_second"]) == set(range(1, 8))
    looks = {look["step"]: look["agreement"] for look in run.log.judged}
    assert writer.told["held_out/agreement"] == looks
    assert set(looks) == {0, 3, 6, 7}
    assert PartialState._shared_state == {}, "accelerate's state is the caller's"
    untold = Distiller(teacher, layers=2, recipe=RECIPE, device="cpu").run(texts, out=tmp_path / "untold")
    assert untold.log.losses == run.log.losses
    assert not (tmp_path / "untold.tracked").exists()


def test_a_finetuning_is_told_and_a_failure_closes_it(tmp_path: Path, board: type[Writer]) -> None:
    teacher = write_teacher(tmp_path / "teacher")
    data = LabelledTexts(*sentences(30))
    recipe = Finetuning(steps=3, max_length=24)
    Finetuner(teacher, recipe=recipe, device="cpu").run(data, out=tmp_path / "out", track="tensorboard")
    assert set(board.made[0].told["loss/labels"]) == {1, 2, 3}
    other = tracked("tensorboard", tmp_path / "other", {}, torch.device("cpu"))
    with pytest.raises(ZeroDivisionError), other:
        raise ZeroDivisionError
    assert board.made[1].closed


@pytest.mark.parametrize("kind", ["mlflow", "wandb"])
def test_what_is_not_installed_is_named_with_its_command(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=f"Run: pip install {kind}$"):
        Distiller("nowhere", layers=2).run(["x"], out=tmp_path / "out", track=kind)
    assert not list(tmp_path.iterdir())


def test_no_such_tracker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="one of tensorboard, mlflow, wandb. Received: 'abacus'"):
        Distiller("nowhere", layers=2).run(["x"], out=tmp_path / "out", track="abacus")
    (tmp_path / "x.txt").write_text("text")
    command = f"pretrain --model x --text {tmp_path}/x.txt --out {tmp_path}/out --track abacus --quiet"
    assert main(command.split()) == 2
    assert "Received: 'abacus'" in capsys.readouterr().err


def test_wandb_stays_offline_and_mlflow_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, Any] = {}
    wandb, mlflow = installed("wandb", monkeypatch), installed("mlflow", monkeypatch)

    class Run:
        def log(self, values: dict[str, float], step: int) -> None:
            said["wandb told"] = (values, step)

        def finish(self) -> None:
            said["wandb finished"] = True

    wandb.init = lambda **given: said.setdefault("wandb", given) and Run()
    wandb.config = types.SimpleNamespace(update=lambda values, **_: None)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with tracked("wandb", tmp_path / "out", {"steps": 3}, torch.device("cpu")):
        pass
    assert said["wandb"]["mode"] == "offline"
    assert said["wandb"]["dir"] == str(tmp_path / "out.tracked")
    assert said["wandb finished"]

    mlflow.set_tracking_uri = lambda uri: said.setdefault("uri", uri)
    mlflow.search_experiments = lambda **_: []
    mlflow.create_experiment = lambda **given: said.setdefault("experiment", given) and "1"
    mlflow.start_run = lambda **_: None
    mlflow.log_params = lambda values: said.setdefault("settings", values)
    mlflow.end_run = lambda: said.setdefault("ended", True)
    mlflow.utils = types.SimpleNamespace(
        validation=types.SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100)
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracked("mlflow", tmp_path / "out", {"steps": 3}, torch.device("cpu")):
        pass
    assert said["uri"] == (tmp_path / "out.tracked").as_uri()
    assert said["settings"] == {"steps": 3}
    assert said["ended"]
