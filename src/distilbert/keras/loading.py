"""Between a model's parameters and arrays: by key, as files hold them."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.layouts import Place, keras_paths
from distilbert.core.parameters import POSITION_EMBEDDINGS, WORD_EMBEDDINGS, Parameter, Role
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError
from distilbert.keras.embeddings import sinusoids

_DTYPES = ("float32", "float16", "bfloat16", "float64")


def places(parameters: Sequence[Parameter]) -> dict[str, Place]:
    """Where in a Keras model each parameter stands that has an array of its own."""
    found = keras_paths({parameter.key: parameter.shape for parameter in parameters})
    return {p.key: found[p.key] for p in parameters if not p.tied_to}


def variable(model: Any, place: Place) -> Any:
    """The parameter that stands at a place: layers are attributes of the published names."""
    found = model
    for name in place.name.split("/"):
        found = found[int(name)] if name.isdecimal() else getattr(found, name)
    return found


def published(array: Any, place: Place, dtype: str) -> "np.ndarray[Any, Any]":
    """A variable's numbers as files hold them."""
    numbers = keras.ops.convert_to_numpy(array)
    if numbers.dtype.name != dtype:  # of what numpy has no type for, a backend gives a wider one
        numbers = numbers.astype(dtype)
    return np.ascontiguousarray(numbers.T) if place.turned else numbers


def as_held(array: "np.ndarray[Any, Any]", place: Place) -> "np.ndarray[Any, Any]":
    """A file's array as Keras has it."""
    return array.T if place.turned else array


def drawn(parameter: Parameter, config: EncoderConfig, rng: np.random.Generator) -> "np.ndarray[Any, Any]":
    """A parameter's first numbers, as files hold it: N(0, ``initializer_range``), zeros or ones, by its role.

    Devlin et al. 2019 draw from a truncated normal; the published code of DistilBERT draws from a plain one,
    and so does this.
    """
    if parameter.key.endswith(POSITION_EMBEDDINGS) and getattr(config, "sinusoidal_pos_embds", False):
        rows, width = parameter.shape
        return sinusoids(rows, width)
    if parameter.role not in (Role.KERNEL, Role.EMBEDDING):
        return np.full(parameter.shape, 1.0 if parameter.role is Role.NORM_SCALE else 0.0, np.float32)
    numbers = np.float32(config.initializer_range) * rng.standard_normal(parameter.shape, np.float32)
    if parameter.key.endswith(WORD_EMBEDDINGS):
        numbers[config.pad_token_id] = 0.0
    return numbers


def chosen_policy(dtype: Any) -> Any:
    """Types to compute and to keep parameters in.

    Args:
        dtype: a policy of Keras', its name such as "mixed_bfloat16", a type's name, or None for the one that
            is set for all.

    Raises:
        ConfigError: it is none, or not of floating types.
    """
    try:
        policy = keras.dtype_policies.get(dtype)
        known = policy.variable_dtype in _DTYPES and policy.compute_dtype in _DTYPES
    except (TypeError, ValueError, AttributeError):
        known = False
    if not known:
        raise ConfigError(
            f"dtype must be a policy of Keras' or one of {', '.join(_DTYPES)}.",
            received=f"dtype={dtype!r:.80}",
            remedy="Choose mixed_bfloat16 where the hardware computes it, and float32 otherwise.",
        )
    return policy


def arrays_of(model: Any, parameters: Sequence[Parameter]) -> Arrays:
    """A model's parameters as files hold them, by key.

    Raises:
        ConfigError: a layer holds something else in the place of one, such as numbers that were quantised.
    """
    own, arrays, wrong = places(parameters), {}, []
    for parameter in parameters:
        if parameter.tied_to:
            continue
        place = own[parameter.key]
        held = variable(model, place)
        shape = parameter.shape[::-1] if place.turned else parameter.shape
        kind = keras.backend.standardize_dtype(held.dtype)
        if tuple(held.shape) != shape or kind not in _DTYPES:
            wrong.append(f"{place.name}, {kind} {list(held.shape)}")
        else:
            arrays[parameter.key] = published(held, place, kind)
    if wrong:
        raise ConfigError(
            "A folder holds the parameters that the published classes have.",
            received=", ".join(wrong[:6]),
            remedy="Save a quantised model as Keras does: model.save('model.keras').",
        )
    return arrays
