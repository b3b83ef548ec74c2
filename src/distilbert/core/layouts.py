"""What other frameworks call a parameter, and which way round they hold it.

A name is a path and a leaf. The path is the published one, with the framework's own separators. The leaf says
what the array is for, in each framework by another word; a kernel, which is published as [out, in], is
[in, out] everywhere else. So the rules need no list of parameters, and a head that nobody here knows follows
them too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from distilbert.core.parameters import GOOGLE_NAMES, KERAS_LAYERS, WORD_EMBEDDINGS, Role

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Place:
    """Where an array is to be found on the other side: its name, and whether its two axes change places."""

    name: str
    turned: bool = False


@dataclass(frozen=True)
class _Leaves:
    """What an array of one role is called last."""

    published: str
    flax: str
    keras: str


_LEAVES = {
    Role.EMBEDDING: _Leaves("weight", "embedding", "embeddings"),
    Role.KERNEL: _Leaves("weight", "kernel", "kernel"),
    Role.BIAS: _Leaves("bias", "bias", "bias"),
    Role.NORM_SCALE: _Leaves("weight", "scale", "gamma"),
    Role.NORM_BIAS: _Leaves("bias", "bias", "beta"),
}

#: Arrays of Google's checkpoints that belong to the run that wrote them.
_OF_THE_RUN = re.compile(
    r"(.*/)?(adam_[mv]|Adam(_1)?|global_step|beta[12]_power|_CHECKPOINTABLE_OBJECT_GRAPH)"
)


def role_of(name: str, shapes: Shapes) -> Role | None:
    """What a published array is for, by its leaf and its module's shapes; None where no rule knows.

    Args:
        name: a published one, old ones for LayerNorms included.
        shapes: of all arrays of the model.
    """
    module, _, leaf = name.rpartition(".")
    rank = len(shapes[name])
    if leaf == "gamma" or (leaf == "weight" and rank == 1):
        return Role.NORM_SCALE
    if leaf == "beta" or (leaf == "bias" and len(shapes.get(f"{module}.weight", ())) == 1):
        return Role.NORM_BIAS
    if leaf == "bias" and rank == 1:
        return Role.BIAS
    if leaf == "weight" and rank == 2:
        return Role.EMBEDDING if module.endswith("embeddings") else Role.KERNEL
    return None


def from_flax(name: str) -> Place:
    """The published name of an array of Flax's, whose path is joined by ``/`` or ``.``."""
    path = name.replace("/", ".")
    return _published(path, {leaves.flax: role for role, leaves in _LEAVES.items()})


def to_flax(shapes: Shapes) -> dict[str, Place]:
    """The path in Flax's tree, joined by ``/``, of each published array."""
    return {name: _foreign(name, shapes, lambda leaves: leaves.flax) for name in shapes}


def from_keras(name: str) -> Place:
    """The published name of a TensorFlow 2 variable, whose name comes without that of the model around it."""
    path = re.sub(r"(^|/)[^/]*___", r"\1", name.removesuffix(":0")).replace("_._", "/").replace("/", ".")
    return _published(path, {leaves.keras: role for role, leaves in _LEAVES.items()})


def keras_paths(shapes: Shapes) -> dict[str, Place]:
    """The way to each published array through the attributes of a Keras model, joined by ``/``."""
    return {name: _foreign(name, shapes, lambda leaves: leaves.keras) for name in shapes}


def to_keras(shapes: Shapes) -> dict[str, Place]:
    """The name as a TensorFlow 2 variable, without the model around it, of each published array."""
    places = {}
    for name, place in keras_paths(shapes).items():
        path = re.sub(r"/(\d+)(?=/)", r"_._\1", place.name)
        for published, layer in KERAS_LAYERS:
            if path.startswith(f"{published}/"):
                path = layer + path.removeprefix(published)
        if name.endswith(WORD_EMBEDDINGS):  # the one table that is a variable of its layer's own
            path = path.rpartition("/")[0] + "/weight"
        places[name] = Place(f"{path}:0", place.turned)
    return places


def from_google(name: str) -> Place | None:
    """The published name of a variable in one of Google's TensorFlow 1 checkpoints.

    None for what belongs to the run that wrote it: the step, and what the optimiser remembers.
    """
    if _OF_THE_RUN.fullmatch(name):
        return None
    for theirs, published in GOOGLE_NAMES:
        if name == theirs:
            return Place(published)
    path = re.sub(r"(?<=/)layer_(\d+)(?=/)", r"layer/\1", name).replace("/", ".")
    path = path.replace(".output_weights", ".weight").replace(".output_bias", ".bias")
    if path.endswith("_embeddings"):
        return Place(f"{path}.weight")
    return _published(path, {leaves.keras: role for role, leaves in _LEAVES.items()})


def names_in_index(name: str) -> tuple[str, ...]:
    """What an array may be called that an index of shards calls so; TensorFlow's begins with the model."""
    return name, from_flax(name).name, from_keras(name.partition("/")[2]).name


def _published(path: str, roles: Mapping[str, Role]) -> Place:
    module, _, leaf = path.rpartition(".")
    role = roles.get(leaf)
    if role is None or not module:
        return Place(path)
    return Place(f"{module}.{_LEAVES[role].published}", role is Role.KERNEL)


def _foreign(name: str, shapes: Shapes, leaf: Callable[[_Leaves], str]) -> Place:
    role = role_of(name, shapes)
    path = name.replace(".", "/")
    if role is None:
        return Place(path)
    return Place(f"{path.rpartition('/')[0]}/{leaf(_LEAVES[role])}", role is Role.KERNEL)
