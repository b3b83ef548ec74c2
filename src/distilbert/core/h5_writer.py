"""Writes ``tf_model.h5`` as TensorFlow's Keras lays it out: a group a layer, with the list of its arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.files import replacing, unwritable
from distilbert.core.layouts import to_keras
from distilbert.core.parameters import BASE_PARTS, KERAS_TIED_LAYERS
from distilbert.errors import MissingExtraError

#: Bytes of one list of names; HDF5's limit for what stands in the head of a group is 64 KiB.
MAX_LIST_BYTES = 60_000

#: Readers drop the model's name, whatever it is.
_MODEL = "model"


def write_h5(path: Path, named: Mapping[str, "np.ndarray[Any, Any]"], *, base: str) -> None:
    """Write arrays that have published names, atomically; bfloat16, which HDF5 does not have, as float32.

    Args:
        path: of the file.
        named: the arrays.
        base: what stands before the encoder's names, ``distilbert.``; TensorFlow has it in base models too.

    Raises:
        OutputError: the place cannot be written.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError.of("convert", wanted="Writing .h5 files", missing="h5py") from None
    named = {base + name if name.startswith(BASE_PARTS) else name: array for name, array in named.items()}
    layers: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, place in to_keras({name: array.shape for name, array in named.items()}).items():
        array = named[name].T if place.turned else named[name]
        wide = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
        layers.setdefault(place.name.split("/")[0], {})[f"{_MODEL}/{place.name}"] = wide
    with replacing(path) as partial:
        try:
            with h5py.File(partial, "w", libver=("earliest", "v110")) as file:
                file.attrs["backend"] = "tensorflow"
                file.attrs["keras_version"] = "2"
                _list_names(file, "layer_names", list(layers))
                for layer, arrays in layers.items():
                    for name, array in arrays.items():
                        file.create_dataset(f"{layer}/{name}", data=np.ascontiguousarray(array))
                for layer, arrays in layers.items():
                    shared = _shared(layer, layers)
                    for name, owner in shared.items():
                        file[f"{layer}/{name}"] = file[f"{owner}/{name}"]  # a second name, not a copy
                    _list_names(file[layer], "weight_names", [*arrays, *shared])
        except (OSError, RuntimeError) as error:  # the library has its own ways to say that a disk is full
            raise unwritable(path, OSError(str(error))) from error


def _shared(layer: str, layers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The arrays of other layers that this one has to have in its group, with the layer that owns each."""
    if layer not in KERAS_TIED_LAYERS:
        return {}
    return {
        name: owner
        for owner, arrays in layers.items()
        for name in arrays
        if name.startswith(f"{_MODEL}/{owner}/embeddings/")
    }


def _list_names(group: Any, attribute: str, names: Sequence[str]) -> None:
    """A list of names, in as many attributes as it takes."""
    encoded = np.array([name.encode() for name in names])
    parts = np.array_split(encoded, -(-encoded.nbytes // MAX_LIST_BYTES))
    for i, part in enumerate(parts):
        group.attrs[attribute if len(parts) == 1 else f"{attribute}{i}"] = part
