"""A model folder as a graph's files to take away, in the layout that the peer's tools load."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import BertConfig
from distilbert.core.facts import read_facts
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.output import new_folder
from distilbert.core.parameters import Head, parameters_of
from distilbert.core.sentence_folders import encoder_folder, read_modules, write_modules
from distilbert.core.tasks.folders import TaskFolder, head_of
from distilbert.engine.model import Model
from distilbert.engine.onnx_file import Graph
from distilbert.errors import MissingExtraError

#: What can be written, and the file that tells it.
FORMATS = {"onnx": "model.onnx", "openvino": "openvino_model.xml"}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        to: a name in ``FORMATS``.
        head: that the graph has.
        outputs: the graph's, by name.
        bytes: of the graph's files.
    """

    to: str
    head: str
    outputs: tuple[str, ...]
    bytes: int


def export(model: str | Path, *, to: str, out: str | Path, force: bool = False) -> Exported:
    """Write a folder with the model as a graph of standard operators, its configuration and tokenizer.

    Batches and lengths of any size pass through it. A sentence-embedding folder's graph gives the states;
    what is made of them stands in the folder's other files, as the programs that load such folders have it.

    Args:
        model: a BERT or DistilBERT with any head, or none: a folder, or its name on a hub.
        to: "onnx" or "openvino".
        out: the new folder.
        force: replace a model that stands at ``out``.

    Raises:
        CheckpointError: the folder cannot be read.
        ConfigError: no such format, or a model too large for it.
        MissingExtraError: OpenVINO writes its own files, and is not installed.
        OutputError: ``out`` is taken or cannot be written.
    """
    rules.one_of(tuple(FORMATS))("to", to)
    whole = local_folder(model)
    place = encoder_folder(whole)
    config, tokenizer = open_folder(place)
    exported = _model(whole)
    with new_folder(out, force=force) as folder:
        graph = exported.graph("plain", choices=exported.head is Head.MULTIPLE_CHOICE)
        (_write_onnx if to == "onnx" else _write_openvino)(folder, graph)
        size = sum(path.stat().st_size for path in folder.iterdir())
        config.save_pretrained(folder)
        kind = "BertTokenizer" if isinstance(config, BertConfig) else "DistilBertTokenizer"
        tokenizer.save_pretrained(folder, tokenizer_class=kind)
        if modules := read_modules(whole):
            write_modules(folder, modules)
        if facts := read_facts(whole):
            write_json(folder / FACTS_FILE, facts)
    return Exported(to, exported.head.value, tuple(graph.outputs), size)


def _model(folder: Path) -> Model:
    """What a folder holds: a task's model, a language model with its head, or an encoder."""
    place = encoder_folder(folder)
    head = head_of(folder)
    if head not in (Head.MASKED_LM, Head.NONE):
        return Model.of(TaskFolder.open(folder))
    config, _ = open_folder(place)
    missing = survey(place, parameters_of(head, config), config).missing
    require_encoder(folder, missing, config, head)
    return Model(place, config, head)


def _write_onnx(folder: Path, graph: Graph) -> None:
    _write(folder / FORMATS["onnx"], graph.pieces())


def _write(path: Path, pieces: Iterable[Any]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)


def _write_openvino(folder: Path, graph: Graph) -> None:
    try:
        import openvino
    except ImportError:
        raise MissingExtraError.of("openvino", wanted="An OpenVINO file", missing="openvino") from None
    read = openvino.Core().read_model(graph.bytes())
    openvino.save_model(read, folder / FORMATS["openvino"], compress_to_fp16=False)
