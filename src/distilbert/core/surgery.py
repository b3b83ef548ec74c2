"""Cutting a student out of a teacher: which layers stay, and where the token types go.

Sanh et al. 2019, section 3: the student is the teacher with every other layer. The published student
simply drops BERT's token types, which changes what the first layer sees; here the row of type 0, the
only one a student ever meets, is added to every row of the position table, so that both models'
embeddings give the same output.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import parameters
from distilbert.core.checkpoint import (
    file_names,
    listed,
    read_weights,
    require_encoder,
    write_weights,
)
from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig, read_config
from distilbert.core.hub import local_folder
from distilbert.core.output import new_folder
from distilbert.core.parameters import Head, manifest
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError


def choose_layers(count: int, *, of: int) -> tuple[int, ...]:
    """``count`` of a teacher's layers, evenly spaced from the first to the last; one alone is the first.

    From 12 layers to 6 this gives the published choice, 0, 2, 4, 7, 9 and 11.

    Raises:
        ConfigError: the teacher has fewer layers than that.
    """
    if not 1 <= count <= of:
        raise ConfigError(
            "A student has at least one layer and at most as many as its teacher.",
            received=f"{count} layers from a teacher of {of}",
            remedy=f"Choose from 1 to {of}.",
        )
    return tuple(int(layer) for layer in np.rint(np.linspace(0, of - 1, count)))


def student_config(teacher: EncoderConfig, *, layers: Sequence[int]) -> DistilBertConfig:
    """The configuration of a student with the teacher's sizes and rates and these of its layers."""
    return DistilBertConfig(
        vocab_size=teacher.vocab_size,
        max_position_embeddings=teacher.max_position_embeddings,
        # The positions are the teacher's, learned ones; a sinusoidal flag would freeze or replace them.
        sinusoidal_pos_embds=False,
        n_layers=len(layers),
        n_heads=teacher.n_heads,
        dim=teacher.dim,
        hidden_dim=teacher.hidden_dim,
        dropout=teacher.dropout,
        attention_dropout=teacher.attention_dropout,
        activation=teacher.activation,
        initializer_range=teacher.initializer_range,
        pad_token_id=teacher.pad_token_id,
        pruned_heads={i: teacher.pruned_heads.get(layer, []) for i, layer in enumerate(layers)},
        tie_word_embeddings=teacher.tie_word_embeddings,
    )


def cut(
    teacher: EncoderConfig, arrays: Mapping[str, "np.ndarray[Any, Any]"], layers: Sequence[int]
) -> Arrays:
    """The student's arrays, out of the arrays of a teacher with a masked-language-model head.

    Args:
        teacher: the teacher's configuration.
        arrays: the teacher's arrays by key.
        layers: the teacher's layers to keep, in the student's order.

    Raises:
        ConfigError: a layer that the teacher does not have.
    """
    if not layers or not all(0 <= layer < teacher.n_layers for layer in layers):
        raise ConfigError(
            f"The layers to keep must be among the teacher's, 0 to {teacher.n_layers - 1}.",
            received=", ".join(map(str, layers)) or "none",
            remedy="Name at least one of them, separated by commas.",
        )
    student = student_config(teacher, layers=layers)
    prefix = parameters.base_prefix(teacher)
    base = parameters.split_base(arrays, teacher)
    head = {key: array for key, array in arrays.items() if not key.startswith(prefix)}
    kept = {}
    for parameter in manifest(student):
        layer = parameters.layer_of(parameter.key)
        source = parameter.key if layer is None else parameters.at_layer(parameter.key, layers[layer])
        kept[parameter.key] = base[source]
    if isinstance(teacher, BertConfig):
        types = base[parameters.TOKEN_TYPE_EMBEDDINGS]
        kept[parameters.POSITION_EMBEDDINGS] = kept[parameters.POSITION_EMBEDDINGS] + types[0]
    return parameters.join_base(kept, head, student)


def shrink(
    teacher: str | Path, *, layers: int | Sequence[int], out: str | Path, force: bool = False
) -> DistilBertConfig:
    """Cut a student folder out of a teacher folder, without training.

    Args:
        teacher: a folder or hub name of a BERT or DistilBERT with its masked-language-model head.
        layers: how many layers (evenly spaced), or which.
        out: the student's folder.
        force: replace a model that stands at ``out``.

    Returns:
        The student's configuration.

    Raises:
        CheckpointError: the teacher's folder cannot be read.
        HubError: neither a folder nor a repository that can be read.
        ConfigError: layers that the teacher does not have, or a teacher without that head.
        OutputError: ``out`` is taken or cannot be written.
    """
    teacher = local_folder(teacher)
    config = read_config(teacher)
    kept = choose_layers(layers, of=config.n_layers) if isinstance(layers, int) else tuple(layers)
    arrays, report = read_weights(teacher, manifest(config, Head.MASKED_LM), config)
    require_language_model(teacher, report.missing, config)
    student = student_config(config, layers=kept)
    student.architectures = ["DistilBertForMaskedLM"]
    cut_arrays = cut(config, arrays, kept)
    student.dtype = str(cut_arrays[parameters.base_prefix(student) + parameters.WORD_EMBEDDINGS].dtype)
    with new_folder(out, force=force) as folder:
        student.save_pretrained(folder)
        write_weights(folder, cut_arrays, manifest(student, Head.MASKED_LM))
        DistilBertTokenizerFast.from_pretrained(teacher).save_pretrained(folder)
    return student


def require_language_model(folder: str | Path, missing: Sequence[str], config: EncoderConfig) -> None:
    """Refuse a folder that lacks weights of a masked language model.

    Raises:
        CheckpointError: weights of the encoder are missing.
        ConfigError: the head is; how to get one is said.
    """
    require_encoder(folder, missing, config, Head.MASKED_LM)
    if missing:
        names = file_names(missing, manifest(config, Head.MASKED_LM))
        raise ConfigError(
            "A teacher of masked words must have a masked-language-model head.",
            received=f"{folder} without {listed(names)}",
            remedy=f"Give it one: distilbert pretrain --model {folder} --text corpus.txt --out DIR",
        )
