"""A run's figures, step by step, for a program that draws them: TensorBoard, MLflow or Weights & Biases.

By accelerate's trackers. Nothing leaves the machine unless the environment says so: what a tracker writes
stands beside the run's output, and MLFLOW_TRACKING_URI and WANDB_MODE are what changes that.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from distilbert.core.training.course import Watch, unwatched
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, MissingExtraError

#: The trackers, each of which is a package of its name.
TRACKERS = ("tensorboard", "mlflow", "wandb")


def require_tracker(kind: str) -> None:
    """Say at once, and not after a run was prepared, that a tracker cannot be used.

    Raises:
        ConfigError: no such tracker.
        MissingExtraError: its package, or accelerate, is not installed.
    """
    if kind not in TRACKERS:
        raise ConfigError(
            f"What a run is tracked with must be one of {', '.join(TRACKERS)}.",
            received=f"{kind!r:.80}",
            remedy="Choose one of these.",
        )
    if importlib.util.find_spec(kind) is None:
        raise MissingExtraError(
            f"Tracking a run with {kind} needs the package {kind}.",
            received="it is not installed",
            remedy=f"Run: pip install {kind}",
        )
    if importlib.util.find_spec("accelerate") is None:
        raise MissingExtraError.of("train", wanted="Tracking a run", missing="accelerate")


@contextmanager
def tracked(
    kind: str | None, out: str | Path, settings: Mapping[str, Any], device: torch.device
) -> Iterator[Watch]:
    """What tells a tracker of a run, while this lasts.

    Args:
        kind: one of ``TRACKERS``, or None for none.
        out: the run's output; what is written stands beside it, in ``<out>.tracked``.
        settings: of the run, that the tracker notes at its beginning.
        device: that the run computes on.

    Raises:
        ConfigError, MissingExtraError: as ``require_tracker``.
    """
    if kind is None:
        yield unwatched
        return
    require_tracker(kind)
    from accelerate.state import PartialState

    # Its trackers ask which process they are in; whoever asks first decides that for the whole process.
    own = PartialState._shared_state == {}
    PartialState(cpu=device.type == "cpu")
    out = Path(out).resolve()
    tracker = None
    try:
        tracker = _tracker(kind, out.name, out.with_name(out.name + ".tracked"))
        tracker.start()
        tracker.store_init_configuration({name: _plain(value) for name, value in settings.items()})
        yield _Watching(tracker)
    finally:
        if tracker is not None:
            tracker.finish()
        if own:
            PartialState._reset_state()


class _Watching:
    """Tells a tracker the newest step, and the newest look where there is one."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker

    def __call__(self, log: TrainingLog) -> None:
        told: dict[str, float] = {}
        if log.seconds:
            told = {f"loss/{name}": values[-1] for name, values in log.losses.items()}
            told |= {"learning_rate": log.learning_rates[-1], "seconds": log.seconds[-1], **log.speed(1)}
        if log.judged and log.judged[-1]["step"] == len(log.seconds):
            told |= {f"held_out/{name}": v for name, v in log.judged[-1].items() if name != "step"}
        self._tracker.log(told, step=len(log.seconds))


def _tracker(kind: str, name: str, folder: Path) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    made = LOGGER_TYPE_TO_CLASS[kind]
    if kind == "tensorboard":
        return made(name, logging_dir=folder)
    if kind == "wandb":
        folder.mkdir(parents=True, exist_ok=True)
        return made(name, dir=str(folder), mode=os.environ.get("WANDB_MODE", "offline"))
    if "MLFLOW_TRACKING_URI" not in os.environ:
        import mlflow

        mlflow.set_tracking_uri(folder.as_uri())
    return made(name, logging_dir=folder.as_uri())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
