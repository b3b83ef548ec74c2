"""Between a model's parameters and arrays: by key, as files hold them, and as the tree of Flax's names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core.checkpoint import listed
from distilbert.core.config import EncoderConfig
from distilbert.core.layouts import Place, to_flax
from distilbert.core.parameters import POSITION_EMBEDDINGS, WORD_EMBEDDINGS, Parameter, Role
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError
from distilbert.jax.embeddings import sinusoids
from distilbert.jax.modules import Array

_DTYPES = {np.dtype(t).name: t for t in (jnp.float32, jnp.float16, jnp.bfloat16, jnp.float64)}
_DTYPES_ASKED = {**_DTYPES, "float": jnp.float32, "half": jnp.float16, "double": jnp.float64}

#: A tree of arrays by Flax's names, as published files hold it.
Tree = dict[str, Any]


def places(parameters: Sequence[Parameter]) -> dict[str, Place]:
    """Where in Flax's tree each parameter stands that has an array of its own."""
    found = to_flax({parameter.key: parameter.shape for parameter in parameters})
    return {p.key: found[p.key] for p in parameters if not p.tied_to}


def variable(model: nnx.Module, place: Place) -> nnx.Param[Any]:
    """The parameter that stands at a place: modules bear the published names."""
    found: Any = model
    for name in place.name.split("/"):
        found = found[int(name)] if name.isdecimal() else getattr(found, name)
    return found


def shape_at(parameter: Parameter, place: Place) -> tuple[int, ...]:
    """The shape of a parameter as Flax has it."""
    return parameter.shape[::-1] if place.turned else parameter.shape


def published(array: Array, place: Place) -> "np.ndarray[Any, Any]":
    """An array of Flax's as files hold it."""
    numbers = np.asarray(array)
    return np.ascontiguousarray(numbers.T) if place.turned else numbers


def as_held(array: "np.ndarray[Any, Any]", place: Place, dtype: Any) -> Array:
    """A file's array as Flax has it."""
    return jnp.asarray(array.T if place.turned else array, dtype)


def drawn(parameter: Parameter, config: EncoderConfig, place: Place, key: Array, dtype: Any) -> Array:
    """A parameter's first numbers: N(0, ``initializer_range``), zeros or ones, by its role.

    Devlin et al. 2019 draw from a truncated normal; the published code of DistilBERT draws from a plain one,
    and so does this.
    """
    shape = shape_at(parameter, place)
    if parameter.key.endswith(POSITION_EMBEDDINGS) and getattr(config, "sinusoidal_pos_embds", False):
        return jnp.asarray(sinusoids(*shape), dtype)
    if parameter.role not in (Role.KERNEL, Role.EMBEDDING):
        # By numpy, so that no function is compiled for each shape of zeros.
        return jnp.asarray(np.full(shape, 1.0 if parameter.role is Role.NORM_SCALE else 0.0, dtype))
    numbers = config.initializer_range * jax.random.normal(key, shape, dtype)
    if parameter.key.endswith(WORD_EMBEDDINGS):
        numbers = numbers.at[config.pad_token_id].set(0.0)
    return numbers.astype(dtype)


def nested(flat: Mapping[str, Any]) -> Tree:
    """A tree out of its paths."""
    tree: Tree = {}
    for path, leaf in flat.items():
        *above, last = path.split("/")
        branch = tree
        for name in above:
            branch = branch.setdefault(name, {})
        branch[last] = leaf
    return tree


def flat(tree: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a tree by their paths; a layer's number may be a number or its digits."""
    for name, branch in tree.items():
        here = f"{path}/{name}" if path else str(name)
        if isinstance(branch, Mapping):
            yield from flat(branch, here)
        else:
            yield here, branch


def leaves_of(tree: Any, parameters: Sequence[Parameter], *, partly: bool = False) -> dict[str, Any]:
    """The leaves that these parameters have in a tree, by key; what else it holds is left.

    Args:
        tree: like ``model.params``.
        parameters: of the model.
        partly: some may be missing.

    Raises:
        ConfigError: it is no tree, lacks some, or has them in another shape.
    """
    if not isinstance(tree, Mapping):
        raise ConfigError(
            "params is a tree of arrays by Flax's names.",
            received=f"a {type(tree).__name__}",
            remedy="Give what model.params holds, changed or not.",
        )
    leaves, own = dict(flat(tree)), places(parameters)
    shapes = {parameter.key: shape_at(parameter, own[parameter.key]) for parameter in parameters
              if not parameter.tied_to}  # fmt: skip
    if lacking := [place.name for place in own.values() if place.name not in leaves and not partly]:
        raise ConfigError(
            "params must hold every parameter of the model.",
            received=f"no {listed(lacking)}",
            remedy="Give what model.params holds, or complete it: model.init_weights(key, (1, 1), params).",
        )
    found = {key: leaves[place.name] for key, place in own.items() if place.name in leaves}
    wrong = [
        f"{own[key].name} {list(np.shape(leaf))} in the place of {list(shapes[key])}"
        for key, leaf in found.items()
        if tuple(np.shape(leaf)) != shapes[key]
    ]
    if wrong:
        raise ConfigError(
            "params must have the shapes of the model.",
            received=listed(wrong),
            remedy="Give the parameters of a model of the same configuration.",
        )
    return found


def chosen_dtype(name: str, dtype: Any, config: EncoderConfig, source: Any) -> Any:
    """A type that computations or parameters are to have.

    Args:
        name: of the argument.
        dtype: a type, or its name; "auto" is the configuration's or the file's own.
        config: the model's.
        source: holds arrays by name.

    Raises:
        ConfigError: not a floating type.
    """
    if isinstance(dtype, str) and dtype == "auto":
        dtype = config.dtype or next(_dtypes_of(source), jnp.float32)
    try:
        found = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    except TypeError:
        found = repr(dtype)
    if found not in _DTYPES_ASKED:
        raise ConfigError(
            f'{name} must be "auto" or one of {", ".join(_DTYPES)}.',
            received=f"{name}={dtype!r:.80}",
            remedy="Choose bfloat16 where the hardware computes it, and float32 otherwise.",
        )
    return _DTYPES_ASKED[found]


def _dtypes_of(source: Any) -> Iterator[str]:
    """The types of the source's arrays that a model may have, in its own order."""
    for name in source.shapes:
        for _, piece in source.pieces(name):
            if piece.dtype.name in _DTYPES:
                yield piece.dtype.name
            break


def arrays_of(leaves: Mapping[str, Any], parameters: Sequence[Parameter]) -> Arrays:
    """Leaves of Flax's tree as files hold them, by key."""
    own = places(parameters)
    return {key: published(leaf, own[key]) for key, leaf in leaves.items()}
