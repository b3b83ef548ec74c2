"""``distilbert.json``: what we know of a model folder beside its published files."""

from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.files import FACTS_FILE, read_json
from distilbert.errors import CheckpointError, ConfigError


def read_facts(folder: str | Path) -> dict[str, Any]:
    """What a folder's ``distilbert.json`` says; nothing where the model was made elsewhere.

    Raises:
        CheckpointError: it is damaged, or says what it cannot.
    """
    path = Path(folder) / FACTS_FILE
    facts = read_json(path, missing_is_empty=True)
    try:
        if "max_length" in facts:
            rules.integer(3)("max_length", facts["max_length"])
        task = facts.get("task", {})
        if not isinstance(task, dict):
            raise ConfigError("task must be an object.", received=f"task={task!r:.60}", remedy="")
        rules.names("task.labels", task.get("labels", []))
        _check_calibration(facts.get("calibration", {}))
    except ConfigError as error:
        raise CheckpointError(
            f"{FACTS_FILE} must hold what a training command wrote. {error.rule}",
            received=f"{error.received} in {folder}",
            remedy="Restore the file, or delete it: the model works without.",
        ) from None
    return facts


def _check_calibration(calibration: Any) -> None:
    if not isinstance(calibration, dict) or not isinstance(calibration.get("thresholds", {}), dict):
        raise ConfigError(
            "calibration and its thresholds must be objects.", received=f"{calibration!r:.60}", remedy=""
        )
    if "temperature" in calibration:
        rules.number(1e-3, 1e3)("calibration.temperature", calibration["temperature"])
    if "null_threshold" in calibration:
        rules.number(-1e6, 1e6)("calibration.null_threshold", calibration["null_threshold"])
    for label, threshold in calibration.get("thresholds", {}).items():
        rules.number(1e-9, 1 - 1e-9)(f"calibration.thresholds of {label}", threshold)
