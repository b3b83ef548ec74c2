"""``finetune --managed``: what a training job's environment says, as flags, and its model in its place.

Amazon SageMaker: ``SM_CHANNEL_TRAIN`` (or ``TRAINING``), ``SM_CHANNEL_EVAL`` (``VALIDATION``, ``TEST``),
``SM_CHANNEL_MODEL``, ``SM_CHANNEL_TEACHER``, ``SM_CHANNEL_UNLABELLED``, ``SM_HPS``, ``SM_MODEL_DIR``, and
``/opt/ml/checkpoints``. Vertex AI: ``AIP_TRAINING_DATA_URI``, ``AIP_VALIDATION_DATA_URI`` (or
``AIP_TEST_DATA_URI``), ``AIP_MODEL_DIR`` and ``AIP_CHECKPOINT_DIR``, with buckets where they are mounted,
under ``/gcs``. Flags that are given too go before all of these.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distilbert.core.files import CONFIG_FILE, FACTS_FILE
from distilbert.core.output import filling
from distilbert.errors import ConfigError, DataError

FLAG = "--managed"

#: What a job writes its checkpoints into, to find them again when it is begun anew: SageMaker's usual place.
_SAGEMAKER_CHECKPOINTS = Path("/opt/ml/checkpoints")

#: Where Vertex AI mounts buckets, and how it names what is in them.
_BUCKETS, _SCHEME = "/gcs/", "gs://"

#: By flag, the channels that may hold what it names, in the order in which they are looked for.
_CHANNELS = {
    "--train": ("TRAIN", "TRAINING"),
    "--eval": ("EVAL", "VALIDATION", "TEST"),
    "--model": ("MODEL",),
    "--teacher": ("TEACHER",),
    "--unlabelled": ("UNLABELLED",),
}
_AIP_DATA = {
    "--train": ("AIP_TRAINING_DATA_URI",),
    "--eval": ("AIP_VALIDATION_DATA_URI", "AIP_TEST_DATA_URI"),
}

#: Flags whose channel is a table, and not a model.
_TABLES = ("--train", "--eval", "--unlabelled")


def expanded(words: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """A command's words; those of a managed job with what its environment says put before its own flags.

    Args:
        words: as typed, after ``distilbert``.
        environment: of the job; None is this process's.

    Raises:
        ConfigError: there is no such job around, or its hyperparameters are no flags.
        DataError: a channel does not hold one table.
    """
    words = list(words)
    if words[:1] != ["finetune"] or FLAG not in words:
        return words
    told = os.environ if environment is None else environment
    found: dict[str, list[str]] = {**_hyperparameters(told.get("SM_HPS", "")), **_places(told)}
    work = _work(told)
    found.setdefault("--out", [str(work / "model")])
    flags = [part for name, values in found.items() for part in (name, *values)]
    return ["finetune", *flags, "--resume", *words[1:]]


def is_done(out: str | Path) -> bool:
    """Whether the job had come to its end before, and only its machine went."""
    return (Path(out) / CONFIG_FILE).is_file() and (Path(out) / FACTS_FILE).is_file()


def deliver(out: str | Path, environment: Mapping[str, str] | None = None) -> Path:
    """Put a finished model's files where the job's service fetches them; the place.

    Args:
        out: the finished folder.
        environment: of the job; None is this process's.
    """
    place = _model_dir(os.environ if environment is None else environment)
    if place.resolve() == Path(out).resolve():
        return place
    with filling(place) as folder:
        for file in sorted(Path(out).iterdir()):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
    return place


def _model_dir(told: Mapping[str, str]) -> Path:
    for name in ("SM_MODEL_DIR", "AIP_MODEL_DIR"):
        if told.get(name):
            return _local(told[name])
    raise ConfigError(
        f"{FLAG} is for managed training jobs, which say where the model is to be.",
        received="neither SM_MODEL_DIR nor AIP_MODEL_DIR in the environment",
        remedy="Leave the flag out, and name --model, --train and --out.",
    )


def _work(told: Mapping[str, str]) -> Path:
    """Where the run is written: what outlives the machine, if the job has such a place."""
    if told.get("AIP_CHECKPOINT_DIR"):
        return _local(told["AIP_CHECKPOINT_DIR"])
    if told.get("SM_MODEL_DIR") and told.get("SM_CHECKPOINT_DIR", str(_SAGEMAKER_CHECKPOINTS)):
        place = Path(told.get("SM_CHECKPOINT_DIR", str(_SAGEMAKER_CHECKPOINTS)))
        if place.is_dir():
            return place
    place = _model_dir(told)
    return place.parent / f"{place.name}.run"


def _places(told: Mapping[str, str]) -> dict[str, list[str]]:
    """The flags of what lies in channels, or under the names of data."""
    found = {}
    for names, prefix in ((_CHANNELS, "SM_CHANNEL_"), (_AIP_DATA, "")):
        for flag, channels in names.items():
            place = next((told[prefix + one] for one in channels if told.get(prefix + one)), None)
            if place is not None:
                local = _local(place)
                found[flag] = [str(_table(local) if flag in _TABLES else local)]
    return found


def _local(place: str) -> Path:
    return Path(_BUCKETS + place.removeprefix(_SCHEME)) if place.startswith(_SCHEME) else Path(place)


def _table(place: Path) -> Path:
    """The one file of a channel, or what a pattern stands for."""
    if place.is_file():
        return place
    folder, pattern = (place, "*") if place.is_dir() else (place.parent, place.name)
    files = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))
    if len(files) != 1:
        raise DataError(
            "A channel of a managed job must hold one table.",
            received=f"{len(files)} files in {place}" + (f", {files[0].name} first" if files else ""),
            remedy="Put its rows into one file, or name it: --train FILE.",
        )
    return files[0]


def _hyperparameters(text: str) -> dict[str, list[str]]:
    """Hyperparameters as flags, such as ``{"learning_rate": 5e-5}``; the service's own are left out."""
    try:
        values: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ConfigError(
            "SM_HPS must be a JSON object of hyperparameters.",
            received=f"{text!r:.80}",
            remedy="Name each as the flag of finetune that it is, such as learning_rate.",
        )
    flags: dict[str, list[str]] = {}
    for name, value in values.items():
        if name.startswith("sagemaker_"):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags[f"--{flag}" if value else f"--no-{flag}"] = []
        elif isinstance(value, list):
            flags[f"--{flag}"] = [str(each) for each in value]
        else:
            flags[f"--{flag}"] = [str(value)]
    return flags
