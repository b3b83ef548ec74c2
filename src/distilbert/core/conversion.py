"""A model folder written anew with its weights in the files of another framework."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import rules
from distilbert.core.bin_writer import write_bin
from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import BertConfig, EncoderConfig, read_config
from distilbert.core.facts import read_facts
from distilbert.core.files import (
    BIN_FILE,
    FACTS_FILE,
    H5_FILE,
    MSGPACK_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    WEIGHT_KINDS,
    write_json,
)
from distilbert.core.h5_writer import write_h5
from distilbert.core.hub import local_folder
from distilbert.core.mapped_files import DTYPES
from distilbert.core.msgpack_writer import write_msgpack
from distilbert.core.output import new_folder
from distilbert.core.parameters import Head, base_prefix, file_aliases, is_index, manifest, published_name
from distilbert.core.sentence_folders import encoder_folder, read_modules, write_modules
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.weight_files import Arrays, Weights, write_arrays
from distilbert.errors import CheckpointError, ConfigError

#: The numbers that weights are written as, by their usual short names.
PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        to: the kind of file.
        arrays: how many it holds.
        parameters: how many numbers they have.
        left_out: names whose numbers another array holds too, or that no model needs.
    """

    to: str
    arrays: int
    parameters: int
    left_out: tuple[str, ...]


def convert(
    model: str | Path,
    *,
    to: str,
    out: str | Path,
    dtype: str | None = None,
    force: bool = False,
) -> Converted:
    """Write a folder with the same model, its weights in files of another kind.

    Whatever head the weights have goes with them, known here or not, and so do the tokenizer and what is
    known of the model. What another array holds too (a tied projection) is not written twice.

    Args:
        model: a BERT or DistilBERT, with weights of any kind that is read: a folder, or its name on a hub.
        to: ``safetensors``, ``bin`` (PyTorch), ``h5`` (TensorFlow 2) or ``msgpack`` (Flax).
        out: the new folder.
        dtype: ``fp32``, ``fp16`` or ``bf16``; None keeps each array's own. An ``.h5`` file has no bf16:
            arrays of it become fp32, which holds the same numbers.
        force: replace a model that stands at ``out``.

    Raises:
        CheckpointError: the folder cannot be read.
        ConfigError: no such kind of file or number, or weights too large for it.
        MissingExtraError: it takes a package that is not installed.
        OutputError: ``out`` is taken or cannot be written.
    """
    rules.one_of(WEIGHT_KINDS)("to", to)
    if dtype is not None:
        rules.one_of(tuple(PRECISIONS))("dtype", dtype)
    if (to, dtype) == ("h5", "bf16"):
        raise ConfigError(
            "An .h5 file holds fp16 or fp32.",
            received="dtype='bf16'",
            remedy="Choose fp32, or another kind of file.",
        )
    whole = local_folder(model)
    model = encoder_folder(whole)
    config = read_config(model)
    with new_folder(out, force=force) as folder:
        arrays, left_out = _read(model, config)
        if dtype is not None:
            arrays = {name: _cast(name, array, dtype) for name, array in arrays.items()}
            config.dtype = PRECISIONS[dtype]
        elif to == "h5" and config.dtype == PRECISIONS["bf16"]:
            config.dtype = PRECISIONS["fp32"]
        config.save_pretrained(folder)
        _write(folder, arrays, to, config)
        if any((Path(model) / name).is_file() for name in (TOKENIZER_FILE, VOCAB_FILE)):
            kind = "BertTokenizer" if isinstance(config, BertConfig) else "DistilBertTokenizer"
            DistilBertTokenizerFast.from_pretrained(model).save_pretrained(folder, tokenizer_class=kind)
        if modules := read_modules(whole):
            write_modules(folder, modules)
        if facts := read_facts(model):
            write_json(folder / FACTS_FILE, facts)
    return Converted(to, len(arrays), sum(array.size for array in arrays.values()), tuple(left_out))


def _read(folder: str | Path, config: EncoderConfig) -> tuple[Arrays, list[str]]:
    """Every array under its published name, and the names of those that are not carried over."""
    report = survey(folder, manifest(config, Head.NONE), config)
    require_encoder(folder, report.missing, config, Head.NONE)
    arrays: Arrays = {}
    left_out: list[str] = []
    tied = {n for p in manifest(config, Head.MASKED_LM) if p.tied_to for n in file_aliases(p, config)}
    with Weights(folder) as file:
        for name in _usual_names_first(file):
            if is_index(name) or name in tied:
                left_out.append(name)
                continue
            array, published = file[name], published_name(name)
            if published not in arrays:
                arrays[published] = array
            elif np.array_equal(arrays[published], array):
                left_out.append(name)
            else:
                raise CheckpointError(
                    "A model's weights must hold each array once.",
                    received=f"{name} and {published} with different numbers in {folder}",
                    remedy="Save the model again.",
                )
    return arrays, left_out


def _usual_names_first(file: Weights) -> Iterator[str]:
    yield from (name for name in file.shapes if published_name(name) == name)
    yield from (name for name in file.shapes if published_name(name) != name)


def _cast(name: str, array: "np.ndarray[Any, Any]", dtype: str) -> "np.ndarray[Any, Any]":
    if array.dtype.kind != "f" and array.dtype != DTYPES[PRECISIONS["bf16"]]:
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(DTYPES[PRECISIONS[dtype]])
    if not np.isfinite(cast).all() and np.isfinite(array).all():
        raise ConfigError(
            "Weights must have a place among the numbers they are written as.",
            received=f"dtype={dtype!r}, and {name} with {np.abs(array).max():.3g}",
            remedy="Choose bf16 or fp32.",
        )
    return cast


def _write(folder: Path, arrays: Arrays, to: str, config: EncoderConfig) -> None:
    if to == "bin":
        write_bin(folder / BIN_FILE, arrays)
    elif to == "h5":
        write_h5(folder / H5_FILE, arrays, base=base_prefix(config))
    elif to == "msgpack":
        write_msgpack(folder / MSGPACK_FILE, arrays)
    else:
        write_arrays(folder, arrays)
