"""What ``from_pretrained`` can be told, how a model is filled piece by piece, and what a caller saves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core.checkpoint import listed, match
from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Parameter
from distilbert.core.weight_files import Arrays
from distilbert.errors import CheckpointError, ConfigError
from distilbert.torch.device import pick_device
from distilbert.torch.tensors import as_array, as_tensor

_DTYPES = {
    str(t).removeprefix("torch."): t for t in (torch.float32, torch.float16, torch.bfloat16, torch.float64)
}
_DTYPES_ASKED = {**_DTYPES, "float": torch.float32, "half": torch.float16, "double": torch.float64}


class Source(Protocol):
    """Arrays by name, a few rows at a time."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def pieces(self, name: str) -> Iterator[tuple[slice, Any]]: ...


class StateDict:
    """Tensors that a caller has, in the place of a file's."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        if not isinstance(tensors, Mapping):
            raise _no_state(f"a {type(tensors).__name__}")
        for name, tensor in tensors.items():
            if not isinstance(name, str) or not _holds_numbers(tensor):
                raise _no_state(f"{_described(tensor)} as {name!r:.80}")
        self._tensors = tensors
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}

    def pieces(self, name: str) -> Iterator[tuple[slice, Tensor]]:
        tensor = self._tensors[name]
        yield slice(None), tensor if tensor.ndim else tensor[None]


def _holds_numbers(tensor: Any) -> bool:
    if isinstance(tensor, np.ndarray):
        return tensor.dtype.kind not in "cOSUMm"
    plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided and not tensor.is_quantized
    return plain and not tensor.is_meta and not tensor.is_complex()


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"a tensor of {value.dtype}, {value.layout}, on {value.device}"


def _no_state(received: str) -> ConfigError:
    return ConfigError(
        "state_dict must hold dense tensors of real numbers, by their published names.",
        received=received,
        remedy="Give model.state_dict(), or leave it out and name a folder.",
    )


def chosen_dtype(dtype: torch.dtype | str | None, config: EncoderConfig, source: Source) -> torch.dtype:
    """What the parameters are to be: float32 for None, the configuration's or the file's own for "auto".

    Raises:
        ConfigError: not a floating type.
    """
    if dtype == "auto":
        dtype = config.dtype or next((d for d in _dtypes_of(source) if d in _DTYPES), None)
    if dtype is None:
        return torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES_ASKED:
        raise ConfigError(
            f'dtype must be "auto" or one of {", ".join(_DTYPES)}.',
            received=f"dtype={dtype!r:.80}",
            remedy="Choose bfloat16 where the hardware computes it, and float32 otherwise.",
        )
    return _DTYPES_ASKED[name]


def chosen_device(device_map: Any) -> torch.device:
    """The one device that a map of modules to devices may name.

    Raises:
        ConfigError: more than one, or one that is not there.
    """
    if isinstance(device_map, Mapping):
        if set(device_map) != {""}:
            raise ConfigError(
                'device_map names one device for the whole model: "auto", "cpu", "cuda:0", or {"": device}.',
                received=f"device_map={dict(device_map)!r:.200}",
                remedy="Name one device; a model of this size is faster whole.",
            )
        device_map = device_map[""]
    if device_map is None:
        return torch.device("cpu")
    if isinstance(device_map, int) and not isinstance(device_map, bool):
        device_map = f"cuda:{device_map}"
    name = str(device_map)
    return pick_device("auto" if name in ("balanced", "balanced_low_0", "sequential") else name)


def fill(model: nn.Module, source: Source, places: Mapping[str, str]) -> dict[str, str]:
    """Copy the source's arrays into the parameters, a few rows at a time.

    Args:
        model: its parameters have the arrays' shapes.
        source: holds the arrays.
        places: the source's name for each key.

    Returns:
        The type in the source of every key whose numbers changed theirs.
    """
    tensors = dict(model.named_parameters())
    cast: dict[str, str] = {}
    with torch.no_grad():
        for key, name in places.items():
            tensor = tensors[key]
            for rows, piece in source.pieces(name):
                part = piece if isinstance(piece, Tensor) else as_tensor(piece)
                (tensor[rows] if tensor.ndim else tensor[None]).copy_(part)
                if part.dtype != tensor.dtype:
                    cast[key] = str(part.dtype).removeprefix("torch.")
    return cast


def arrays_to_save(
    state_dict: Mapping[str, Tensor], parameters: Sequence[Parameter], config: EncoderConfig
) -> tuple[Arrays, torch.dtype]:
    """The arrays of a caller's tensors by key, tied ones once, and their type.

    Raises:
        CheckpointError: none of them is the model's, some are not, or have another shape.
    """
    places, report = match(StateDict(state_dict), parameters, config, source="state_dict")
    if report.unexpected or not places:
        raise CheckpointError(
            "A state_dict to save must hold parameters of the model.",
            received=listed(report.unexpected) or "none",
            remedy="Give model.state_dict(), or the part of it that is to be written.",
        )
    arrays = {key: as_array(state_dict[name]) for key, name in places.items()}
    return arrays, state_dict[next(iter(places.values()))].dtype


def _dtypes_of(source: Source) -> Iterator[str]:
    """The types of the source's arrays, in its own order."""
    for name in source.shapes:
        for _, piece in source.pieces(name):
            yield str(piece.dtype).removeprefix("torch.")
            break
