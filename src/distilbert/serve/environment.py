"""What clouds tell a server by its environment: its models, its address, its routes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Where SageMaker lays a model.
SAGEMAKER = "/opt/ml/model"


@dataclass(frozen=True)
class Told:
    """
    Attributes:
        places: models by name; none where nothing is said.
        task: what the first is asked.
        settings: of the server, by the names of ``Settings``.
    """

    places: Mapping[str, str]
    task: str | None
    settings: Mapping[str, Any]


def told_by(environment: Mapping[str, str], *, sagemaker: str = SAGEMAKER) -> Told:
    """What an environment says.

    ``PORT`` (Cloud Run and others) and ``AIP_HTTP_PORT`` (Vertex AI) are ports at which other machines ask,
    so the server listens to all; so it does where SageMaker has laid a model. A model is named by
    ``HF_MODEL_ID`` or ``AIP_STORAGE_URI`` where that is a folder, its task by ``HF_TASK``.

    Args:
        environment: of the process.
        sagemaker: the folder that SageMaker fills.
    """
    settings: dict[str, Any] = {}
    port = environment.get("AIP_HTTP_PORT") or environment.get("PORT")
    bound = environment.get("SAGEMAKER_BIND_TO_PORT")
    on_sagemaker = _holds_a_model(sagemaker)
    if port or bound or on_sagemaker:
        settings["host"] = "0.0.0.0"
    if said := port or bound:
        settings["port"] = int(said) if said.isdecimal() else said
    if key := environment.get("DISTILBERT_API_KEY"):
        settings["keys"] = (key,)
    for name, variable in (("predict_route", "AIP_PREDICT_ROUTE"), ("health_route", "AIP_HEALTH_ROUTE")):
        if route := environment.get(variable):
            settings[name] = route
    place = environment.get("HF_MODEL_ID")
    if place is None and on_sagemaker:
        place = sagemaker
    stored = environment.get("AIP_STORAGE_URI", "")
    if place is None and _holds_a_model(stored):
        place = stored
    places = {} if place is None else {Path(place).name or "model": place}
    return Told(places, environment.get("HF_TASK") or None, settings)


def _holds_a_model(folder: str) -> bool:
    return bool(folder) and any((Path(folder) / name).is_file() for name in ("config.json", "modules.json"))
