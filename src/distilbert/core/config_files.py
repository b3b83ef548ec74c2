"""What a folder says of its model: ``config.json``, or what stands in its place."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilbert.core.files import BERT_CONFIG_FILE, CONFIG_FILE, MODULES_FILE, is_plain_name, read_json
from distilbert.errors import CheckpointError

#: A class of models as published, of any framework, with the family in it.
_CLASS = re.compile(r"(?:TF|Flax)?(DistilBert|Bert)(?:Model|For[A-Z]\w*|LMHeadModel|PreTrainedModel)")


def folder_content(folder: Path) -> dict[str, Any]:
    """What a folder's ``config.json`` says, or in its absence Google's ``bert_config.json``, of a BERT.

    A file stands for itself.

    Raises:
        CheckpointError: there is neither, or it is not JSON.
    """
    if folder.is_file():
        return dict(read_json(folder))
    if (folder / CONFIG_FILE).exists():
        return dict(read_json(folder / CONFIG_FILE))
    if (folder / BERT_CONFIG_FILE).exists():
        return {**read_json(folder / BERT_CONFIG_FILE), "model_type": "bert"}
    if (folder / MODULES_FILE).exists():
        modules = read_json(folder / MODULES_FILE, kind=list)
        place = modules[0].get("path") if modules and isinstance(modules[0], dict) else None
        if is_plain_name(place):
            raise CheckpointError(
                f"A model folder must hold {CONFIG_FILE}.",
                received=f"{folder}, whose {MODULES_FILE} has the encoder in {place}",
                remedy=f"Give subfolder={place!r}, or name that folder.",
            )
    return dict(read_json(folder / CONFIG_FILE))


def model_type(content: Mapping[str, Any]) -> Any:
    """The family that a configuration names: by itself, or in files of before by the class it was saved from.

    A class that is of neither family stands for its own; None where nothing is said.
    """
    said, classes = content.get("model_type"), content.get("architectures")
    if said is not None or not isinstance(classes, list) or not classes:
        return said
    found = _CLASS.fullmatch(str(classes[0]))
    return found[1].lower() if found else classes[0]
